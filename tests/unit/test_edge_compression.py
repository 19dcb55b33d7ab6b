"""Compressed bodies: what is inflated, what is refused, and which answers are compressed."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from longshore.edge.compression import SMALLEST_BYTES, deflated, inflate, inflated_body
from longshore.errors import InvalidRequest, LongshoreError, TooLarge
from longshore.limits import MIB

TEXT = b'{"inputs": [1, 2, 3]}' * 10


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
    ],
    ids=["gzip", "gzip of two members", "deflate", "deflate without a header"],
)
def test_a_body_is_inflated(encoding: str, packed: bytes) -> None:
    assert inflate(packed, encoding, len(TEXT)) == TEXT


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("cut", [1, 8, 15])
def test_a_body_that_is_cut_off_is_refused(encoding: str, cut: int) -> None:
    packed = gzip.compress(TEXT, mtime=0) if encoding == "gzip" else zlib.compress(TEXT)
    with pytest.raises(InvalidRequest):
        inflate(packed[:-cut], encoding, MIB)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", b"plain text"),
        ("gzip", zlib.compress(TEXT)),
        ("gzip", gzip.compress(TEXT, mtime=0) + b"more"),
        ("deflate", zlib.compress(TEXT) + b"more"),
        ("deflate", b"\xff\xff\xff"),
    ],
)
def test_what_is_not_of_the_encoding_is_refused(encoding: str, packed: bytes) -> None:
    with pytest.raises(InvalidRequest):
        inflate(packed, encoding, MIB)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_inflates_to_too_much_is_refused_before_it_is_there(encoding: str) -> None:
    huge = b"0" * (64 * MIB)
    packed = gzip.compress(huge, mtime=0) if encoding == "gzip" else zlib.compress(huge)
    del huge
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflate(packed, encoding, MIB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB


def test_many_small_members_do_not_get_round_the_limit() -> None:
    packed = gzip.compress(b"0" * 1_000, mtime=0) * 10
    assert len(inflate(packed, "gzip", 10_000)) == 10_000
    with pytest.raises(TooLarge):
        inflate(packed, "gzip", 9_999)


def test_members_are_limited_since_each_costs_a_copy_of_the_rest() -> None:
    with pytest.raises(InvalidRequest, match="members"):
        inflate(gzip.compress(b"", mtime=0) * 100_000, "gzip", MIB)


@pytest.fixture
async def echo() -> AsyncIterator[httpx.AsyncClient]:
    """A server that gives back the body that it read."""

    async def answer(request: Request) -> Response:
        try:
            body = await inflated_body(request, limit_bytes=MIB)
        except LongshoreError as error:
            return Response(error.message, 400)
        return await deflated(request, Response(body))

    app = Starlette(routes=[Route("/", answer, methods=["POST"])])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("accepted", "used"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("br, deflate;q=0.5", "deflate"),
        ("gzip; q=0, deflate", "deflate"),
        ("gzip;q=0", None),
        ("identity", None),
    ],
)
async def test_an_answer_is_compressed_as_the_request_allows(
    echo: httpx.AsyncClient, accepted: str, used: str | None
) -> None:
    sent = b"abc" * SMALLEST_BYTES
    answer = await echo.post("/", content=sent, headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == used
    assert answer.content == sent
    assert answer.headers["vary"] == "Accept-Encoding"
    short = await echo.post("/", content=b"short", headers={"Accept-Encoding": accepted})
    assert "content-encoding" not in short.headers


async def test_large_answers_and_compressed_requests_go_through(echo: httpx.AsyncClient) -> None:
    sent = b"0123456789" * 100_000
    for encoding, packed in (
        ("gzip", gzip.compress(sent, mtime=0)),
        ("deflate", zlib.compress(sent)),
    ):
        answer = await echo.post("/", content=packed, headers={"Content-Encoding": encoding})
        assert answer.content == sent
        assert int(answer.headers["content-length"]) < len(sent)


async def test_an_unknown_encoding_is_refused(echo: httpx.AsyncClient) -> None:
    answer = await echo.post("/", content=b"x", headers={"Content-Encoding": "br"})
    assert answer.status_code == 400
    assert "'br' is not known" in answer.text

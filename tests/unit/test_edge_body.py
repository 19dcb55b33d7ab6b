"""What a request body may hold, and what is said about one that may not."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from starlette.requests import Request

from longshore import limits
from longshore.edge import body
from longshore.edge.call import BODY_DIGEST
from longshore.errors import InvalidRequest, TooLarge


class Pieces:
    """The receiving end of a request whose body comes in pieces; counts those taken."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.taken = 0

    async def __call__(self) -> dict[str, Any]:
        self.taken += 1
        piece = self.pieces.pop(0) if self.pieces else b""
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}


def request_of(*pieces: bytes, length: int | None = None) -> tuple[Request, Pieces]:
    receive = Pieces(*pieces)
    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    return Request(scope, receive), receive


async def value_of(data: bytes) -> Any:
    return await body.json_body(request_of(data)[0])


async def test_json_in_pieces_is_put_together() -> None:
    request, _ = request_of(b'{"a": [1, 2.5', b', null, "\xc3', b'\xa4"]}')
    assert await body.json_body(request) == {"a": [1, 2.5, None, "ä"]}
    assert len(request.scope[BODY_DIGEST]) == 64


async def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    request, receive = request_of(b"[1]", length=limits.JSON_BODY_BYTES + 1)
    with pytest.raises(TooLarge, match=str(limits.JSON_BODY_BYTES)):
        await body.json_body(request)
    assert receive.taken == 0


async def test_an_undeclared_size_is_refused_as_soon_as_it_is_over() -> None:
    request, receive = request_of(*[b"x" * 60] * 10)
    with pytest.raises(TooLarge):
        await body.raw_body(request, limit_bytes=100)
    assert receive.taken == 2


async def test_a_body_of_exactly_the_limit_passes() -> None:
    assert len(await body.raw_body(request_of(b"x" * 100, length=100)[0], limit_bytes=100)) == 100


async def test_a_body_that_stops_arriving_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "IDLE_S", 0.01)
    never = __import__("asyncio").Event()

    async def receive() -> Any:
        await never.wait()

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    with pytest.raises(InvalidRequest, match="stopped arriving"):
        await body.raw_body(request, limit_bytes=100)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no body"),
        (b" \n", "no body"),
        (b"{", "not JSON"),
        (b"{} x", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'[{"b": {"x": 1, "x": 1}}]', "'x' is given twice"),
        (b"NaN", "NaN is not JSON"),
        (b"[Infinity]", "Infinity is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b"1e999", "too large"),
        (b"-1e999", "too large"),
        (b"9" * 5000, "cannot be used"),
        (b'"\xff"', "not UTF-8"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'"a\\u0000b"', "NUL"),
        (b'"\\\\\\u0000"', "NUL"),
        (b'"a\0b"', "not JSON"),
    ],
)
async def test_what_is_not_plain_json_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        await value_of(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'{"a": 1, "A": 2}', {"a": 1, "A": 2}),
        (b"12345678901234567890123", 12345678901234567890123),
    ],
)
async def test_unusual_but_right_json_passes(data: bytes, value: Any) -> None:
    assert await value_of(data) == value


def nested(depth: int, inner: Any = 1) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


async def test_depth_is_limited_exactly() -> None:
    deepest = json.dumps(nested(limits.JSON_DEPTH)).encode()
    assert await value_of(deepest) == nested(limits.JSON_DEPTH)
    with pytest.raises(TooLarge, match=str(limits.JSON_DEPTH)):
        await value_of(json.dumps(nested(limits.JSON_DEPTH + 1)).encode())
    with pytest.raises(TooLarge):
        await value_of(b'{"a":' * (limits.JSON_DEPTH + 1) + b"1" + b"}" * (limits.JSON_DEPTH + 1))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}",\\x'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('[]{}"\\'), inner),
    max_leaves=60,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(values, st.integers(0, 2 * limits.JSON_DEPTH))
def test_depth_is_counted_as_the_parser_would(value: Any, extra: int) -> None:
    value = nested(extra, [value, '"[[[[', "\\"])
    data = json.dumps(value).encode()
    if depth_of(value) <= limits.JSON_DEPTH:
        body.check_depth(data)
    else:
        with pytest.raises(TooLarge):
            body.check_depth(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * limits.JSON_BODY_BYTES,
        b"[" * (limits.JSON_BODY_BYTES // 2) + b"]" * (limits.JSON_BODY_BYTES // 2),
        b'"' + b'\\"' * (limits.JSON_BODY_BYTES // 2 - 1),
        b'["' + b"\\" * (limits.JSON_BODY_BYTES - 2),
        b'"' * limits.JSON_BODY_BYTES,
        b"[" * 40 + b'"[' * (limits.JSON_BODY_BYTES // 2 - 40),
        b"[]" * (limits.JSON_BODY_BYTES // 2),
    ],
    ids=["open", "deep", "escaped quotes", "backslashes", "quotes", "brackets in text", "pairs"],
)
async def test_the_worst_bodies_are_refused_quickly(data: bytes) -> None:
    begun = time.perf_counter()
    with pytest.raises(InvalidRequest):
        await value_of(data)
    assert time.perf_counter() - begun < 3


async def test_an_object_is_demanded_where_one_is_needed() -> None:
    with pytest.raises(InvalidRequest, match="a list"):
        await body.json_object(request_of(b"[]")[0])
    assert await body.optional_object(request_of(b"")[0]) == {}
    with pytest.raises(InvalidRequest, match="null"):
        await body.optional_object(request_of(b"null")[0])


class Batch(BaseModel):
    name: str = Field(max_length=5)
    count: int = 1


class Sub(BaseModel):
    batch: Batch
    batches: list[Batch]


def test_a_model_is_made_or_each_problem_is_told() -> None:
    assert body.parse(Batch, {"name": "a"}).count == 1
    with pytest.raises(InvalidRequest, match=r"name: .*at most 5.*; count: .*integer"):
        body.parse(Batch, {"name": "secret-text", "count": "many"})
    with pytest.raises(InvalidRequest) as caught:
        body.parse(Batch, {"name": "secret-text"})
    assert "secret-text" not in caught.value.message


def test_a_described_body_needs_no_definitions() -> None:
    schema = body.described(Sub)["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"]["batches"]["items"]["properties"]["name"]["type"] == "string"
    assert "$ref" not in json.dumps(schema)


class Claim(msgspec.Struct):
    limit: int


async def test_a_struct_is_decoded_or_the_reason_told() -> None:
    assert (await body.struct_body(request_of(b'{"limit": 3}')[0], Claim)).limit == 3
    for data in (b"", b"{", b'{"limit": "3"}', b'{"limit": 1.5}', b"[]", b'{"limit": "\xff"}'):
        with pytest.raises(InvalidRequest):
            await body.struct_body(request_of(data)[0], Claim)
    with pytest.raises(TooLarge):
        await body.struct_body(request_of(b"[" * 100)[0], Claim)


async def test_a_stream_passes_pieces_on_as_they_come() -> None:
    request, receive = request_of(b"one", b"two")
    pieces: AsyncIterator[bytes] = body.stream(request, limit_bytes=10)
    assert await anext(pieces) == b"one"
    assert receive.taken == 1
    assert [piece async for piece in pieces] == [b"two"]

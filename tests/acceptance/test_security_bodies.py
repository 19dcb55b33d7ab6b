"""X10: bodies that are too large, too deep, or not what they say they are."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from longshore import limits
from tests.acceptance import raw
from tests.acceptance.api import User
from tests.acceptance.harness import Server
from tests.acceptance.raw import RawRequest

JSON = {"Content-Type": "application/json"}
ROUTES = {
    "batch": "/api/v2/batches",
    "run": "/api/v2/apps/runs",
    "key": "/longshore/v1/keys",
    "register": "/longshore/v1/worker/register",
    "claim": "/longshore/v1/worker/claim",
}
CHUNK = b"x" * 65_536
NEIGHBOUR_S = 5.0
"""Another client's request may take this long beside an attack, on a busy machine."""


class Neighbour:
    """Another client, whose requests must go on being answered."""

    def __init__(self, server: Server) -> None:
        self._client = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.key}"},
            trust_env=False,
            timeout=20.0,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, name="neighbour")
        self.taken_s: list[float] = []
        self.statuses: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()
        if kind is None:
            assert self.statuses == {200}, self.statuses
            assert max(self.taken_s) < NEIGHBOUR_S, f"{max(self.taken_s):.2f} s"

    def _go(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            self.statuses.add(self._client.get("/api/v2/batches").status_code)
            self.taken_s.append(time.monotonic() - begun)


def _batches(user: User) -> list[int]:
    return [batch["id"] for batch in user.get("/api/v2/batches")["batches"]]


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    server: Server, route: str
) -> None:
    key = server.worker_key if "/worker/" in route else server.key
    with Neighbour(server), RawRequest(server, key) as request:
        request.head("POST", route, {**JSON, "Content-Length": str(10**12)})
        request.send(CHUNK)
        answer = request.answer()
    assert answer.status == 413, answer.body
    assert str(limits.JSON_BODY_BYTES) in answer.body.decode()


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_body_that_grows_too_large_is_cut_off(server: Server, route: str) -> None:
    key = server.worker_key if "/worker/" in route else server.key
    chunks = 16 * limits.JSON_BODY_BYTES // len(CHUNK)

    def body() -> Iterator[bytes]:
        yield b'{"name": "'
        for _ in range(chunks):
            yield CHUNK

    with Neighbour(server), RawRequest(server, key) as request:
        request.head("POST", route, {**JSON, "Transfer-Encoding": "chunked"})
        all_taken = request.send_chunks(body())
        answer = request.answer()
    assert answer.status == 413, answer.body
    assert not all_taken
    # What lies in socket buffers when the answer is made has been sent as well.
    assert request.sent_bytes < 4 * limits.JSON_BODY_BYTES


def test_a_file_that_says_it_is_too_large_is_refused_before_it_is_sent(
    server: Server, user: User
) -> None:
    batch_id = user.create_batch()
    before = set((server.data / "blobs").rglob("*"))
    with Neighbour(server), RawRequest(server, server.key) as request:
        target = f"/api/v2/batches/{batch_id}/files/big.bin"
        request.head("PUT", target, {"Content-Length": str(limits.FILE_BYTES + 1)})
        request.send(CHUNK)
        answer = request.answer()
    assert answer.status == 413, answer.body
    assert user.get(f"/api/v2/batches/{batch_id}/files")["nodes"] == []
    assert {path for path in (server.data / "blobs").rglob("*") if path.is_file()} <= before


TOO_DEEP = {
    "lists": b"[" * 100_000 + b"]" * 100_000,
    "objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "inside": b'{"name": "x", "more": ' + b"[" * 40 + b"]" * 40 + b"}",
    "unclosed": b"[" * 1_000_000,
}
BAD_JSON: dict[str, bytes] = {
    "nan": b'{"name": NaN}',
    "infinity": b'{"name": "x", "more": -Infinity}',
    "huge number": b'{"name": "x", "more": 1e999}',
    "long integer": b'{"name": "x", "more": ' + b"9" * 10_000 + b"}",
    "same key twice": b'{"name": "one", "name": "two"}',
    "same key twice inside": b'{"name": "x", "settings": {"keys": 1, "keys": 2}}',
    "bad utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "half a surrogate pair": b'{"name": "\\ud800"}',
    "nul": b'{"name": "a\\u0000b"}',
    "not json": b"name=x",
    "cut": b'{"name": "x"',
    "empty": b"",
    "list": b"[]",
    "text": b'"name"',
    "null": b"null",
    "long key": b'{"' + b"k" * (limits.JSON_BODY_BYTES - 100) + b'": 1}',
}


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_a_body_that_is_no_sensible_json_is_refused_and_changes_nothing(
    server: Server, user: User, body: bytes
) -> None:
    before = _batches(user)
    with Neighbour(server):
        for what, route in ROUTES.items():
            key = server.worker_key if "/worker/" in route else server.key
            answer = raw.ask(server, "POST", route, body, key=key, headers=JSON)
            assert answer.status == 400, f"{what} -> {answer.status} {answer.body[:300]!r}"
            told = answer.json()
            assert told.get("message") or told.get("detail")
            assert len(answer.body) < 4_000, "what was sent is not sent back"
    assert _batches(user) == before


@pytest.mark.parametrize("body", TOO_DEEP.values(), ids=TOO_DEEP)
def test_a_body_that_is_nested_too_deep_is_refused_and_changes_nothing(
    server: Server, user: User, body: bytes
) -> None:
    before = _batches(user)
    with Neighbour(server):
        for route in ROUTES.values():
            key = server.worker_key if "/worker/" in route else server.key
            answer = raw.ask(server, "POST", route, body, key=key, headers=JSON)
            assert answer.status == 413, f"{route} -> {answer.status} {answer.body[:300]!r}"
            assert str(limits.JSON_DEPTH) in answer.body.decode()
    assert _batches(user) == before


def test_a_key_of_ten_megabytes_is_refused(server: Server, user: User) -> None:
    body = json.dumps({"k" * 10 * 1024 * 1024: 1}).encode()
    with Neighbour(server):
        for route in ROUTES.values():
            key = server.worker_key if "/worker/" in route else server.key
            answer = raw.ask(server, "POST", route, body, key=key, headers=JSON)
            assert answer.status == 413, answer.body[:300]


def test_form_data_is_not_taken_for_json(server: Server, user: User) -> None:
    before = _batches(user)
    forms: list[dict[str, Any]] = [{"data": {"name": "x"}}, {"files": {"name": b"x"}}]
    for arguments in forms:
        for route in ROUTES.values():
            answer = user.http.post(route, **arguments)
            assert answer.status_code in (400, 403, 415), f"{route} -> {answer.status_code}"
    assert _batches(user) == before


def test_a_json_body_in_the_place_of_a_file_is_a_file(server: Server, user: User) -> None:
    batch_id = user.create_batch()
    body = json.dumps({"path": "/etc/passwd", "file": {"filepath": "/etc/passwd"}}).encode()
    path = f"/api/v2/batches/{batch_id}/files/a.json"
    user.ask("PUT", path, content=body, headers=JSON, expect=(204,))
    node = user.get(f"/api/v2/batches/{batch_id}/files")["nodes"][0]
    assert user.http.get(f"/api/v2/files/{node['full_path']}").content == body


def test_headers_that_do_not_end_are_refused_without_keeping_them(server: Server) -> None:
    pieces = 256
    status = 431
    with Neighbour(server), RawRequest(server) as request:
        request.send(b"GET /api/v2/batches HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        # The rest of what was sent can cut the answer off on its way.
        with contextlib.suppress(ConnectionError):
            for _ in range(pieces):
                request.send(CHUNK)
                if request.answered():
                    break
            status = request.answer().status
    assert status == 431
    assert request.sent_bytes < pieces * len(CHUNK) // 2


def test_a_header_as_long_as_headers_get_is_taken(server: Server) -> None:
    headers = {"X-Long": "x" * (limits.HEAD_BYTES // 2)}
    assert raw.ask(server, "GET", "/api/v2/batches", key=server.key, headers=headers).status == 200

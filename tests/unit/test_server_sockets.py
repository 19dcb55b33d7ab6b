"""What only shows on a real connection: large bodies refused early, paths, broken answers."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import httpx
import pytest
from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from longshore import limits
from longshore.access import Permission
from longshore.access.first import first_start
from longshore.edge.body import json_body, raw_body
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.errors import CorruptData
from longshore.server.app import create_app
from longshore.storage import open_database
from tests.unit.serving import listening, make_context

MIB = 1024 * 1024
Caller = Annotated[Call, Depends(allow(Permission.READ))]


class Server:
    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.token = token

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def head(self, method: str, path: str, *lines: str) -> bytes:
        lines = (
            f"{method} {path} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {self.token}",
            *lines,
        )
        return "\r\n".join([*lines, "", ""]).encode()


async def sized(request: Request, call: Caller) -> Response:
    return json_response({"size": len(await raw_body(request, limit_bytes=MIB))})


async def echo(request: Request, call: Caller) -> Response:
    return json_response(await json_body(request))


async def half(call: Caller) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"some"
        raise CorruptData("damaged")

    return StreamingResponse(pieces(), headers={"Content-Length": "10"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory: Path = tmp_path_factory.mktemp("server")
    database = open_database(f"sqlite:///{directory / 'longshore.db'}")
    context = make_context(database, directory)
    token = database.write_blocking(first_start).token
    app = create_app(context)
    app.post("/longshore/v1/sized")(sized)
    app.post("/longshore/v1/echo")(echo)
    app.get("/longshore/v1/half")(half)
    with listening(app) as port:
        yield Server(port, token)
    context.close()
    database.close()


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(server.head("POST", "/longshore/v1/sized", f"Content-Length: {10**12}"))
        answer = connection.recv(65536)
        # Head and body may come in two pieces.
        while b"too_large" not in answer and (piece := connection.recv(65536)):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()
        assert b"too_large" in answer


def test_a_client_that_sends_everything_first_still_gets_to_read(server: Server) -> None:
    size = 60 * MIB
    with server.connect() as connection:
        connection.sendall(server.head("POST", "/longshore/v1/sized", f"Content-Length: {size}"))
        piece = b"x" * MIB
        for _ in range(size // MIB):
            connection.sendall(piece)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_an_endless_body_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longshore.server.middleware.DISCARD_BYTES", 8 * MIB)
    sent = 0

    def send_on(connection: socket.socket) -> None:
        nonlocal sent
        while sent < 512 * MIB:
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            sent += 65536

    with server.connect() as connection:
        connection.sendall(server.head("POST", "/longshore/v1/sized", "Transfer-Encoding: chunked"))
        with pytest.raises((ConnectionError, TimeoutError)):
            send_on(connection)
    assert sent < 256 * MIB


def test_a_client_that_waits_to_be_asked_is_told_at_once(server: Server) -> None:
    with server.connect() as connection:
        head = server.head(
            "POST", "/longshore/v1/sized", f"Content-Length: {2 * MIB}", "Expect: 100-continue"
        )
        connection.sendall(head)
        begun = time.monotonic()
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - begun < 5


def test_an_answer_without_a_key_comes_before_the_body(server: Server) -> None:
    with server.connect() as connection:
        head = server.head("POST", "/longshore/v1/sized", f"Content-Length: {50 * MIB}")
        connection.sendall(head.replace(b"Bearer ls_", b"Bearer xx_"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_a_small_unread_body_keeps_the_connection(server: Server) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for _ in range(3):
            answer = client.post("/longshore/v1/sized", content=b"x" * 1000)
            assert answer.status_code == 401
            assert "close" not in answer.headers.get("connection", "")


def test_deep_json_is_refused_while_others_are_served(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers) as client:
        deep = client.post("/longshore/v1/echo", content=b"[" * limits.JSON_BODY_BYTES)
        assert deep.status_code == 413
        assert client.post("/longshore/v1/echo", content=b"[NaN]").status_code == 400
        assert client.post("/longshore/v1/echo", json={"a": [1]}).json() == {"a": [1]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("//longshore//v1///whoami", 200),
        ("/longshore/v1/whoami", 200),
        ("/longshore%2Fv1/whoami", 200),
        ("/longshore/v1/works/%00", 400),
        ("/longshore/v1/works/a%2F%2Fb", 404),
        ("/longshore/v1/works/%ff%fe", 404),
        ("/longshore/v1/whoami/", 404),
        ("/longshore/v1/../v1/whoami", 404),
    ],
)
def test_paths_are_taken_as_they_are_meant(server: Server, path: str, status: int) -> None:
    with server.connect() as connection:
        connection.sendall(server.head("GET", path, "Connection: close"))
        answer = read_all(connection)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer[:300]


@pytest.mark.parametrize(
    "start",
    [b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n"],
)
def test_what_is_no_request_does_no_harm(server: Server, start: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(start)
        assert b" 400 " in read_all(connection).split(b"\r\n")[0]
    answer = httpx.get(f"http://127.0.0.1:{server.port}/healthz")
    assert answer.status_code == 200


def test_an_answer_that_breaks_off_is_seen_as_broken(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}"}
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{server.port}/longshore/v1/half", headers=headers)


def test_the_answer_names_its_request(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/healthz"
    assert httpx.get(url).headers["x-request-id"].startswith("rq_")
    own = httpx.get(url, headers={"X-Request-Id": "my-request-1"})
    assert own.headers["x-request-id"] == "my-request-1"
    forged = httpx.get(url, headers={"X-Request-Id": 'a"} {"event": "x'})
    assert forged.headers["x-request-id"].startswith("rq_")

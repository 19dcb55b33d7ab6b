"""HTTP byte by byte, for requests that no well-behaved client would send."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from types import TracebackType
from typing import Any, Self

from tests.acceptance.harness import Server

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class RawRequest:
    """A request that is sent in pieces over a connection of its own."""

    server: Server
    key: str | None = None
    sent_bytes: int = 0
    _socket: socket.socket | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", self.server.port), TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._socket is not None
        self._socket.close()

    def head(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> None:
        """Send the request line (the target as it is) and the headers."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}"]
        if self.key is not None:
            lines.append(f"Authorization: Bearer {self.key}")
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        assert self._socket is not None
        self._socket.sendall(data)
        self.sent_bytes += len(data)

    def send_chunks(self, chunks: Iterable[bytes]) -> bool:
        """Send a chunked body while the server takes it; return whether it took all of it."""
        assert self._socket is not None
        try:
            for chunk in chunks:
                self.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                if self.answered():
                    return False
            self.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def answered(self) -> bool:
        """Return whether something of an answer has arrived already."""
        assert self._socket is not None
        self._socket.setblocking(False)
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self._socket.settimeout(TIMEOUT_S)

    def answer(self) -> Answer:
        assert self._socket is not None
        response = HTTPResponse(self._socket)
        response.begin()
        return Answer(response.status, dict(response.headers), response.read())


def ask(
    server: Server,
    method: str,
    target: str,
    body: bytes = b"",
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request whose target is not touched, and return the answer."""
    with RawRequest(server, key) as request:
        length = {"Content-Length": str(len(body)), "Connection": "close"}
        request.head(method, target, {**length, **(headers or {})})
        if body:
            request.send(body)
        return request.answer()

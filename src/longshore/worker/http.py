"""A small HTTP/1.1 client for the event loop: JSON bodies over connections that stay open.

The worker's own requests come by the hundred a second, and an idle worker's first request after
a work is deposited is most of what the work waits for. A general client spends several times
what this one does on each. It has no redirects, no proxies and no streams.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import httptools

_CONNECT_S = 5.0
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(slots=True)
class Response:
    """An answer, complete."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""

    @property
    def request_id(self) -> str | None:
        """What the server's log calls the request."""
        value = self.headers.get(b"x-request-id")
        return None if value is None else value.decode("latin-1")


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Response] | None = None
        self._response = Response()
        self._pieces: list[bytes] = []
        self._begun = False
        self.usable = True

    async def request(self, data: bytes) -> Response:
        """Send a request and wait for its answer; OSError when there is none."""
        if not self.usable or self._transport is None:
            raise ConnectionResetError("the connection was closed")
        self._answered = asyncio.get_running_loop().create_future()
        self._response, self._pieces, self._begun = Response(), [], False
        self._transport.write(data)
        return await self._answered

    def close(self) -> None:
        self.usable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it on every loop.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"this is not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        # Where no length was given, the end of the connection is the end of the body. One that was
        # cut short is JSON that does not decode.
        if self._begun and _LENGTHS.isdisjoint(self._response.headers):
            self.usable = False
            self.on_message_complete()
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("connection closed"))

    def on_headers_complete(self) -> None:
        self._begun = self._parser.get_status_code() >= 200

    def on_header(self, name: bytes, value: bytes) -> None:
        self._response.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._response, self._pieces = Response(), []
            return
        if not self._parser.should_keep_alive():
            self.usable = False
        if self._answered is not None and not self._answered.done():
            self._response.status = status
            self._response.body = b"".join(self._pieces)
            self._answered.set_result(self._response)

    def _fail(self, error: OSError) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)


class HttpClient:
    """Requests to one server; a connection for each that is under way."""

    def __init__(self, base_url: str, headers: dict[str, str], tls: ssl.SSLContext | None) -> None:
        """Talk to `base_url`, sending `headers` with everything; nothing is sent yet."""
        url = urlsplit(base_url)
        self._host = url.hostname or ""
        self._tls = tls if url.scheme == "https" else None
        self._port = url.port or (443 if self._tls else 80)
        self._path = url.path
        lines = {"host": url.netloc.rpartition("@")[2], **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> Response:
        """POST `body` and return the answer.

        Raises:
            OSError: there is no answer, because of the network or after `timeout_s`.
        """
        own = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"POST {self._path}{path} HTTP/1.1\r\n{self._head}{own}"
            f"content-length: {len(body)}\r\n\r\n"
        )
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connection()
                self._busy.add(connection)
                response = await connection.request(head.encode("latin-1") + body)
        except BaseException:
            # What comes of an abandoned request must not be taken for the answer to another.
            if connection is not None:
                connection.close()
            raise
        finally:
            if connection is not None:
                self._busy.discard(connection)
        if connection.usable:
            self._idle.append(connection)
        return response

    async def close(self) -> None:
        """Close all connections."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        async with asyncio.timeout(_CONNECT_S):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, self._host, self._port, ssl=self._tls
            )
        return connection

"""A receiver of webhooks on this machine that answers as a test tells it to."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """One request; names of headers in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in, and how to answer what comes next.

    `script` holds a status, or the name of a method of the handler, for each request to come;
    after its end all are answered with 200.
    """

    port: int = 0
    script: list[int | str] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set when a request has arrived, before it is answered."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: what hangs lets go."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


class _Handler(http.server.BaseHTTPRequestHandler):
    receiver: Receiver

    def setup(self) -> None:
        super().setup()
        self.receiver.connections += 1

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(size)
        if len(body) < size:
            # The sender died on the way: that is no message.
            self.close_connection = True
            return
        self.receiver.requests.append(Received(self.path, headers, body))
        step = self.receiver.script.pop(0) if self.receiver.script else 200
        self.receiver.arrived.set()
        if isinstance(step, int):
            self._answer(step)
        else:
            # The caller may have gone meanwhile.
            with suppress(OSError):
                getattr(self, f"_{step.replace(' ', '_')}")()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name it has there
        """Write nothing."""

    def _answer(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def _redirect(self) -> None:
        self._answer(302, ("Location", self.receiver.url))

    def _hang(self) -> None:
        self.receiver.over.wait(30)

    def _huge(self) -> None:
        self._answer(200)
        while not self.receiver.over.is_set():
            self.wfile.write(b"x" * 65_536)

    def _slow_body(self) -> None:
        self._answer(200, ("Content-Length", "10"))
        self.wfile.write(b"begun")
        self.receiver.over.wait(30)

    def _nonsense(self) -> None:
        self.wfile.write(b"hello\r\n\r\n")

    def _close(self) -> None:
        self.close_connection = True


class _Server(http.server.ThreadingHTTPServer):
    # Joined at the end, so that no thread outlives its test.
    daemon_threads = False

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Say nothing of handshakes and callers that go away, which tests want."""


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serve a receiver on 127.0.0.1 until the block is left."""
    receiver = Receiver()
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)

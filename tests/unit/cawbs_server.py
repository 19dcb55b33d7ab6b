"""A small server of the tests' own, which answers as a test says: with any bytes, late or never."""

from __future__ import annotations

import importlib.util
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import longshore

LIBRARIES = Path(longshore.__file__).parent / "cawbs"
TOKEN = "tk-1"
STEP = {"ENV": "north", "ACTIONID": "17", "CA_ACCESS_CODE": "ac_1", "STEPNAME": "Step1"}
"""What the worker would tell a step."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answering = Callable[[Asked], bytes]


def fresh(name: str) -> Any:
    """Import one of the files as another process would: nobody has called its Init yet."""
    spec = importlib.util.spec_from_file_location(name, LIBRARIES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def http(status: int, content: Any = None, *more: str) -> bytes:
    """Return an answer with JSON in it, or with the very bytes that are given."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *more]
    return "\r\n".join([*head, "", ""]).encode("utf-8") + body


@dataclass
class CollectorDouble:
    """What came, and what is answered: to one path, or in turn, or to all that is left."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Answering | bytes] = field(default_factory=dict)
    turns: list[bytes] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)
    """Set at the end: until then a server that hangs does."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/coreauto"

    def paths(self) -> list[str]:
        return [each.path.removeprefix("/coreauto/v1") for each in self.asked]

    def answer(self, asked: Asked) -> bytes:
        self.asked.append(asked)
        path = asked.path.removeprefix("/coreauto/v1")
        if path in self.answers:
            found = self.answers[path]
            return found if isinstance(found, bytes) else found(asked)
        if path == "/auth/apicode":
            return http(200, {"token": TOKEN})
        if self.turns:
            return self.turns.pop(0)
        return http(404, {"detail": "not found"})


@contextmanager
def collector_double(context: ssl.SSLContext | None = None) -> Iterator[CollectorDouble]:
    """Serve on loopback until the block ends, each connection in a thread of its own.

    With a context it is HTTPS.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    double = CollectorDouble(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not double.hang.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if context is not None:
                try:
                    connection = context.wrap_socket(connection, server_side=True)
                except OSError:  # Whoever came does not trust us.
                    connection.close()
                    continue
            threads.append(threading.Thread(target=_serve, args=(double, connection)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield double
    finally:
        double.hang.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(10)


def _serve(double: CollectorDouble, connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as stream, suppress(OSError):
        connection.settimeout(10)
        first = stream.readline()
        if not first.endswith(b"\n"):
            return  # The script has ended, and its session was just being opened.
        method, path, _ = first.decode("latin-1").split(" ")
        headers = {}
        while line := stream.readline().decode("utf-8").strip():
            name, _, text = line.partition(": ")
            headers[name] = text
        size_bytes = int(headers.get("Content-Length", 0))
        body = stream.read(size_bytes)
        if len(body) < size_bytes:
            return
        answered = double.answer(Asked(method, path, headers, json.loads(body) if body else None))
        connection.sendall(answered)

"""A lean HTTP client of the buckets, as a process of its own: `python lean.py URL KEY ACTION ...`.

    enqueue COUNT BULK CONNECTIONS    deposit in bulk; prints the seconds
    drain COUNT BULK CONNECTIONS      withdraw and update in bulk until so many are done; seconds
    single COUNT CLIENTS              one work a request, each client waits for its answer; seconds
    serve                             one worker by long poll, for the latency; until killed
    latency COUNT                     works for an idle worker, one by one; prints milliseconds

It does what a program does that has to be quick: connections are kept, JSON goes through msgspec,
and nothing is decoded that is not needed. Each connection is a thread, or (for `single`) an
asyncio protocol.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec
from peers import tally
from peers.tally import VARIABLE, Tally

BUCKET = "bench"
BODY = "x" * 370
"""With the names around it, a work is about 500 bytes as it is sent."""
IDLE_S = 0.02


class Connection:
    """One kept connection."""

    def __init__(self, url: str, key: str) -> None:
        self._address = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection(self._address.netloc, timeout=60)

    def ask(self, method: str, path: str, body: bytes) -> bytes:
        """Send a request and return the body of its answer, which must be 200."""
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data


def work(sent_ns: int = 0, number: int = -1) -> dict[str, Any]:
    """Return a no-op as it is deposited."""
    return {
        "pipeline": BUCKET,
        "site": "local",
        "user": "bench",
        "function": "noop.run",
        "parameters": {"sent_ns": sent_ns, "number": number, "body": BODY},
    }


def enqueue(url: str, key: str, count: int, bulk: int, connections: int) -> float:
    body = msgspec.json.encode([work()] * bulk)

    def deposit(connection: Connection) -> None:
        assert connection.ask("POST", "/buckets/work", body) == b"true"

    return _shared(url, key, count // bulk, connections, deposit)


def drain(url: str, key: str, count: int, bulk: int, connections: int) -> float:
    wanted = msgspec.json.encode({"pipeline": BUCKET})

    def take(connection: Connection) -> None:
        data = connection.ask("POST", f"/buckets/work/withdraw?limit={bulk}", wanted)
        taken = msgspec.json.decode(data)
        if len(taken) != bulk:
            raise RuntimeError(f"withdrew {len(taken)} of {bulk} works")
        stop = time.time()
        for each in taken:
            run = each["parameters"]
            tally.ran(run["sent_ns"], run["number"])
            each["status"] = "success"
            each["results"] = {"done": True}
            each["stop"] = stop
        answer = connection.ask("PUT", "/buckets/work", msgspec.json.encode(taken))
        if answer != b"true":
            raise RuntimeError(f"refused: {answer[:300]!r}")

    return _shared(url, key, count // bulk, connections, take)


def _shared(
    url: str, key: str, times: int, connections: int, call: Callable[[Connection], None]
) -> float:
    """Call `call(connection)` so often in all, by so many threads; return the seconds."""
    left = list(range(times))
    failures: list[BaseException] = []

    def run(connection: Connection) -> None:
        try:
            while left and not failures:
                left.pop()
                call(connection)
        except IndexError:
            return
        except BaseException as error:  # noqa: BLE001 - raised below, in the main thread
            failures.append(error)

    opened = [Connection(url, key) for _ in range(connections)]
    threads = [threading.Thread(target=run, args=(connection,)) for connection in opened]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    if failures:
        raise failures[0]
    return seconds


def single(url: str, key: str, count: int, clients: int) -> float:
    import uvloop  # noqa: PLC0415

    return uvloop.run(_single(url, key, count // clients, clients))


async def _single(url: str, key: str, share: int, clients: int) -> float:
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 80
    head = (
        f"POST /buckets/work HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    loop = asyncio.get_running_loop()
    made = []
    for number in range(clients):
        # No two clients send the same bytes, which would look like one that tries again.
        body = msgspec.json.encode([{**work(), "user": f"bench-{number}"}])
        request = f"{head}{len(body)}\r\n\r\n".encode() + body
        client = _Client(request, share)
        await loop.create_connection(partial(_same, client), host, port)
        made.append(client)
    begun = time.perf_counter()
    for client in made:
        client.begin()
    await asyncio.gather(*[client.done for client in made])
    return time.perf_counter() - begun


def _same(client: _Client) -> _Client:
    return client


class _Client(asyncio.Protocol):
    """Sends the same request again and again, each when the last one is answered."""

    def __init__(self, request: bytes, times: int) -> None:
        self._request = request
        self._left = times
        self._got = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if not self._got.endswith(b"\r\n\r\ntrue"):
            if b"\r\n\r\n" in self._got and not self._got.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(RuntimeError(self._got.decode(errors="replace")))
            return
        self._got = b""
        self._left -= 1
        if self._left:
            self._transport.write(self._request)
        else:
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))


def serve(url: str, key: str) -> None:
    connection = Connection(url, key)
    wanted = msgspec.json.encode({"pipeline": BUCKET})
    while True:
        data = connection.ask("POST", "/buckets/work/withdraw?limit=10&wait_s=20", wanted)
        taken = msgspec.json.decode(data)
        for each in taken:
            run = each["parameters"]
            tally.ran(run["sent_ns"], run["number"])
            each["status"] = "success"
        if taken:
            connection.ask("PUT", "/buckets/work", msgspec.json.encode(taken))


def latency(url: str, key: str, count: int) -> list[float]:
    measured = Tally(Path(os.environ[VARIABLE]))
    connection = Connection(url, key)
    for number in range(count):
        time.sleep(IDLE_S)
        # The work is made before the clock is read, but for the two numbers in it.
        body = msgspec.json.encode([work(time.monotonic_ns(), number)])
        connection.ask("POST", "/buckets/work", body)
        while not measured.samples(number + 1)[number]:
            time.sleep(0.0005)
    return measured.samples(count)


def main() -> None:
    url, key, action, *numbers = sys.argv[1:]
    actions: dict[str, Callable[..., Any]] = {
        "enqueue": enqueue,
        "drain": drain,
        "single": single,
        "serve": serve,
        "latency": latency,
    }
    print(json.dumps(actions[action](url, key, *[int(number) for number in numbers])))


if __name__ == "__main__":
    main()

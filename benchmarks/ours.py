"""Longshore as benchmarks/buckets.py measures it: a real server, over HTTP, durable."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from peers.measuring import Speed
from peers.services import PostgreSQL, running
from peers.tally import VARIABLE, Tally
from server import Server

HERE = Path(__file__).parent
BULK = 500
CONNECTIONS = 2
DURABILITY = {
    "SQLite": "SQLite, WAL, synchronous=FULL; leased until it is done",
    "PostgreSQL": "PostgreSQL, synchronous_commit=on; leased until it is done",
}


class Ours:
    """One server, with an empty store, and the programs that use it."""

    def __init__(self, store: str, postgres: PostgreSQL | None) -> None:
        self.store = store
        self.title = f"Longshore, {store}"
        self.durability = DURABILITY[store]
        self._tally_directory = tempfile.TemporaryDirectory(prefix="longshore-bench-")
        path = Path(self._tally_directory.name, "tally")
        self.tally = Tally(path)
        self._server = Server(postgres, {VARIABLE: str(path)})
        self._variables = self._server.variables
        self.speed(4 * BULK)

    def close(self) -> None:
        self._server.close()
        self._tally_directory.cleanup()

    def speed(self, count: int) -> Speed:
        """Deposit in bulk, then withdraw, run and update in bulk, by a lean client.

        The clock of the drain runs from before the first withdrawal until the last update is
        answered.
        """
        count = count // BULK * BULK
        enqueue_s = self._lean("enqueue", count, BULK, CONNECTIONS)
        drain_s = self._lean("drain", count, BULK, CONNECTIONS)
        return Speed(count / enqueue_s, count / drain_s)

    def worker_speed(self, count: int, *, executor: str) -> float:
        """Return the works per second that a `longshore worker` runs."""
        count = count // BULK * BULK
        self._lean("enqueue", count, BULK, CONNECTIONS)
        self.tally.clear()
        with self._worker(executor):
            self._await_tally(count)
        return count / self.tally.seconds()

    def single(self, count: int, clients: int) -> float:
        """Return single deposits per second by so many clients."""
        seconds = self._lean("single", count, clients)
        # What was deposited goes away, so that the next measurement finds an empty bucket.
        rest = count // clients * clients
        self._lean("drain", rest // BULK * BULK, BULK, 1)
        if rest % BULK:
            self._lean("drain", rest % BULK, rest % BULK, 1)
        return float(rest / seconds)

    def latency(self, count: int) -> list[float]:
        """Return milliseconds from before the deposit to the start, by a lean worker that waits."""
        self.tally.clear()
        program = [sys.executable, HERE / "lean.py", self._server.url, self._server.key, "serve"]
        with running(program, quiet=True, env=self._variables):
            return self._samples(count)

    def worker_latency(self, count: int) -> list[float]:
        """Return the same for a `longshore worker`."""
        self.tally.clear()
        with self._worker("thread"):
            return self._samples(count)

    def _samples(self, count: int) -> list[float]:
        # The first ones wait for the worker to start.
        self._lean("latency", 5)
        return list(self._lean("latency", count))

    def _worker(self, executor: str) -> AbstractContextManager[Any]:
        return self._server.worker("--bucket", "bench", "--slots", "2", "--executor", executor)

    def _lean(self, action: str, *numbers: int) -> Any:
        program: list[str | Path] = [
            sys.executable,
            HERE / "lean.py",
            self._server.url,
            self._server.key,
            action,
        ]
        done = subprocess.run(
            [*program, *map(str, numbers)],
            env=self._variables,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    def _await_tally(self, count: int) -> None:
        deadline = time.monotonic() + 120
        while (done := self.tally.count()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker has run {done} of {count} works")
            time.sleep(0.01)

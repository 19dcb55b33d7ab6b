"""Measures one peer: its producers and its worker are processes in the peers' environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peers.services import PostgreSQL, running
from peers.tally import VARIABLE, Tally

STUCK_S = 120.0


@dataclass(frozen=True)
class System:
    """A system and how much of it is measured.

    Attributes:
        module: the module `with_*` of a peer.
        tasks: tasks in one round, about two seconds' worth.
        variant: which of the settings of the module.
    """

    title: str
    module: str
    store: str
    tasks: int
    variant: str = ""


PEERS = (
    System("PgQueuer", "pgqueuer", "PostgreSQL", 30_000),
    System("Procrastinate", "procrastinate", "PostgreSQL", 2_000),
    System("Celery", "celery", "Redis", 3_000),
    System("Dramatiq", "dramatiq", "Redis", 15_000),
    System("RQ", "rq", "Redis", 1_500),
    System("SAQ", "saq", "Redis", 5_000),
    System("TaskIQ", "taskiq", "Redis", 12_000),
    System("Huey", "huey", "SQLite", 30_000),
    System("Huey, durable", "huey", "SQLite", 8_000, "durable"),
)


@dataclass(frozen=True)
class Speed:
    """Tasks per second."""

    enqueued: float
    drained: float

    @property
    def cycles(self) -> float:
        """Full life cycles per second: enqueued, then drained."""
        return 1 / (1 / self.enqueued + 1 / self.drained)


class Bench:
    """One peer with an empty store."""

    def __init__(self, system: System, python: Path, redis: str | None, postgres: PostgreSQL):
        self.system = system
        self._python = python
        self._directory = Path(tempfile.mkdtemp(prefix="longshore-bench-"))
        self.tally = Tally(self._directory / "tally")
        self._variables = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            VARIABLE: str(self._directory / "tally"),
            "LONGSHORE_BENCH_DIRECTORY": str(self._directory),
            "LONGSHORE_BENCH_VARIANT": system.variant,
            "LONGSHORE_BENCH_REDIS": redis or "",
            "LONGSHORE_BENCH_POSTGRES": postgres.fresh() if system.store == "PostgreSQL" else "",
        }
        self._do("prepare")

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def durability(self) -> str:
        return str(self._do("durability"))

    def speed(self, count: int) -> Speed:
        """Enqueue, then start the worker and let it drain."""
        self.tally.clear()
        enqueue_s = self._do("enqueue", count)
        with self._worker():
            self._await(count)
        return Speed(count / enqueue_s, count / self.tally.seconds())

    def single(self, count: int, clients: int) -> float:
        """Return single enqueues per second by so many clients; a worker clears up afterwards."""
        self.tally.clear()
        seconds = self._do("single", count, clients)
        with self._worker():
            self._await(count // clients * clients)
        return float(count / seconds)

    def latency(self, count: int) -> list[float]:
        """Return milliseconds from before the enqueue to the start of the task, worker idle."""
        self.tally.clear()
        self._do("enqueue", 1)
        with self._worker():
            self._await(1)
            return list(self._do("latency", count))

    def _worker(self) -> Any:
        return running(
            [self._python, "-m", "peers", self.system.module, "worker"],
            quiet=True,
            env=self._variables,
            cwd=self._directory,
        )

    def _await(self, count: int) -> None:
        deadline = time.monotonic() + STUCK_S
        while (done := self.tally.count()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.system.title} has run {done} of {count} tasks.")
            time.sleep(0.01)

    def _do(self, action: str, *numbers: int) -> Any:
        command: list[str | Path] = [self._python, "-m", "peers", self.system.module, action]
        done = subprocess.run(
            [*command, *map(str, numbers)],
            env=self._variables,
            cwd=self._directory,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout.splitlines()[-1])

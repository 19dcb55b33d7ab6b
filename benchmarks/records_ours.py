"""Longshore as benchmarks/pipelines.py measures it: server, worker and client are processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers.services import PostgreSQL
from server import Server, children, cpu_s, peak_bytes

CLIENT = Path(__file__).with_name("records_client.py")
SLOTS = 2


@dataclass(frozen=True)
class Mapped:
    """How a pipeline was mapped over.

    Attributes:
        seconds: from the first record made to the last output in hand.
        cpu_s: processor seconds by who took them, while the client measured.
    """

    seconds: float
    cpu_s: Mapping[str, float] = field(default_factory=dict)


class Ours:
    """A server with an empty store; a worker is there only while something is measured."""

    def __init__(self, store: str, postgres: PostgreSQL | None) -> None:
        self.title = f"Longshore, {store}"
        self._postgres = postgres
        self._server = Server(postgres, {})

    def close(self) -> None:
        self._server.close()

    def map(self, count: int, *, ordered: bool = True, loops: int = 0) -> Mapped:
        """Run so many records through a pipeline by the SDK over HTTP; all outputs are checked."""
        figures, taken = self._run("map", count, int(ordered), loops)
        return Mapped(figures[0], taken)

    def execute(self, count: int) -> list[float]:
        """Return the milliseconds of each of so many synchronous executions."""
        return self._run("execute", count)[0]

    def peak_bytes(self) -> int:
        """Return the most memory that the server process has taken so far."""
        return peak_bytes(self._server.pid)

    def _run(self, *arguments: object) -> tuple[list[float], dict[str, float]]:
        worker = self._server.worker("records_service", "--slots", str(SLOTS))
        with worker as process:
            done = subprocess.Popen(
                [sys.executable, CLIENT, self._server.url, self._server.key, *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert done.stdout is not None
            # It is warm and waits, so that what is counted is what is measured.
            if done.stdout.readline() != "ready\n":
                raise RuntimeError(f"the client ended with status {done.wait()}")
            before = self._taken(process.pid)
            answer, _ = done.communicate("go\n")
            after = self._taken(process.pid)
        if done.returncode:
            raise RuntimeError(f"the client ended with status {done.returncode}")
        printed: dict[str, Any] = json.loads(answer)
        taken = {who: seconds - before[who] for who, seconds in after.items()}
        return printed["figures"], {"client": printed["cpu_s"], **taken}

    def _taken(self, worker: int) -> dict[str, float]:
        """Return processor seconds so far; slots are told from the heartbeat by their module."""
        below = children(worker)
        slots = {pid for pid in below if _runs(pid, "longshore.worker.child")}
        taken = {
            "server": cpu_s(self._server.pid),
            "worker": cpu_s(worker) + sum(cpu_s(pid) for pid in below if pid not in slots),
            "slots": sum(map(cpu_s, slots)),
        }
        if self._postgres is not None:
            taken["database"] = sum(map(cpu_s, children(self._postgres.pid)))
        return taken


def _runs(pid: int, module: str) -> bool:
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")

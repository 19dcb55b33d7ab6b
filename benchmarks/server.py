"""A real Longshore server and its workers, as the benchmarks start them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from peers.services import PostgreSQL, free_port, running

HERE = Path(__file__).parent
READY_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """One server process with an empty store; `variables` go to it and to all its workers.

    Attributes:
        url: its address.
        key: key of its administrator.
        worker_key: key of its workers.
    """

    def __init__(self, postgres: PostgreSQL | None, variables: Mapping[str, str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="longshore-bench-"))
        self.variables = {**os.environ, **variables}
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        data = self.directory / "data"
        command = [sys.executable, "-m", "longshore", "up", "--no-worker"]
        command += ["--data", str(data), "--port", str(port)]
        if postgres is not None:
            command += ["--database", postgres.fresh()]
        self._stack = ExitStack()
        self._process = self._stack.enter_context(
            running(command, quiet=True, cwd=self.directory, env=self.variables)
        )
        self._await_ready()
        keys = json.loads((data / "credentials.json").read_text())
        self.key, self.worker_key = keys["key"], keys["worker_key"]

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """End it, and remove all that it stored."""
        self._stack.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def worker(self, *arguments: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """Run `longshore worker` with more arguments, in the directory of the benchmarks."""
        variables = {
            **self.variables,
            "LONGSHORE_URL": self.url,
            "LONGSHORE_KEY": self.worker_key,
            "PYTHONPATH": str(HERE),
        }
        command = [sys.executable, "-m", "longshore", "worker", *arguments]
        return running(command, quiet=True, cwd=HERE, env=variables)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=2).close()
            except (OSError, urllib.error.URLError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no resident memory: it has ended")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]

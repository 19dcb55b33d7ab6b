"""Real processes for the acceptance tests: servers and workers, and ways to end them.

Every process that a test starts, and every process that those start, carries the test's mark in
its environment. So a test can see what is left behind, and nothing survives it.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx
import psutil

from longshore.wire.connecting import connection_options

T = TypeVar("T")

START_S = 30.0
"""Longest that a start may take on a busy machine; what a start should take is printed, not asserted."""
STOP_S = 30.0
MARK = "ACCEPTANCE_MARK"
APPS = Path(__file__).with_name("behaviours.py")
_PAUSE_S = 0.04
_UNFORESEEN = ("request failed", "a background pass failed", "a background task ended")


@functools.cache
def _bytecode() -> str:
    """Return where all processes keep compiled modules; a start is a fifth shorter with them."""
    directory = tempfile.mkdtemp(prefix="longshore-bytecode-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _inherited(name: str) -> bool:
    return "LONGSHORE" not in name and name != "PYTHONDONTWRITEBYTECODE"


def eventually(condition: Callable[[], T], within_s: float, what: str) -> T:
    """Return the first true value of `condition`, asked again and again for `within_s` seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what} (it is {value!r})")
        pause.wait(_PAUSE_S)


def stays(condition: Callable[[], T], for_s: float, what: str) -> None:
    """Check that `condition` holds, and goes on to hold for `for_s` seconds."""
    pause = threading.Event()
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        assert condition(), f"no longer: {what}"
        pause.wait(_PAUSE_S)


def free_port() -> int:
    """Return a port that nothing listens on, for a server that is restarted at one address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Command:
    """A command of Longshore in a process of its own, whose output goes to a file."""

    program: tuple[str, ...] = ("-m", "longshore")
    """What Python runs."""

    def __init__(self, directory: Path, name: str, mark: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log_path = directory / f"{name}.log"
        # Temporary files go where the test's other files are, and away with them.
        self.scratch = directory / f"{name}-scratch"
        self.scratch.mkdir(exist_ok=True)
        self._mark = mark
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace") if self.log_path.exists() else ""

    def launch(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        assert not self.running, "it runs already"
        self._log = self._log or self.log_path.open("ab")
        inherited = {name: text for name, text in os.environ.items() if _inherited(name)}
        self._process = subprocess.Popen(
            [sys.executable, *self.program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={
                **inherited,
                **environment,
                MARK: self._mark,
                "TMPDIR": str(self.scratch),
                "PYTHONPYCACHEPREFIX": _bytecode(),
            },
            # A group of its own, so that what kills the test runner's group is seen to it by us.
            start_new_session=True,
        )

    def descendants(self) -> list[psutil.Process]:
        """Return the processes that this one and its children have started."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End the process as `kill -9` does, and only this one."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
            self._process.wait(STOP_S)

    def stop(self, within_s: float = STOP_S) -> int:
        """Ask the process to end by SIGTERM and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(within_s)

    def wait(self, within_s: float) -> int:
        """Return the exit status once the process has ended; negative for a signal."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it still runs after {within_s:.0f} s:\n{self.tail()}") from error

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.splitlines()[-lines:])

    def close(self) -> None:
        self.kill()
        if self._log is not None:
            self._log.close()
            self._log = None


class Server(Command):
    """`longshore up` on one data directory and one port, for as many lives as a test needs."""

    def __init__(
        self,
        data: Path,
        mark: str,
        *,
        database: str | None = None,
        apps: Iterable[Path] = (),
        worker: bool = False,
        slots: int | None = None,
        settings: dict[str, str] | None = None,
    ) -> None:
        super().__init__(data.parent, f"{data.name}-server", mark)
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.starts_s: list[float] = []
        self._settings = settings or {}
        self._arguments = ["up", "--data", str(data), "--port", str(self.port)]
        if database is not None:
            self._arguments += ["--database", database]
        if not worker:
            self._arguments += ["--no-worker"]
        if slots is not None:
            self._arguments += ["--slots", str(slots)]
        for app in apps:
            self._arguments += ["--app", str(app)]

    @property
    def credentials(self) -> dict[str, Any]:
        stored: dict[str, Any] = json.loads((self.data / "credentials.json").read_text("utf-8"))
        return stored

    @property
    def key(self) -> str:
        return str(self.credentials["key"])

    @property
    def worker_key(self) -> str:
        return str(self.credentials["worker_key"])

    @property
    def database(self) -> str:
        if "--database" in self._arguments:
            return self._arguments[self._arguments.index("--database") + 1]
        return f"sqlite:///{self.data / 'longshore.db'}"

    def start(self, *, fault: str | None = None, within_s: float = START_S) -> float:
        """Start the server and return after how many seconds it was ready."""
        begun = time.monotonic()
        armed = {"LONGSHORE_FAULT": fault} if fault else {}
        self.launch(self._arguments, {**self._settings, **armed})
        eventually(self._ready_or_dead, within_s, "the server is ready")
        if not self.running:
            raise AssertionError(f"the server ended instead of starting:\n{self.tail()}")
        self.starts_s.append(time.monotonic() - begun)
        return self.starts_s[-1]

    def restart(self) -> float:
        """Kill the server as `kill -9` does and start it again."""
        self.kill()
        return self.start()

    def unforeseen(self) -> list[str]:
        """Return the log lines of what failed for a reason that nobody foresaw."""
        return [
            line for line in self.log.splitlines() if any(words in line for words in _UNFORESEEN)
        ]

    def _ready_or_dead(self) -> bool:
        if not self.running:
            return True
        try:
            options = connection_options(self.url)
            return httpx.get(f"{self.url}/readyz", timeout=2.0, **options).is_success
        except httpx.TransportError:
            return False


class WorkerProcess(Command):
    """`longshore worker` with the apps of these tests, started again after each death."""

    def __init__(
        self,
        directory: Path,
        name: str,
        mark: str,
        server: Server,
        *,
        slots: int = 2,
        apps: Path = APPS,
        options: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        super().__init__(directory, f"worker-{name}", mark)
        self.name = name
        self._server = server
        self._arguments = ["worker", str(apps), "--server", server.url, "--name", name]
        self._arguments += ["--slots", str(slots), *options]
        self._environment = environment or {}

    def start(self) -> None:
        key = {"LONGSHORE_KEY": self._server.worker_key, "LONGSHORE_URL": self._server.url}
        self.launch(self._arguments, {**key, **self._environment})


def marked(mark: str) -> list[psutil.Process]:
    """Return the living processes (zombies aside) that carry a test's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found


def kill_marked(mark: str) -> None:
    """End all that a test has started, whatever became of its parents."""
    for process in marked(mark):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue

"""The server and the worker of a demo: real processes, in a directory of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from longshore.errors import ConfigurationError, ServerUnreachable
from longshore.settings import child_environment
from longshore.wire.connecting import connection_options

LEASE_S = 3
"""Length of the leases: a dead worker's files go to the next one this soon."""

_START_S = 120.0
_STOP_S = 20.0
_LOG_LINES_SHOWN = 5
_ERROR = "longshore: "


class Process:
    """A command of Longshore in a child process, whose output goes to a file."""

    def __init__(self, directory: Path, name: str) -> None:
        self.log_path = directory / f"{name}.log"
        self._log: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, arguments: Sequence[str], **environment: str) -> None:
        self._log = self.log_path.open("ab")
        # Same process group as the demo: Ctrl-C and a closed terminal reach all of them.
        self._process = subprocess.Popen(  # noqa: S603 - this program's own command
            [sys.executable, "-m", "longshore", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=child_environment(**environment),
        )

    @property
    def pid(self) -> int:
        """Id of the process, which must have been started."""
        assert self._process is not None, "started before it is asked for its id"
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is not running (any more)."""
        return self._process is None or self._process.poll() is not None

    def ask_to_end(self) -> None:
        """Ask the process to end, and do not wait for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Ask the process to end, and end it when it does not."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._forget()

    def kill(self) -> None:
        """End the process as `kill -9` does: it cannot say a word."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._forget()

    def last_words(self) -> str:
        """Return the error that the process ended with, or else the last lines that it wrote."""
        lines = self.log_path.read_text("utf-8", errors="replace").splitlines()
        errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
        shown = errors[-1:] or lines[-_LOG_LINES_SHOWN:]
        return " / ".join(line.strip() for line in shown if line.strip()) or "none"

    def _forget(self) -> None:
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None


class DemoServer(Process):
    """A server without a worker, with its data below `directory`."""

    def __init__(self, directory: Path) -> None:
        """Choose where its data lies; nothing is started yet."""
        super().__init__(directory, "server")
        self.data = directory / "data"
        self.url = ""
        self.key = ""
        self.worker_key = ""

    @property
    def blobs(self) -> Path:
        """Directory of the stored files."""
        return self.data / "blobs"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            ConfigurationError: the server ended instead of starting.
            ServerUnreachable: it does not answer in time.
        """
        arguments = ["up", "--no-worker", "--port", "0", "--host", "127.0.0.1"]
        database = f"sqlite:///{self.data / 'longshore.db'}"
        arguments += ["--data", str(self.data), "--blobs", str(self.blobs), "--database", database]
        self._start(arguments, LONGSHORE_LEASE_S=str(LEASE_S), LONGSHORE_LOG_LEVEL="warning")
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server."""
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self.ended:
                raise ConfigurationError(
                    f"The server of the demo did not start. Its last words: {self.last_words()}"
                )
            if self._read_credentials() and _answers(f"{self.url}/readyz"):
                return
            time.sleep(0.05)
        raise ServerUnreachable(
            f"The server of the demo does not answer after {_START_S:.0f} s: {self.last_words()}"
        )

    def _read_credentials(self) -> bool:
        path = self.data / "credentials.json"
        if not path.is_file():
            return False
        stored: dict[str, Any] = json.loads(path.read_text("utf-8") or "{}")
        self.url, self.key = stored.get("url") or "", stored.get("key") or ""
        self.worker_key = stored.get("worker_key") or ""
        return bool(self.url and self.key and self.worker_key)


class DemoWorker(Process):
    """A worker that serves one module; started again after each kill."""

    def __init__(self, directory: Path, url: str, key: str, module: Path, *, slots: int) -> None:
        """Choose what it serves; nothing is started yet."""
        super().__init__(directory, "worker")
        self._url, self._key = url, key
        self._arguments = ["worker", str(module), "--server", url, "--slots", str(slots)]
        self._module = module
        self._starts = 0

    @property
    def name(self) -> str:
        """What the server knows the present process by; each has a name of its own."""
        return f"demo-{self._module.stem}-{self._starts}"

    def start(self) -> None:
        """Start the worker; it claims as soon as it is ready."""
        self._starts += 1
        arguments = [*self._arguments, "--name", self.name]
        self._start(arguments, LONGSHORE_URL=self._url, LONGSHORE_KEY=self._key)


def _answers(url: str) -> bool:
    import httpx

    try:
        answer = httpx.get(url, timeout=1.0, **connection_options(url))
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK

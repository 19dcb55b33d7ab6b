"""Programs of elements workers, run as people run them: in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.corpus_server import RUN, ProtocolServer, serving

TIMEOUT_S = 60.0


class Program:
    """A worker program, and the server that it calls."""

    def __init__(self, server: ProtocolServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.started: list[subprocess.Popen[str]] = []
        self.start_as = "Toy(description='Toy').run()"
        self.body = "class Toy(ElementsWorker):\n    pass\n"

    def write(self, body: str) -> None:
        """Set what the class `Toy` is."""
        self.body = textwrap.dedent(body)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        path = self.directory / "toy.py"
        path.write_text(
            "import os, pathlib, sys, threading\n"
            "from longshore.corpus import *\n"
            f"{self.body}\n"
            "if __name__ == '__main__':\n"
            f"    {self.start_as}\n",
            "utf-8",
        )
        kept = {"PATH", "HOME", "COVERAGE_PROCESS_START", "PYTHONPATH"}
        process = subprocess.Popen(
            [sys.executable, str(path), *arguments],
            env={
                **{name: value for name, value in os.environ.items() if name in kept},
                "ARKINDEX_API_URL": self.server.url,
                "ARKINDEX_API_TOKEN": "token",
                "ARKINDEX_WORKER_RUN_ID": RUN,
                "XDG_DATA_HOME": str(self.directory),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.directory,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> Ended:
        return self.end(self.start(*arguments, **environment))

    def end(self, process: subprocess.Popen[str]) -> Ended:
        output, errors = process.communicate(timeout=TIMEOUT_S)
        return Ended(process.returncode, output, errors)


class Ended:
    def __init__(self, code: int, output: str, errors: str) -> None:
        self.code = code
        self.output = output
        self.errors = errors

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.output}\n{self.errors}"


@pytest.fixture
def server() -> Iterator[ProtocolServer]:
    with serving(ProtocolServer()) as made:
        yield made


@pytest.fixture
def native_server() -> Iterator[ProtocolServer]:
    """A server that is a Longshore, as far as activities go."""
    with serving(ProtocolServer(native=True)) as made:
        yield made


@pytest.fixture
def program(server: ProtocolServer, tmp_path: Path) -> Iterator[Program]:
    yield from _program(server, tmp_path)


@pytest.fixture
def native_program(native_server: ProtocolServer, tmp_path: Path) -> Iterator[Program]:
    yield from _program(native_server, tmp_path)


def _program(server: ProtocolServer, directory: Path) -> Iterator[Program]:
    made = Program(server, directory)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()

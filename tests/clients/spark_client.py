"""The published client `cspark`: its environments, and objects of it that live in a console.

Two versions are driven, 0.3.3 and 0.1.10, each in an environment of its own. So the client always
runs as another process: as a program of a user, or as the console, which makes one call after
another and keeps clients, pipelines and chunks.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PROGRAMS = Path(__file__).with_name("programs")
ANSWER_S = 60.0
"""Longest that one call may take."""
PRESENT = "cspark"
EARLY = "cspark-0.1"


class SparkFailed(Exception):
    """The published client raised."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['type']}: {error['message']} {error['body'] or ''}")
        self.type: str = error["type"]
        self.message: str = error["message"]
        self.status: int | None = error["status"]
        self.body: str | None = error["body"]
        """What the server answered; None where the client asked nothing or had no answer."""
        self.headers: dict[str, str] = error["headers"]
        self.request_id: str | None = error["request_id"]

    @property
    def told(self) -> str:
        """What the server said to the user."""
        assert self.body is not None, self
        return self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call of the client returned, and the request behind it."""

    status: int
    data: Any
    headers: Mapping[str, str]
    request: Mapping[str, Any]


def python_of(client: str) -> Path:
    """Return the interpreter of a client's environment, or say how to make that."""
    path = Path(sys.prefix, "clients", client, "bin", "python")
    if not path.exists():
        pytest.fail(
            f"The published client {client} is not installed: there is no {path}. "
            "It has an environment of its own, which `make venv` and `make test` make."
        )
    return path


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a user who has set nothing but this."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("CSPARK_", "LONGSHORE_", "PYTHON"))
        and not name.lower().endswith("_proxy")
    }
    return {**kept, "HOME": str(home), "PYTHONUTF8": "1", **more}


class Console:
    """One process of the published client, which calls what a test asks it to."""

    def __init__(self, client: str, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.client = client
        self.log_path = home / f"{client}.log"
        self._log = self.log_path.open("ab")
        self._process = subprocess.Popen(
            [python_of(client), PROGRAMS / "spark_console.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment(home),
            text=True,
            encoding="utf-8",
        )
        self.took_s = 0.0
        """How long the last call took."""
        self.sdk = Remote(self, 0)

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and return what came of it.

        Raises:
            SparkFailed: the client raised.
        """
        self.begin(request)
        return self.end()

    def begin(self, request: dict[str, Any]) -> None:
        """Begin a call, to do something else while it goes on."""
        assert self._process.stdin is not None
        self._begun = time.monotonic()
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def end(self) -> Any:
        """Return what the call that was begun has returned."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
        line = self._process.stdout.readline() if readable else ""
        self.took_s = time.monotonic() - self._begun
        if not line:
            log = self.log_path.read_text("utf-8", errors="replace")
            raise AssertionError(f"no answer after {self.took_s:.0f} s:\n{log}")
        answer = json.loads(line)
        if "error" in answer:
            raise SparkFailed(answer["error"])
        return self._decode(answer["value"])

    def connect(self, url: str, key: str, *, kind: str = "Client", **options: Any) -> Remote:
        """Make a client of the server at `url`; the tenant is in `options`, the rest is as given.

        The client takes addresses of its vendor only, unless they come as a `BaseUrl`.
        """
        base_url = self.sdk.BaseUrl(url=url, tenant=options.pop("tenant"))
        given = {"api_key": key, "timeout": ANSWER_S * 1000, **options}
        made: Remote = self.sdk.reach(kind)(base_url=base_url, **given)
        return made

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._decode(each) for each in value]
        if isinstance(value, dict):
            if "$object" in value:
                return Remote(self, value["$object"])
            if "$answer" in value:
                return Answer(**value["$answer"])
            return {name: self._decode(each) for name, each in value.items()}
        return value


class Remote:
    """An object of the published client that lives in a console, or what is reached from it."""

    def __init__(self, console: Console, number: int, path: str = "") -> None:
        self._console = console
        self._number = number
        self._path = path

    def __getattr__(self, name: str) -> Remote:
        return self.reach(name)

    def reach(self, name: str) -> Remote:
        """Return what has this name; nothing is asked yet."""
        return Remote(self._console, self._number, f"{self._path}.{name}".lstrip("."))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._console.ask(self.request(*args, **kwargs))

    def request(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the request of a call, for `Console.begin`."""
        called = {"args": _plain(list(args)), "kwargs": _plain(kwargs)}
        return {"on": self._number, "path": self._path, **called}

    def read(self) -> Any:
        """Return the value of an attribute."""
        return self._console.ask({"on": self._number, "path": self._path})

    @property
    def number(self) -> int:
        return self._number

    @property
    def path(self) -> str:
        return self._path


def _plain(value: Any) -> Any:
    if isinstance(value, Remote):
        return {"$object": value.number, "path": value.path}
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def run_program(client: str, home: Path, name: str, **variables: str) -> subprocess.Popen[str]:
    """Start a program of a user; what it prints is read by `finish`."""
    return subprocess.Popen(
        [python_of(client), PROGRAMS / name],
        env=environment(home, **variables),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def finish(program: subprocess.Popen[str], within_s: float) -> str:
    """Wait for the end of a program and return what it has printed."""
    try:
        printed, _ = program.communicate(timeout=within_s)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == 0, printed
    return printed

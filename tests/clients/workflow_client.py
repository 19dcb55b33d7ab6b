"""The published workflow client: its environment, its workspace, and ways to run what it offers.

The client has an environment of its own, so it always runs as another process: as the command
`workflow`, as a program of a user, or as the console, which makes one call after another.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

PROGRAMS = Path(__file__).with_name("programs")
ANSWER_S = 60.0
"""Longest that one call may take; the client's own retries go on for 30 seconds."""
PROMPTLY_S = 5.0
"""A call that the client had to repeat takes longer than this far too often to be missed."""
_ENVIRONMENT = Path(sys.prefix, "clients", "workflow")


class CallFailed(Exception):
    """The published client raised."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['type']} ({error['cause']}): {error['message']}")
        self.type: str = error["type"]
        self.cause: str = error["cause"]
        self.status: int | None = error["status"]


def executable(name: str) -> Path:
    """Return a program of the client's environment, or say how to make that."""
    path = _ENVIRONMENT / "bin" / name
    if not path.exists():
        pytest.fail(
            f"The published workflow client is not installed: there is no {path}. "
            "It has an environment of its own, which `make venv` and `make test` make."
        )
    return path


@dataclass(frozen=True, slots=True)
class Workspace:
    """A home directory in which `~/.config/workflow/workspace.yml` leads to a server."""

    home: Path
    key: str | None

    @classmethod
    def make(cls, home: Path, url: str, key: str | None) -> Workspace:
        home.mkdir(parents=True)
        (home / "archive").mkdir()
        made = cls(home, key)
        made.path.parent.mkdir(parents=True)
        # JSON is YAML.
        made.path.write_text(json.dumps(_workspace(home, url)), "utf-8")
        return made

    @property
    def path(self) -> Path:
        return self.home / ".config" / "workflow" / "workspace.yml"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user whose home this is."""
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("WORKFLOW_", "GITHUB_", "LONGSHORE_", "PYTHON"))
            and not name.lower().endswith("_proxy")
        }
        token = {} if self.key is None else {"WORKFLOW_TOKEN": self.key}
        terminal = {"COLUMNS": "400", "TERM": "dumb", "NO_COLOR": "1"}
        paths = {"HOME": str(self.home), "PYTHONPATH": str(PROGRAMS)}
        return {**kept, **terminal, **paths, **token, **more}


def _workspace(home: Path, url: str) -> dict[str, Any]:
    archive = {"methods": ["bypass", "copy", "move", "delete"], "storage": "posix"}
    return {
        "workspace": "tests",
        "sites": ["local", "chime"],
        "http": {"baseurls": {"buckets": f"{url}/buckets", "results": f"{url}/results"}},
        "archive": {"posix": {"local": str(home / "archive" / "workflow")}},
        "config": {"archive": {"results": True, "products": archive, "plots": archive}},
    }


class Console:
    """One process of the published client, which calls what a test asks it to."""

    def __init__(self, workspace: Workspace, log: Path, **environment: str) -> None:
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            [executable("python"), PROGRAMS / "workflow_console.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=workspace.environment(**environment),
            text=True,
            encoding="utf-8",
        )
        self.pid = self._process.pid
        self.log_path = log
        self.took_s = 0.0
        """How long the last call took."""
        self._waiting = False
        self.buckets: Any = _Part(self, "buckets")
        self.results: Any = _Part(self, "results")

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the client and return what it returned.

        Raises:
            CallFailed: the client raised.
        """
        self.send(name, *args, **kwargs)
        return self.receive()

    def send(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Begin a call, to do something else while it goes on."""
        assert self._process.stdin is not None
        self._begun, self._waiting = time.monotonic(), True
        request = {"call": name, "args": args, "kwargs": kwargs}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Any:
        """Return what the call that was begun has returned."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], ANSWER_S)
        line = self._process.stdout.readline() if readable else ""
        self.took_s = time.monotonic() - self._begun
        if not line:
            raise AssertionError(f"no answer after {self.took_s:.0f} s:\n{self.log}")
        self._waiting = False
        answer = json.loads(line)
        if "error" in answer:
            raise CallFailed(answer["error"])
        return answer["value"]

    @property
    def usable(self) -> bool:
        """Whether another test can go on with this process."""
        return self._process.poll() is None and not self._waiting

    def become(self, key: str | None) -> None:
        """Go on as the user with this key."""
        self.call("console.become", key)

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace")

    def work(self, **fields: Any) -> RemoteWork:
        """Make a `Work`; what every work needs is filled in."""
        given = {"site": "local", "user": "tester", **fields}
        return RemoteWork(self, self.call("work.create", **given))

    def withdraw(self, pipeline: str | list[str], **filters: Any) -> RemoteWork | None:
        """`Work.withdraw`."""
        found = self.call("work.withdraw", pipeline, **filters)
        return None if found is None else RemoteWork(self, found)

    def deposit(self, pipeline: str, **fields: Any) -> str:
        """Deposit one work and return its id."""
        (work_id,) = self.work(pipeline=pipeline, **fields).deposit(return_ids=True)
        return str(work_id)

    def payload(self, pipeline: str, **fields: Any) -> dict[str, Any]:
        """Return what a `Work` would deposit."""
        return self.work(pipeline=pipeline, **fields).payload

    def running(self, pipeline: str, **fields: Any) -> dict[str, Any]:
        """Deposit a work and withdraw it."""
        self.deposit(pipeline, **fields)
        work: dict[str, Any] = self.buckets.withdraw(pipeline)
        assert work["status"] == "running"
        return work

    def look(self, work_id: str) -> dict[str, Any]:
        """Return the document of one work."""
        (found,) = self.buckets.view({"id": work_id}, {})
        return dict(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


class _Part:
    """The client of one service, whose methods run in the console."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._console.call(f"{self._name}.{verb}", *args, **kwargs)


class RemoteWork:
    """A `Work` of the published client that lives in a console."""

    def __init__(self, console: Console, made: dict[str, Any]) -> None:
        self._console = console
        self._number = made["number"]
        self.payload: dict[str, Any] = made["payload"]

    def __getitem__(self, name: str) -> Any:
        return self.payload[name]

    def set(self, **fields: Any) -> RemoteWork:
        self.payload = self._console.call("work.set", self._number, **fields)
        return self

    def deposit(self, **options: Any) -> Any:
        return self._console.call("work.deposit", self._number, **options)

    def update(self) -> Any:
        return self._console.call("work.update", self._number)

    def delete(self) -> Any:
        return self._console.call("work.delete", self._number)


def run_command(
    workspace: Workspace, *arguments: str, answer: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `workflow ...` to its end, with `answer` typed at its prompts."""
    return subprocess.run(
        [executable("workflow"), *arguments],
        input=answer,
        env=workspace.environment(**environment),
        cwd=workspace.home,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )


def run_program(workspace: Workspace, name: str) -> subprocess.CompletedProcess[str]:
    """Run a program of a user to its end."""
    return subprocess.run(
        [executable("python"), PROGRAMS / name],
        env=workspace.environment(),
        cwd=workspace.home,
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
        check=False,
    )


@contextmanager
def running(
    workspace: Workspace, arguments: Sequence[str], log: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """`workflow ...` that goes on until the block is left."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [executable("workflow"), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=workspace.environment(**environment),
            cwd=workspace.home,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

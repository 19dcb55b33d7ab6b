"""The published base of corpus workers, run as programs of its users against a real server."""

from __future__ import annotations

import io
import json
import secrets
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.acceptance.harness import Command, Server, eventually
from tests.clients.spark_client import environment, python_of

PROGRAMS = Path(__file__).with_name("programs")
TODAY, EARLY = "arkindex", "arkindex-0.4"
OURS = "longshore"
"""The same programs on our own SDK, with nothing changed but what they import from where."""
FLAVOURS = (TODAY, EARLY, OURS)
_MOVED = {
    "from arkindex_worker.worker.training import": "from longshore.corpus.training import",
    "from arkindex_worker.worker import": "from longshore.corpus import",
    "from arkindex_worker.utils import": "from longshore.corpus.utils import",
}
TYPES = ("folder", "page", "text_line")
PROGRAM_S = 120.0
"""Longest that a worker may take on a busy machine."""
SIZE = (200, 300)


@dataclass(frozen=True)
class Ended:
    """How a worker program ended."""

    status: int
    output: str
    """Its standard output."""
    log: str
    """What the library logged, on standard error."""

    def said(self, word: str) -> list[Any]:
        """Return what the program printed after a word, as JSON."""
        lines = [line.partition(" ") for line in self.output.splitlines()]
        return [json.loads(rest) for first, _, rest in lines if first == word]


StartWorker = Callable[..., None]
"""Starts a `longshore worker`: commands by slug, then as `TaskWorker.start`."""


class TaskWorker(Command):
    """`longshore worker` that runs a program of the published library for each task."""

    def __init__(self, archive: Archive, mark: str, programs: Mapping[str, Sequence[str]]) -> None:
        """Run nothing yet; `programs` has words of commands by the worker's slug."""
        super().__init__(archive.home, "task-worker", mark)
        self._server = archive.server
        self._programs = programs

    def start(
        self, *options: str, slots: int = 1, variables: Mapping[str, str] | None = None
    ) -> None:
        arguments = ["worker", "--server", self._server.url, "--slots", str(slots), *options]
        for slug, words in self._programs.items():
            arguments += ["--task", f"{slug}={shlex.join(words)}"]
        self.launch(arguments, {"LONGSHORE_KEY": self._server.worker_key, **(variables or {})})


def program(flavour: str, name: str, home: Path) -> list[str]:
    """Return the words of the command that runs a program with one version of the library.

    `home` is where it is written to when its imports have to be changed.
    """
    source = PROGRAMS / name
    if flavour == OURS:
        text = source.read_text()
        for theirs, ours in _MOVED.items():
            text = text.replace(theirs, ours)
        assert "arkindex_worker" not in text
        (home / name).write_text(text)
        return [sys.executable, str(home / name)]
    python = python_of(flavour)
    # The library wants libmagic of the system; this one came with its environment.
    path = f"LD_LIBRARY_PATH={_magic(python)}"
    return ["/usr/bin/env", path, str(python), str(source)]


class Archive:
    """A server with a corpus of pages, and ways to run workers over it."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server = server
        self.home = home
        self._http = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.key}"},
            trust_env=False,
            timeout=60.0,
        )
        types = [{"slug": slug, "folder": slug == "folder"} for slug in TYPES]
        body = {"name": f"Letters {secrets.token_hex(4)}", "types": types}
        self.corpus_id = self.call("POST", "/corpus/", body)["id"]

    def close(self) -> None:
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """Send a request to a path below /api/v1, or to any that begins with /longshore."""
        address = path if path.startswith("/longshore") else f"/api/v1{path}"
        return self._http.request(method, address, json=body, **more)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = self.ask(method, path, body, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def listed(self, path: str, **query: Any) -> list[Any]:
        """Return all of a listing in numbered pages."""
        found, number = [], 1
        while True:
            page = self.call("GET", path, params={**query, "page": number, "page_size": 100})
            found += page["results"]
            if page["next"] is None:
                return found
            number += 1

    def image(self, color: str = "white") -> str:
        """Take an image in and return its id."""
        data = io.BytesIO()
        picture = Image.new("RGB", SIZE, color)
        picture.putpixel((0, 0), tuple(secrets.token_bytes(3)))
        picture.save(data, "PNG")
        answer = self._http.post(
            "/longshore/v1/corpus/images", params={"name": "scan.png"}, content=data.getvalue()
        )
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def pages(self, *names: str) -> list[str]:
        """Make pages, each with an image of its own; return their ids."""
        return [self.page(name, self.image()) for name in names]

    def page(self, name: str, image: str | None = None) -> str:
        body = {"corpus": self.corpus_id, "type": "page", "name": name, "image": image}
        return str(self.call("POST", "/elements/create/", body)["id"])

    def worker(self, slug: str = "toy", **fields: Any) -> dict[str, Any]:
        """Enter a version of a worker, as a `longshore worker` that could run it does."""
        registration = {
            "name": "elsewhere",
            "slots": 1,
            "incarnation": secrets.token_hex(8),
            "workers": [{"slug": slug, "version": "1", **fields}],
        }
        return self._as_worker("register", registration)

    def claim_task(self, slug: str = "toy") -> dict[str, Any]:
        """Claim a task of a worker as a `longshore worker` does; return what it is given."""
        worker = self.worker(slug)
        wanted = {"worker_id": worker["worker_id"], "queues": worker["queues"], "limit": 1}
        (claimed,) = self._as_worker("claim", wanted)["works"]
        payload: dict[str, Any] = claimed["payload"]
        return payload

    def _as_worker(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.server.url}/longshore/v1/worker/{verb}",
            headers={"Authorization": f"Bearer {self.server.worker_key}"},
            json=body,
            trust_env=False,
        )
        assert answer.is_success, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def process(
        self, *, start: bool = True, run: Mapping[str, Any] | None = None, **fields: Any
    ) -> Any:
        """Make a process with one worker, and start it; return it as it is shown."""
        body = {
            "corpus": self.corpus_id,
            "workers": [{"worker": "toy", **(run or {})}],
            **fields,
        }
        made = self.call("POST", "/process/", body)
        if start:
            self.call("POST", f"/process/{made['id']}/start/")
        return made

    def run_of(self, process: Mapping[str, Any]) -> str:
        """Return the id of the only worker run of a process."""
        (run,) = process["workers"]
        return str(run["id"])

    def states(self, process: Mapping[str, Any]) -> dict[str, str]:
        """Return the state of each element of a process."""
        page = self.call("GET", f"/process/{process['id']}/activities/", params={"page_size": 500})
        assert page["next"] is None
        return {row["element"]["id"]: row["state"] for row in page["results"]}

    def ended(self, process: Mapping[str, Any], *, within_s: float = PROGRAM_S) -> str:
        """Wait for the end of a process; return its state."""

        def state() -> str | None:
            now = str(self.call("GET", f"/process/{process['id']}/")["state"])
            return now if now not in ("unscheduled", "pending", "running") else None

        return str(eventually(state, within_s, "the process ends"))

    def logs(self, process: Mapping[str, Any]) -> str:
        """Return what the programs of a process have printed."""
        shown = self.call("GET", f"/process/{process['id']}/")
        lines = []
        for task in shown["tasks"]:
            path = f"/longshore/v1/works/{task['work_id']}/logs"
            lines += [line["text"] for line in self.call("GET", path)["lines"]]
        return "\n".join(lines)

    def texts(self, element_id: str, **query: Any) -> list[str]:
        rows = self.listed(f"/element/{element_id}/transcriptions/", **query)
        return sorted(row["text"] for row in rows)

    def start(
        self,
        flavour: str,
        name: str,
        *arguments: str,
        worker_run: str | None = None,
        **variables: str,
    ) -> subprocess.Popen[str]:
        """Start a worker as a user does, in the environment of one version of the library."""
        given = {
            "ARKINDEX_API_URL": f"{self.server.url}/",
            "ARKINDEX_API_TOKEN": self.server.key,
            **variables,
        }
        if worker_run is not None:
            given["ARKINDEX_WORKER_RUN_ID"] = worker_run
        return subprocess.Popen(
            [*program(flavour, name, self.home), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=environment(self.home, **given),
        )

    def work(self, flavour: str, name: str, *arguments: str, **more: Any) -> Ended:
        """Run a worker to its end."""
        process = self.start(flavour, name, *arguments, **more)
        try:
            output, log = process.communicate(timeout=PROGRAM_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it still runs:\n{process.communicate()[1]}") from None
        return Ended(process.returncode, output, log)


def _magic(python: Path) -> Path:
    return next(python.parent.parent.glob("lib/python3*/site-packages")) / "pylibmagic"


__all__ = [
    "EARLY",
    "FLAVOURS",
    "OURS",
    "TODAY",
    "Archive",
    "Ended",
    "StartWorker",
    "TaskWorker",
    "program",
]

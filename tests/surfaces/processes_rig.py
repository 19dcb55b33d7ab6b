"""Processes over the corpora of `corpus_rig`, with a worker that speaks the worker's protocol."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longshore.clock import ManualClock
from longshore.engine import janitor
from longshore.storage import Database
from longshore.surfaces.corpus import tasks
from tests.surfaces.corpus_rig import Corpora, corpora_of

UNKNOWN = "018f0000-0000-7000-8000-000000000000"
OFFER = {
    "slug": "reader",
    "version": "1",
    "name": "Line reader",
    "configuration": {"configuration": {"scale": 2}},
}


@dataclass
class Processes:
    """A corpus with pages, and one `longshore worker` that offers the worker "reader"."""

    corpora: Corpora
    corpus: str
    worker_id: str = ""
    queues: list[int] = field(default_factory=list)

    @property
    def database(self) -> Database:
        return self.corpora.database

    async def call(self, method: str, path: str, **more: Any) -> Any:
        return await self.corpora.call(method, path, **more)

    def pages(self, *names: str) -> list[str]:
        return self.corpora.elements(self.corpus, names)

    async def register(self, *offers: dict[str, Any]) -> None:
        """Let a worker say what it can run; "reader" unless given."""
        body = {
            "name": "worker",
            "slots": 2,
            "incarnation": secrets.token_hex(8),
            "workers": list(offers) or [OFFER],
        }
        answer = await self._worker("register", body)
        self.worker_id, self.queues = answer["worker_id"], answer["queues"]

    async def create(self, *, expect: int = 201, **fields: Any) -> Any:
        body = {"corpus": self.corpus, "workers": [{"worker": "reader"}], **fields}
        if not {"element_type", "elements", "parent", "sets", "mode"} & set(fields):
            body["element_type"] = "page"
        return await self.call("POST", "/process/", body=body, expect=expect)

    async def start(self, **fields: Any) -> Any:
        """Make a process and start it; return it."""
        made = await self.create(**fields)
        return await self.call("POST", f"/process/{made['id']}/start/")

    async def process(self, made: Any) -> Any:
        return await self.call("GET", f"/process/{made['id']}/")

    async def say(
        self,
        made: Any,
        element: str,
        state: str,
        *,
        expect: int = 200,
        token: str | None = None,
        run: int = 0,
    ) -> Any:
        """Say what the published worker says of an element."""
        path = f"/workers/versions/{made['workers'][run]['id']}/activity/"
        body = {"element_id": element, "process_id": made["id"], "state": state}
        headers = {} if token is None else ponos(token)
        return await self.call("PUT", path, body=body, expect=expect, headers=headers)

    async def claim(self, limit: int = 100) -> list[dict[str, Any]]:
        """Claim tasks, as `longshore worker` does."""
        body = {"worker_id": self.worker_id, "queues": self.queues, "limit": limit}
        found = (await self._worker("claim", body))["works"]
        assert isinstance(found, list)
        return found

    async def report(
        self, claimed: dict[str, Any], outcome: str = "success", **result: Any
    ) -> list[Any]:
        """Report how the program of a task ended."""
        body = {
            "work_id": claimed["work_id"],
            "attempt": claimed["attempt"],
            "outcome": outcome,
            "result": {"exit_code": 0 if outcome == "success" else 1, "files": [], **result},
        }
        answer = await self._worker("report", {"worker_id": self.worker_id, "reports": [body]})
        lost = answer["lost"]
        assert isinstance(lost, list)
        return lost

    async def native(self, verb: str, body: Any, *, token: str | None = None, **more: Any) -> Any:
        """Call the bulk form of activities."""
        headers = {} if token is None else ponos(token)
        path = f"/longshore/v1/corpus/activities/{verb}"
        return await self.call("POST", path, body=body, headers=headers, **more)

    async def states(self, made: Any, **query: Any) -> dict[str, str]:
        """Return the states of a process's activities by element."""
        answer = await self.call("GET", f"/process/{made['id']}/activities/", params=query)
        return {each["element"]["id"]: each["state"] for each in answer["results"]}

    def tidy(self) -> None:
        """Do what the server does by itself: leases, retries, and what follows from them."""
        for _ in range(2):
            self.database.write_blocking(janitor.tidy)
            self.database.write_blocking(tasks.follow)

    async def _worker(self, verb: str, body: Any) -> Any:
        return await self.call("POST", f"/longshore/v1/worker/{verb}", body=body)


def ponos(token: str) -> dict[str, str]:
    """Return the header by which the program of a task says who it is."""
    return {"Authorization": f"Ponos {token}"}


@asynccontextmanager
async def processes_of(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Processes]:
    """Serve a corpus over a database, with a worker that does what a test tells it to."""
    async with corpora_of(database, clock, directory) as corpora:
        made = Processes(corpora, corpora.corpus())
        await made.register()
        yield made

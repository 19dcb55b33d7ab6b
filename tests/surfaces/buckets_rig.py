"""The buckets surface in this process, over HTTP, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from longshore.clock import ManualClock
from longshore.engine import janitor, works
from longshore.storage import Database
from tests.unit.serving import Served, bearer, serving

Document = dict[str, Any]
BUCKET = "dispersion-search"


def payload(pipeline: str = BUCKET, **fields: Any) -> Document:
    """Return a work as the published client sends it."""
    return {
        "pipeline": pipeline,
        "site": "local",
        "user": "ann",
        "function": None,
        "parameters": None,
        "command": None,
        "results": None,
        "products": None,
        "plots": None,
        "tags": None,
        "event": None,
        "id": None,
        "creation": 1795198889.41,
        "start": None,
        "stop": None,
        "attempt": 0,
        "status": "created",
        "timeout": 3600,
        "retries": 2,
        "priority": 3,
        "config": {
            "archive": {"results": True, "products": "copy", "plots": "copy", "logs": "move"},
            "metrics": False,
            "parent": None,
            "orgs": ["chimefrb"],
            "teams": None,
        },
        "notify": {
            "slack": dict.fromkeys(
                (
                    "channel_id",
                    "member_ids",
                    "message",
                    "results",
                    "products",
                    "plots",
                    "blocks",
                    "reply",
                )
            )
        },
        **fields,
    }


@dataclass
class Buckets:
    """A served buckets surface, and the calls of the published client as it makes them."""

    served: Served
    clock: ManualClock

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    async def ask(
        self, method: str, path: str, body: Any = None, *, expect: int = 200, **query: Any
    ) -> Any:
        answer = await self.client.request(
            method, f"/buckets{path}", json=body, params=query or None
        )
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def deposit(self, *new: Document, **fields: Any) -> list[str]:
        # The published client sends its flag twice and in Python's spelling.
        found = await self.ask(
            "POST",
            "/work",
            list(new) or [payload(**fields)],
            return_ids=["True", "True"],
        )
        assert all(isinstance(work_id, str) for work_id in found)
        return list(found)

    async def withdraw(self, *pipelines: str, **where: Any) -> Document | None:
        wanted = {"pipeline": {"$in": list(pipelines or (BUCKET,))}, **where}
        found: Document | None = await self.ask("POST", "/work/withdraw", wanted)
        return found

    async def held(self, **fields: Any) -> Document:
        """Deposit a work, withdraw it, and return it."""
        await self.deposit(**fields)
        found = await self.withdraw(fields.get("pipeline", BUCKET))
        assert found is not None
        return found

    async def update(self, *changed: Document) -> Any:
        return await self.ask("PUT", "/work", list(changed))

    async def refusal(self, changed: Document) -> Document:
        """Send an update that is to be refused, and return what is said about it."""
        answer = await self.update(changed)
        assert isinstance(answer, dict)
        assert answer["updated"] == 0
        (refused,) = answer["refused"]
        return dict(refused)

    async def view(self, query: Document | None = None, **more: Any) -> list[Document]:
        body = {"query": query or {}, "projection": {"_id": False}, "skip": 0, "limit": 100, **more}
        return list(await self.ask("POST", "/view", body))

    async def see(self, work_id: str) -> Document:
        (found,) = await self.view({"id": work_id})
        return found

    async def audit(self) -> dict[str, int]:
        paths = {"failed": "failed", "expired": "expired", "stale": "stale/7.0"}
        return {name: await self.ask("GET", f"/audit/{path}") for name, path in paths.items()}

    async def details(self, pipeline: str = BUCKET) -> dict[str, int]:
        return dict(await self.ask("GET", f"/status/details/{pipeline}"))

    def tidy(self, after_s: float = 0.0) -> janitor.Tidied:
        """Let time pass, then do what the server does by itself."""
        self.clock.advance(after_s)
        return self.database.write_blocking(janitor.tidy)

    def reasons(self, work_id: str) -> list[str]:
        return [event.reason for event in self.database.read_blocking(works.events, work_id)]

    def other(self) -> httpx.AsyncClient:
        """Return a client of another organisation's admin."""
        _, token = self.served.other_organisation()
        return self.as_key(token)

    def as_key(self, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.served.app),
            base_url="http://test",
            headers=bearer(token),
        )


@asynccontextmanager
async def buckets_of(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Buckets]:
    async with serving(database, directory) as served:
        yield Buckets(served, clock)

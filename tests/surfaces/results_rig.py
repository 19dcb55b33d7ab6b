"""Buckets and their results in this process; what the server does by itself, a test does here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, Table, func, select

from longshore.clock import ManualClock
from longshore.edge.jobs import SYSTEM, JobContext
from longshore.engine import artifacts, queues, works
from longshore.engine.works import Ending, Lease, Outcome
from longshore.storage import Database
from longshore.surfaces.buckets import archiving
from longshore.surfaces.buckets.jobs import HANDLERS
from tests.unit.serving import Served, bearer, serving

PIPELINE = "dispersion-search"
DAY_S = 86_400.0
HOLDER = "sv_test"


@dataclass
class Harbour:
    """A served application, with short ways to what these tests do often."""

    served: Served
    clock: ManualClock

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    async def call(
        self, method: str, path: str, content: Any = None, expect: int = 200, /, **parameters: Any
    ) -> Any:
        """Send a request, compare the status, and return the JSON of the answer."""
        answer = await self.client.request(method, path, json=content, params=parameters)
        assert answer.status_code == expect, answer.text
        return answer.json()

    async def deposit(self, count: int = 1, **fields: Any) -> list[str]:
        """Deposit works into the bucket and return their ids."""
        given = [work(**fields) for _ in range(count)]
        made: list[str] = await self.call("POST", "/buckets/work", given, return_ids="True")
        return made

    async def finished(
        self, status: str = "success", count: int = 1, changes: Any = None, **fields: Any
    ) -> list[str]:
        """Deposit works, withdraw them and report that they ended; return their ids."""
        made = await self.deposit(count, **fields)
        wanted = {"pipeline": fields.get("pipeline", PIPELINE), "id": {"$in": made}}
        held = await self.call("POST", "/buckets/work/withdraw", wanted, limit=count)
        assert len(held) == count
        ended = [{**each, "status": status, **(changes or {})} for each in held]
        assert await self.call("PUT", "/buckets/work", ended) is True
        return made

    async def results(
        self, query: Any = None, *, pipeline: str = PIPELINE, **more: Any
    ) -> list[dict[str, Any]]:
        """View results of the pipeline as the published client does."""
        wanted = {"query": {**(query or {}), "pipeline": pipeline}, "projection": {}, "skip": 0}
        found: list[dict[str, Any]] = await self.call(
            "POST", "/results/view", {**wanted, "limit": 0, **more}
        )
        return found

    async def bucket(self, query: Any = None, **more: Any) -> list[dict[str, Any]]:
        """View works of all buckets."""
        found: list[dict[str, Any]] = await self.call(
            "POST", "/buckets/view", {"query": query or {}, "projection": {"_id": False}, **more}
        )
        return found

    async def stored(self, *more: dict[str, Any]) -> list[str]:
        """Deposit results directly and return their ids."""
        given = [{**result(), **each} for each in more or ({},)]
        await self.call("POST", "/results/results", given)
        return [each["id"] for each in given]

    async def configure(self, pipeline: str = PIPELINE, **settings: Any) -> Any:
        return await self.call("PUT", f"/buckets/settings/{pipeline}", settings)

    def sweep(self) -> dict[str, int]:
        """Do one pass of archiving and retention."""
        return self.database.write_blocking(archiving.sweep)

    def job_leases(self) -> list[Lease]:
        """Claim the system jobs that wait, without running them."""

        def claim(connection: Connection) -> list[Lease]:
            found = [queue.id for queue in queues.of_surface(connection, SYSTEM)]
            return works.claim(connection, found, limit=100, holder=HOLDER, lease_s=60)

        return self.database.write_blocking(claim)

    def job_context(self, lease: Lease) -> JobContext:
        context = self.served.context
        return JobContext(
            self.database,
            context.blobs,
            self.clock,
            context.outbound,
            self.served.organisation.id,
            lease.id,
            lease.attempt,
        )

    async def jobs(self) -> None:
        """Run the system jobs that wait, to their end."""
        for lease in self.job_leases():
            payload = json.loads(lease.payload)
            counts = await HANDLERS[payload["job"]](self.job_context(lease), payload)
            ending = Ending(
                lease.id, lease.attempt, Outcome.SUCCESS, result=json.dumps(counts).encode()
            )
            assert not self.database.write_blocking(works.finish, [ending], holder=HOLDER)

    async def act(self, action: str, **chosen: Any) -> dict[str, Any]:
        """Ask for an action, let the server do it, and return where it stands then."""
        started = await self.call("POST", "/buckets/actions", {"action": action, **chosen}, 202)
        await self.jobs()
        stands: dict[str, Any] = await self.call("GET", f"/buckets/actions/{started['id']}")
        return stands

    async def upload(self, content: bytes = b"a picture") -> dict[str, Any]:
        """Upload a file as a worker does; return what a report says of it."""
        answer = await self.client.post("/longshore/v1/blobs", content=content)
        assert answer.status_code == 201, answer.text
        stored: dict[str, Any] = answer.json()
        return stored

    def count(self, table: Table) -> int:
        """Count the rows of a table."""
        query = select(func.count()).select_from(table)
        return int(self.database.read_blocking(lambda c: c.execute(query).scalar_one()))

    def blobs(self) -> int:
        """Count the stored blobs of the organisation."""
        organisation_id = self.served.organisation.id
        return self.database.read_blocking(artifacts.counts, organisation_id)["objects"]

    def as_role(self, token: str) -> httpx.AsyncClient:
        """Return a client with another key."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.served.app),
            base_url="http://test",
            headers=bearer(token),
        )


def work(**fields: Any) -> dict[str, Any]:
    """Return a work as it is deposited."""
    return {"pipeline": PIPELINE, "site": "local", "user": "tester", **fields}


_numbers = iter(range(1, 1_000_000))


def result(**fields: Any) -> dict[str, Any]:
    """Return a finished work with an id of its own, as the transfer daemon deposits it."""
    one = f"6554{next(_numbers):020x}"
    usual = {"id": one, "status": "success", "creation": 1.5, "results": {"snr": 7.25}}
    return work(**{**usual, **fields})


@asynccontextmanager
async def harbour(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Harbour]:
    async with serving(database, directory) as served:
        yield Harbour(served, clock)

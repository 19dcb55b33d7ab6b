"""The apps surface in this process, with a worker and a runner of jobs that a test drives itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import Connection

from longshore.clock import ManualClock
from longshore.edge.jobs import SYSTEM, JobContext
from longshore.engine import artifacts, queues, workers, works
from longshore.engine.works import Ending, Lease, Outcome
from longshore.storage import Database
from longshore.surfaces.apps import catalogue, retention
from longshore.surfaces.apps.jobs import HANDLERS
from longshore.wire.payloads import AppDocument, AppField, AppPage, AppPayload, AppResult
from tests.unit.serving import Served, bearer, serving

OWNER = "Instabase"
APP = "Meal Receipt"
WORKER = "wr_test"

RECEIPT = AppResult(
    documents=[
        AppDocument(
            fields=[
                AppField(
                    name="merchant name",
                    value="Café Zoë",
                    confidence=0.9,
                    ocr_confidence=0.8,
                    page=0,
                    box=(1, 2, 3, 4),
                ),
                AppField(name="total_amount", value=None, alerts=["no total was found"]),
            ],
            class_name="receipt",
            class_confidence=0.7,
            pages=[AppPage(number=0, width=100, height=200)],
        )
    ]
)

Answer = AppResult | Exception
Worker = Callable[[AppPayload], Answer]


@dataclass
class Platform:
    """A served apps surface; nothing runs unless `work` or `jobs` is called."""

    served: Served
    clock: ManualClock
    seen: list[AppPayload] = field(default_factory=list)

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    @property
    def organisation_id(self) -> str:
        return self.served.organisation.id

    def folder(self, rest: str, workspace: str = "personal") -> str:
        """Return a path of the drive."""
        return f"{self.organisation_id}/{workspace}/fs/Instabase Drive/{rest}".rstrip("/")

    def offer(
        self,
        *versions: str,
        name: str = APP,
        owner: str = OWNER,
        online: bool = True,
        attempts_max: int = 1,
    ) -> None:
        """Let a worker offer versions of an app."""

        def enter(connection: Connection) -> None:
            offers = [(name, owner, each, "Reads", None, attempts_max) for each in versions]
            queue_ids = catalogue.offer(connection, self.organisation_id, offers)
            if online:
                workers.register(
                    connection,
                    organisation_id=self.organisation_id,
                    name="test",
                    incarnation="test",
                    slots=1,
                    queue_ids=queue_ids,
                )

        self.database.write_blocking(enter)

    async def batch(self, *names: str, content: bytes = b"image", **more: Any) -> int:
        """Make a batch with files of these names."""
        answer = await self.client.post("/api/v2/batches", json={"name": "receipts", **more})
        assert answer.status_code == 200, answer.text
        batch_id: int = answer.json()["id"]
        for name in names:
            put = await self.client.put(f"/api/v2/batches/{batch_id}/files/{name}", content=content)
            assert put.status_code == 204, put.text
        return batch_id

    async def start(self, **body: Any) -> dict[str, Any]:
        """Start a run and return it."""
        answer = await self.client.post(
            "/api/v2/apps/runs", json={"app_name": APP, "owner": OWNER, **body}
        )
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()
        return run

    async def finished(self, *names: str, worker: Worker | None = None, **body: Any) -> str:
        """Run the app over a new batch of these files to its end; return the run's id."""
        batch_id = await self.batch(*(names or ("a.jpg",)))
        run_id: str = (await self.start(batch_id=batch_id, **body))["id"]
        self.work(worker)
        await self.jobs()
        return run_id

    async def get(self, path: str, expect: int = 200, /, **parameters: Any) -> dict[str, Any]:
        """GET a path below /api/v2 and return the JSON object."""
        answer = await self.client.get(f"/api/v2{path}", params=parameters)
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def job(self, job_id: str) -> dict[str, Any]:
        return await self.get(f"/jobs/{job_id}")

    def work(self, worker: Worker | None = None, *, limit: int = 1_000) -> int:
        """Do what waits in the queues of apps, as a worker would; return how many files."""
        leases = self.database.write_blocking(self._claim, catalogue.SURFACE, limit)
        endings = []
        for lease in leases:
            payload = msgspec.json.decode(lease.payload, type=AppPayload)
            self.seen.append(payload)
            endings.append(_ending(lease, RECEIPT if worker is None else worker(payload)))
        assert not self.database.write_blocking(works.finish, endings, holder=WORKER)
        return len(leases)

    def claim(self) -> list[Lease]:
        """Claim what waits in the queues of apps, without finishing it."""
        return self.database.write_blocking(self._claim, catalogue.SURFACE, 1_000)

    async def jobs(self) -> int:
        """Run the system jobs that wait, to their end; return how many."""
        done = 0
        while leases := self.database.write_blocking(self._claim, SYSTEM, 10):
            for lease in leases:
                payload = json.loads(lease.payload)
                counts = await HANDLERS[payload["job"]](self.job_context(lease), payload)
                ending = Ending(
                    lease.id,
                    lease.attempt,
                    Outcome.SUCCESS,
                    result=json.dumps(counts).encode(),
                )
                assert not self.database.write_blocking(works.finish, [ending], holder=WORKER)
                done += 1
        return done

    def job_leases(self) -> list[Lease]:
        """Claim the system jobs that wait, without running them."""
        return self.database.write_blocking(self._claim, SYSTEM, 100)

    def job_context(self, lease: Lease) -> JobContext:
        return JobContext(
            self.database,
            self.served.context.blobs,
            self.clock,
            self.served.context.outbound,
            self.organisation_id,
            lease.id,
            lease.attempt,
        )

    def sweep(self) -> dict[str, int]:
        """Do the surface's regular pass."""
        return self.database.write_blocking(retention.sweep)

    async def leftovers(self) -> tuple[int, list[str]]:
        """Delete what was given up, as the server's sweeper does; return what is left."""
        doomed = self.database.read_blocking(artifacts.doomed, limit=1_000, pending_s=0)
        self.database.write_blocking(artifacts.condemn, doomed)
        for blob_id in doomed:
            await self.served.context.blobs.delete(blob_id)
        self.database.write_blocking(artifacts.erase, doomed)
        counts = self.database.read_blocking(artifacts.counts, self.organisation_id)
        return counts["objects"], await self.served.context.blobs.list_ids()

    async def other(self) -> httpx.AsyncClient:
        """Return a client of another organisation's admin."""
        _, token = self.served.other_organisation()
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.served.app),
            base_url="http://test",
            headers=bearer(token),
        )

    def _claim(self, connection: Connection, surface: str, limit: int) -> list[Lease]:
        found = [queue.id for queue in queues.of_surface(connection, surface)]
        if not found:
            return []
        return works.claim(connection, found, limit=limit, holder=WORKER, lease_s=60)


@asynccontextmanager
async def platform(
    database: Database, clock: ManualClock, directory: Path
) -> AsyncIterator[Platform]:
    async with serving(database, directory) as served:
        yield Platform(served, clock)


def _ending(lease: Lease, answer: Answer) -> Ending:
    if isinstance(answer, Exception):
        error = json.dumps({"type": type(answer).__name__, "message": str(answer)}).encode()
        return Ending(lease.id, lease.attempt, Outcome.FAILURE, error=error)
    return Ending(lease.id, lease.attempt, Outcome.SUCCESS, result=msgspec.json.encode(answer))

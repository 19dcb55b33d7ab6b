"""Buckets over HTTP with jobs and notices that a test drives itself, and somebody to tell."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from longshore.clock import ManualClock
from longshore.edge.jobs import SYSTEM, JobContext
from longshore.edge.outbound import Outbound
from longshore.engine import queues, works
from longshore.engine.works import Ending, Lease, Outcome, Work
from longshore.errors import LongshoreError, Reject
from longshore.server.jobs import JobRunner
from longshore.server.lifespan import HANDLERS
from longshore.server.metrics import Metrics
from longshore.storage import Database
from longshore.surfaces.buckets import notices
from longshore.webhooks import Message, Replays, verify
from tests.unit.receiver import Receiver
from tests.unit.serving import Served

DEADLINE_S = 15.0
RUNNER = "sv_test"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@dataclass
class Shore:
    """Buckets of an organisation; nothing is told unless `tell` or `a_server` is used."""

    served: Served
    clock: ManualClock
    replays: Replays = field(default_factory=Replays)

    @property
    def client(self) -> httpx.AsyncClient:
        return self.served.client

    @property
    def database(self) -> Database:
        return self.served.database

    @property
    def organisation_id(self) -> str:
        return self.served.organisation.id

    async def call(self, method: str, path: str, expect: int = 200, **more: Any) -> Any:
        """Call a path below /buckets and return the JSON of the answer."""
        answer = await self.client.request(method, f"/buckets{path}", **more)
        assert answer.status_code == expect, answer.text
        return answer.json() if answer.content else None

    async def hook(self, receiver: Receiver, **more: Any) -> dict[str, Any]:
        """Make a webhook at a receiver."""
        body = {"url": receiver.url, **more}
        made: dict[str, Any] = await self.call("POST", "/webhooks", 201, json=body)
        return made

    async def deposit(self, *documents: dict[str, Any], pipeline: str = "p-1") -> list[str]:
        """Deposit works and return their ids."""
        whole = [
            {"pipeline": pipeline, "site": "local", "user": "me", **each}
            for each in documents or ({},)
        ]
        made: list[str] = await self.call("POST", "/work?return_ids=True", json=whole)
        return made

    async def attempt(self, pipeline: str = "p-1", **changes: Any) -> dict[str, Any]:
        """Withdraw a work and report on it, as a success unless `changes` say otherwise."""
        work: dict[str, Any] = await self.call(
            "POST", "/work/withdraw", json={"pipeline": {"$in": [pipeline]}}
        )
        stop = self.clock.now_us() / 1e6
        await self.call(
            "PUT", "/work", json=[{**work, "status": "success", "stop": stop, **changes}]
        )
        return work

    async def done(self, *documents: dict[str, Any], pipeline: str = "p-1") -> list[str]:
        """Deposit works and report them done."""
        work_ids = await self.deposit(*documents, pipeline=pipeline)
        for _ in work_ids:
            await self.attempt(pipeline, results={"a": 1})
        return work_ids

    async def document(self, work_id: str) -> dict[str, Any]:
        """Return a work's document, which has to be in its bucket."""
        query = {"query": {"id": work_id}, "projection": {"_id": False}, "skip": 0, "limit": 1}
        [found] = await self.call("POST", "/view", json=query)
        whole: dict[str, Any] = found
        return whole

    def follow(self, limit: int = notices.BATCH) -> int:
        return self.database.write_blocking(notices.follow, limit)

    def deliveries(self) -> list[Work]:
        """Return the works in the queue of deliveries, oldest first."""

        def look(connection: Any) -> list[Work]:
            queue = queues.find(connection, self.organisation_id, SYSTEM, "webhooks")
            found = connection.exec_driver_sql(
                f"SELECT id FROM works WHERE queue_id = {queue.id if queue else 0} ORDER BY id"
            )
            return [works.get(connection, row.id) for row in found.all()]

        return self.database.read_blocking(look)

    def messages(self, receiver: Receiver, secret: str) -> list[dict[str, Any]]:
        """Return what a receiver was told, verified and without replays."""
        found: list[Message] = [
            verify(got.headers, got.body, secret, self.replays, clock=self.clock)
            for got in receiver.requests
        ]
        return [message.json() for message in found]

    async def tell(self) -> int:
        """Follow all notices and make each delivery that is due once; return how many."""
        while self.follow():
            pass
        done = 0
        while leases := self.database.write_blocking(self._claim):
            for lease in leases:
                ending = await self._run(lease)
                assert not self.database.write_blocking(works.finish, [ending], holder=RUNNER)
                done += 1
        return done

    async def _run(self, lease: Lease) -> Ending:
        payload = json.loads(lease.payload)
        context = JobContext(
            self.database,
            self.served.context.blobs,
            self.clock,
            self.served.context.outbound,
            self.organisation_id,
            lease.id,
            lease.attempt,
            self.served.context.settings.slack_webhook_url,
        )
        try:
            counts = await HANDLERS[payload["job"]](context, payload)
        except LongshoreError as error:
            outcome = Outcome.REJECTED if isinstance(error, Reject) else Outcome.FAILURE
            told = json.dumps({"type": type(error).__name__, "message": error.message}).encode()
            return Ending(lease.id, lease.attempt, outcome, error=told)
        return Ending(lease.id, lease.attempt, Outcome.SUCCESS, json.dumps(counts).encode())

    def _claim(self, connection: Any) -> list[Lease]:
        queue = queues.find(connection, self.organisation_id, SYSTEM, "webhooks")
        if queue is None:
            return []
        return works.claim(connection, [queue.id], limit=2, holder=RUNNER, lease_s=60)

    def use_slack(self, url: str | None) -> None:
        """Set the address of Slack."""
        context = self.served.context
        secret = None if url is None else SecretStr(url)
        context.settings = context.settings.model_copy(update={"slack_webhook_url": secret})

    def reach_loopback(self, **more: Any) -> None:
        """Let receivers on this machine be called."""
        self.served.context.outbound = Outbound(LOOPBACK, **{"limit_s": 5, **more})


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "does not come to hold"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def a_server(shore: Shore) -> AsyncIterator[None]:
    """Run system jobs as a server does."""
    task = asyncio.create_task(JobRunner(shore.served.context, HANDLERS, Metrics()).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

"""Runs system jobs inside the server: deletions, the ends of runs, and what surfaces add.

A job is a work like any other, with a lease, retries and a history. So a server that dies in the
middle of one hands it on by its lease, and any server on the database may pick it up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection

from longshore import ids
from longshore.access import organisations
from longshore.edge.context import Context
from longshore.edge.jobs import SYSTEM, Handler, JobContext, system_queue
from longshore.edge.wakeups import JOBS, Bell
from longshore.engine import queues, works
from longshore.engine.works import Ending, Lease, Outcome
from longshore.errors import LongshoreError, Reject
from longshore.limits import ERROR_CHARACTERS
from longshore.server.logging import get_logger
from longshore.server.metrics import Metrics

SLOTS: Final = 4
LOOK_AGAIN_S: Final = 10.0
"""How long the runner sleeps when nothing rings: new organisations are found by then."""
_log = get_logger("longshore.jobs")


@dataclass(slots=True)
class _Running:
    lease: Lease
    task: asyncio.Task[None]
    outcome_if_stopped: Outcome | None = field(default=Outcome.HANDED_BACK)
    """What to report when the task is cancelled; None when the lease is lost anyway."""


class JobRunner:
    """Claims system jobs of all organisations and runs a few of them at a time."""

    def __init__(
        self,
        context: Context,
        handlers: Mapping[str, Handler],
        metrics: Metrics,
        *,
        slots: int = SLOTS,
        serves: Callable[[str], bool] | None = None,
    ) -> None:
        """Run the jobs that `handlers` names, `slots` at a time.

        With `serves`, only those in queues whose name it says yes to.
        """
        self._slots = slots
        self._serves = serves
        self._context = context
        self._handlers = handlers
        self._metrics = metrics
        self._holder = ids.new("sv")
        # By work and attempt: after a lost lease both attempts may run here for a moment.
        self._running: dict[tuple[str, int], _Running] = {}
        self._bell: Bell | None = None

    async def run(self) -> None:
        """Claim and run jobs until the server stops or this is cancelled; then hand back."""
        renewal = asyncio.create_task(self._renew(), name="job renewal")
        try:
            await self._context.database.write(_prepare)
            while not self._context.stopping:
                try:
                    await self._serve()
                except LongshoreError:
                    _log.exception("claiming system jobs failed")
                    await asyncio.sleep(1)
        finally:
            renewal.cancel()
            await self._hand_back()

    async def _serve(self) -> None:
        """Claim what there is, then wait until there may be more, or room for more."""
        database = self._context.database
        queue_ids = [
            queue.id
            for queue in await database.read(queues.of_surface, SYSTEM)
            if self._serves is None or self._serves(queue.name)
        ]
        with self._context.wakeups.listen(queue_ids, JOBS) as bell:
            self._bell = bell
            free = self._slots - len(self._running)
            if free and queue_ids and await database.read(works.claimable, queue_ids):
                leases = await database.write(
                    works.claim,
                    queue_ids,
                    limit=free,
                    holder=self._holder,
                    lease_s=self._context.settings.lease_s,
                )
                for lease in leases:
                    task = asyncio.create_task(self._run(lease), name=f"job {lease.id}")
                    self._running[lease.id, lease.attempt] = _Running(lease, task)
            await bell.wait(LOOK_AGAIN_S)

    async def _run(self, lease: Lease) -> None:
        payload = json.loads(lease.payload)
        name = str(payload.get("job"))
        try:
            ending = await self._attempt(lease, name, payload)
        except asyncio.CancelledError:
            outcome = self._running[lease.id, lease.attempt].outcome_if_stopped
            if outcome is not None:
                await self._finish(name, Ending(lease.id, lease.attempt, outcome))
        else:
            await self._finish(name, ending)
        finally:
            self._running.pop((lease.id, lease.attempt), None)
            if self._bell is not None:
                self._bell.ring()

    async def _attempt(self, lease: Lease, name: str, payload: dict[str, Any]) -> Ending:
        database = self._context.database
        handler = self._handlers.get(name)
        if handler is None:
            unknown = Reject(f"This server knows no job {name!r}; a newer one may have made it.")
            return Ending(lease.id, lease.attempt, Outcome.REJECTED, error=_told(unknown))
        try:
            job = JobContext(
                database=database,
                blobs=self._context.blobs,
                clock=self._context.clock,
                outbound=self._context.outbound,
                organisation_id=await database.read(works.organisation_of, lease.id),
                work_id=lease.id,
                attempt=lease.attempt,
                slack_url=self._context.settings.slack_webhook_url,
            )
            counts = await handler(job, payload)
        except Exception as error:  # noqa: BLE001 - logged, and kept with the attempt
            _log.exception("system job failed", job=name, work_id=lease.id, attempt=lease.attempt)
            outcome = Outcome.REJECTED if isinstance(error, Reject) else Outcome.FAILURE
            return Ending(lease.id, lease.attempt, outcome, error=_told(error))
        return Ending(lease.id, lease.attempt, Outcome.SUCCESS, result=json.dumps(counts).encode())

    async def _finish(self, name: str, ending: Ending) -> None:
        try:
            lost = await self._context.database.write(works.finish, [ending], holder=self._holder)
        except LongshoreError:
            # The lease runs out and the job runs again, which handlers are made for.
            _log.exception("the end of a system job was not written", work_id=ending.work_id)
            return
        self._metrics.jobs.labels(name, str(ending.outcome)).inc()
        _log.info(
            "system job ended",
            job=name,
            work_id=ending.work_id,
            outcome=str(ending.outcome),
            lost=[entry.reason for entry in lost],
        )

    async def _renew(self) -> None:
        lease_s = self._context.settings.lease_s
        while True:
            await asyncio.sleep(lease_s / 3)
            held = list(self._running)
            if not held:
                continue
            try:
                lost = await self._context.database.write(
                    works.renew, held, holder=self._holder, lease_s=lease_s
                )
            except LongshoreError:
                _log.exception("renewing the leases of system jobs failed")
                continue
            for entry in lost:
                self._stop(
                    (entry.work_id, entry.attempt), Outcome.CANCELLED if entry.cancelled else None
                )

    def _stop(self, attempt: tuple[str, int], outcome: Outcome | None) -> None:
        running = self._running.get(attempt)
        if running is not None:
            running.outcome_if_stopped = outcome
            running.task.cancel()

    async def _hand_back(self) -> None:
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _prepare(connection: Connection) -> None:
    """Make the system queues, so that their bells can be listened to from the start."""
    for organisation in organisations.listing(connection):
        system_queue(connection, organisation.id)


def _told(error: Exception) -> bytes:
    message = error.message if isinstance(error, LongshoreError) else str(error)
    told = {"type": type(error).__name__, "message": message[:ERROR_CHARACTERS], "traceback": ""}
    return json.dumps(told).encode()

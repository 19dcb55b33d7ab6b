"""What runs in the background of a server: janitor, retention, blob sweeper, system jobs."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI

from longshore.access import answers, sessions
from longshore.clock import SECOND_US
from longshore.edge import webhooks
from longshore.edge.context import Context
from longshore.edge.wakeups import NOTICES, Bell
from longshore.engine import activity_rolling, artifacts, janitor
from longshore.errors import CorruptData, DiskFull, Unavailable
from longshore.server import activity
from longshore.server.jobs import JobRunner
from longshore.server.logging import get_logger
from longshore.server.native import keystore_jobs
from longshore.surfaces.apps import jobs as apps_jobs
from longshore.surfaces.buckets import jobs as buckets_jobs
from longshore.surfaces.buckets import notices
from longshore.surfaces.corpus import corpus_deletion, tasks
from longshore.surfaces.corpus import dataset_jobs as corpus_dataset_jobs
from longshore.surfaces.corpus import image_jobs as corpus_image_jobs
from longshore.surfaces.corpus import process_jobs as corpus_process_jobs
from longshore.surfaces.pipelines import chunks
from longshore.surfaces.pipelines import jobs as pipelines_jobs
from longshore.surfaces.scripts import (
    admission,
    advancing,
    codes,
    places,
    recording,
    recovering,
    scheduling,
    turns,
)
from longshore.surfaces.works import acting as works_acting

SWEEP_INTERVAL_S: Final = 2.0
NOTICES_INTERVAL_S: Final = 3.0
"""Notices ring; this is for those of a server that died before it followed them."""
DELIVERY_SLOTS: Final = 16
SWEEP_BLOBS: Final = 200
WORKFLOWS_INTERVAL_S: Final = 2.0
NOT_NOW: Final = (Unavailable, DiskFull)
"""What a pass can only wait for: it is told in a line, and no fault of the program."""
MOST_ROUNDS: Final = 50
"""A pass that finds more than it may take at once goes on this often before it pauses."""
_JOBS: Final = (
    apps_jobs,
    buckets_jobs,
    pipelines_jobs,
    corpus_dataset_jobs,
    corpus_image_jobs,
    corpus_deletion,
    corpus_process_jobs,
    keystore_jobs,
    works_acting,
)
HANDLERS: Final = {name: handler for jobs in _JOBS for name, handler in jobs.HANDLERS.items()}
PASSES: Final = {name: one for jobs in _JOBS for name, one in jobs.PASSES.items()}
_log = get_logger("longshore.background")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the background passes while the application runs."""
    context: Context = app.state.context
    passes = Passes(app)
    settings = context.settings
    # Deliveries have slots of their own: receivers that hang must not hold up other jobs.
    runner = JobRunner(
        context, HANDLERS, app.state.metrics, serves=lambda name: name != webhooks.QUEUE
    )
    deliverer = JobRunner(
        context,
        HANDLERS,
        app.state.metrics,
        slots=DELIVERY_SLOTS,
        serves=lambda name: name == webhooks.QUEUE,
    )
    tasks = [
        asyncio.create_task(passes.every("janitor", settings.janitor_interval_s, passes.tidy)),
        asyncio.create_task(
            passes.every("retention", settings.retention_interval_s, passes.retain)
        ),
        asyncio.create_task(passes.every("sweeper", SWEEP_INTERVAL_S, passes.sweep)),
        asyncio.create_task(
            passes.every("workflows", WORKFLOWS_INTERVAL_S, passes.look_after_workflows)
        ),
        asyncio.create_task(
            passes.every("activity", activity.LOOK_S, activity.ActivityPass(context.database).step)
        ),
        asyncio.create_task(runner.run(), name="system jobs"),
        asyncio.create_task(deliverer.run(), name="deliveries"),
        asyncio.create_task(passes.follow_notices(), name="notices"),
    ]
    for task in tasks:
        task.add_done_callback(_report)
    try:
        yield
    finally:
        context.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        context.close()


class Passes:
    """The passes; each is bounded, guarded, and harmless to run twice or on two servers."""

    def __init__(self, app: FastAPI) -> None:
        """Work on the stores of the application's context."""
        self._context: Context = app.state.context
        self._health = app.state.health
        self._metrics = app.state.metrics
        self._tidied_s = -math.inf

    async def every(
        self,
        name: str,
        interval_s: float,
        step: Callable[[], Awaitable[bool]],
        bell: Bell | None = None,
    ) -> None:
        """Call `step` with pauses of `interval_s`; at once again while it returns True.

        A bell that rings ends a pause.
        """
        while True:
            try:
                for _ in range(MOST_ROUNDS):
                    if not await step():
                        break
            except NOT_NOW as error:
                self._health.failed(name, error)
                self._metrics.passes.labels(name, "unavailable").inc()
                _log.warning("a background pass must wait", name=name, error=str(error))
            except Exception as error:  # noqa: BLE001 - may succeed later; it is logged
                self._health.failed(name, error)
                self._metrics.passes.labels(name, "failed").inc()
                _log.exception("a background pass failed", name=name)
            else:
                self._health.failing.pop(name, None)
                self._metrics.passes.labels(name, "ok").inc()
                self._metrics.pass_time.labels(name).set(self._context.clock.now_us() / SECOND_US)
                if name == "janitor":
                    self._health.janitor_at_s = time.monotonic()
            if bell is None:
                await asyncio.sleep(interval_s)
            else:
                await bell.wait(interval_s)

    async def tidy(self) -> bool:
        """Release what is due, expire leases, queue retries; return whether there is more."""
        if not await self._context.database.lead("janitor"):
            return False
        lease_s = self._context.settings.lease_s
        if time.monotonic() - self._tidied_s > lease_s / 2:
            graced = await self._context.database.write(janitor.resume, lease_s=lease_s)
            if graced:
                _log.info("leases were lengthened after a pause", works=graced)
        self._tidied_s = time.monotonic()
        tidied = await self._context.database.write(janitor.tidy)
        if tidied.released or tidied.expired or tidied.retried:
            _log.info(
                "janitor",
                released=tidied.released,
                expired=tidied.expired,
                retried=tidied.retried,
            )
        return tidied.more

    async def follow_notices(self) -> None:
        """Make deliveries of notices, as soon as there are some."""
        with self._context.wakeups.listen_to([NOTICES]) as bell:
            await self.every("notices", NOTICES_INTERVAL_S, self.notify, bell)

    async def notify(self) -> bool:
        """Follow some of the notices of each surface; return whether there may be more."""
        database = self._context.database
        followed = await database.write(notices.follow)
        # Few chunks are given up: not worth a transaction for each word of a bucket.
        if await database.read(chunks.given_up):
            followed += await database.write(chunks.follow)
        if await database.read(tasks.ended):
            followed += await database.write(tasks.follow)
        if await database.read(recording.ended):
            followed += await self._follow_steps()
        # Places under concurrency keys that have become free ring here, too.
        for run_id in await database.read(places.due):
            await self._look_after(advancing.advance, run_id, actor="server")
        return followed > 0

    async def _follow_steps(self) -> int:
        try:
            return await self._context.database.write(recording.follow)
        except NOT_NOW:
            raise
        except Exception:  # noqa: BLE001 - the regular look goes through the runs one by one
            _log.exception("ends of steps could not be followed")
            return 0

    async def look_after_workflows(self) -> bool:
        """Fire schedules that are due, and bring runs to where they belong."""
        database = self._context.database
        if not await database.lead("janitor"):
            return False
        more = False
        if await database.read(recovering.schedules_due):
            fired = await database.write(scheduling.fire)
            self._metrics.scheduled.labels("started").inc(len(fired.runs))
            self._metrics.scheduled.labels("missed").inc(fired.missed)
            _log.info("schedules", started=len(fired.runs), missed=fired.missed)
            more = fired.more
        for run_id in await database.read(recovering.due):
            await self._look_after(recovering.look_after, run_id)
        for organisation_id, event in await database.read(turns.pending_events):
            await self._look_after(admission.admit, organisation_id, event, actor="server")
        return more

    async def _look_after(self, service: Callable[..., None], *given: Any, **more: Any) -> None:
        """Do one thing for one run; one that cannot be helped must not keep the others from it."""
        try:
            await self._context.database.write(service, *given, **more)
        except NOT_NOW:
            raise
        except Exception:  # noqa: BLE001 - what fails now may succeed later; it is logged
            _log.exception("a run could not be looked after", run=given[-1])

    async def retain(self) -> bool:
        """Forget what is past its retention; return whether there may be more."""
        database = self._context.database
        if not await database.lead("janitor"):
            return False
        counts = dict(await database.write(janitor.retain))
        counts["activity"] = await database.write(activity_rolling.forget)
        counts["answers"] = await database.write(answers.expire)
        counts["codes"] = await database.write(codes.sweep)
        counts["sessions"] = await database.write(sessions.expire)
        for name, surface_pass in PASSES.items():
            for what, count in (await database.write(surface_pass)).items():
                counts[f"{name}.{what}"] = count
        if any(counts.values()):
            _log.info("retention", **counts)
        return any(counts.values())

    async def sweep(self) -> bool:
        """Delete the bytes of blobs that were given up; return whether there is more.

        The row goes last, so that a crash in between leaves something to follow.
        """
        context = self._context
        if not await context.database.lead("janitor"):
            return False
        blob_ids = await context.database.read(artifacts.doomed, limit=SWEEP_BLOBS)
        if not blob_ids:
            return False
        await context.database.write(artifacts.condemn, blob_ids)
        for blob_id in blob_ids:
            try:
                await context.blobs.delete(blob_id)
            except CorruptData as error:
                # Somebody planted a link. What lies behind it is not ours, and must not keep the
                # other blobs from being deleted.
                _log.error("a blob was not deleted", blob_id=blob_id, why=error.message)
        erased = await context.database.write(artifacts.erase, blob_ids)
        _log.info("sweeper", blobs=erased)
        return len(blob_ids) == SWEEP_BLOBS


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a background task ended", task=task.get_name(), exc_info=task.exception())

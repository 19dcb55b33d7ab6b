"""What tests of webhooks share: a run that tells somebody, and a server's jobs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from longshore.engine import janitor, works
from longshore.engine.works import State
from longshore.server.jobs import JobRunner
from longshore.server.metrics import Metrics
from longshore.surfaces.apps.jobs import HANDLERS
from tests.surfaces.apps_rig import Platform
from tests.unit.receiver import Receiver

DEADLINE_S = 15.0
SECRET = "s3cret-of-the-receiver"


def hook(receiver: Receiver, **headers: str) -> dict[str, Any]:
    headers = headers or {"X-Token": SECRET}
    return {"webhook_config": {"url": f"{receiver.url}?token={SECRET}", "headers": headers}}


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "does not come to hold"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def a_server(apps: Platform) -> AsyncIterator[JobRunner]:
    """Run system jobs as a server does; leaving the block stops it like a server that stops."""
    runner = JobRunner(apps.served.context, HANDLERS, Metrics())
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ended(apps: Platform, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Start a run, do its work and let its finisher run, with nobody there to deliver."""
    batch_id = await apps.batch("a.jpg")
    run = await apps.start(batch_id=batch_id, settings=settings)
    assert run["webhook_job_id"] is None
    apps.work(more.get("worker"))
    [lease] = apps.job_leases()
    await HANDLERS["apps.finish_run"](apps.job_context(lease), json.loads(lease.payload))
    ending = works.Ending(lease.id, lease.attempt, works.Outcome.SUCCESS)
    assert not apps.database.write_blocking(works.finish, [ending], holder="wr_test")
    return await apps.get(f"/apps/runs/{run['id']}")


def state(apps: Platform, job_id: str) -> works.Work:
    return apps.database.read_blocking(works.get, job_id)


async def settled(apps: Platform, job_id: str, attempt: int) -> works.Work:
    """Wait for the end of an attempt and return the work as it is then."""
    await until(
        lambda: (
            state(apps, job_id).attempt == attempt
            and state(apps, job_id).state not in (State.QUEUED, State.RUNNING)
        )
    )
    return state(apps, job_id)


async def again(apps: Platform, job_id: str) -> None:
    """Let the pause before the next try pass."""
    due_us = state(apps, job_id).retry_us
    assert due_us is not None
    apps.clock.advance((due_us - apps.clock.now_us()) / 1e6)
    await apps.database.write(janitor.tidy)

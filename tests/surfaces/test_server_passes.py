"""The passes that a server does in the background, when one of them cannot work for now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import generate_latest
from sqlalchemy import Connection, select

from longshore.engine import activity_rolling
from longshore.engine.activity_tables import buckets
from longshore.errors import DiskFull, Unavailable
from longshore.server.activity import ActivityPass
from longshore.server.lifespan import Passes
from tests.surfaces.apps_rig import Platform


async def _until_it_pauses(passes: Passes, step: Callable[[], Awaitable[bool]]) -> None:
    paused = asyncio.Event()

    class Bell:
        async def wait(self, _: float) -> None:
            paused.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(passes.every("some", 1.0, step, Bell()))  # type: ignore[arg-type]
    await paused.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("error", [DiskFull, Unavailable])
async def test_a_pass_that_must_wait_says_so_in_a_line(
    apps: Platform, error: type[DiskFull] | type[Unavailable], caplog: pytest.LogCaptureFixture
) -> None:
    app = apps.served.app
    passes = Passes(app)

    async def fails() -> bool:
        raise error("There is nothing to be had for now.")

    await _until_it_pauses(passes, fails)
    assert "must wait" in caplog.text
    assert "Traceback" not in caplog.text
    assert app.state.health.failing["some"][1] == "There is nothing to be had for now."
    counted = generate_latest(app.state.metrics.registry).decode()
    assert 'longshore_passes_total{name="some",outcome="unavailable"} 1.0' in counted


async def test_what_a_pass_fails_of_by_itself_is_told_with_its_trace(
    apps: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails() -> bool:
        raise ZeroDivisionError("a fault")

    await _until_it_pauses(Passes(apps.served.app), fails)
    assert "a background pass failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_what_a_full_disk_kept_from_being_counted_is_counted_at_the_next_look(
    apps: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = ActivityPass(apps.database)
    await counting.step()
    await apps.start(batch_id=await apps.batch("a.txt"))

    async def full(*_: object, **__: object) -> None:
        raise DiskFull("The disk is full.")

    counting._due_s = 0.0
    with monkeypatch.context() as patched:
        patched.setattr(type(apps.database), "write", full)
        with pytest.raises(DiskFull):
            await counting.step()
    assert await apps.database.read(_counted) == 0
    await counting.step()
    assert await apps.database.read(_counted) > 0


def _counted(connection: Connection) -> int:
    return sum(
        sum(activity_rolling.tally_of(row).changes.values())
        for row in connection.execute(select(buckets).where(buckets.c.length_s == 10))
    )

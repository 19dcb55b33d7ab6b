"""What a restored database does with works that were held when the back-up was taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.clock import ManualClock
from longshore.server import restoring
from longshore.storage import Database
from tests.storage.driving import Engine
from tests.surfaces.buckets_rig import Buckets
from tests.surfaces.runs_rig import Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


def test_attempts_are_handed_back_uncharged_and_late_holders_are_refused(
    database: Database, clock: ManualClock
) -> None:
    engine = Engine(database, clock)
    held = engine.submit(attempts_max=1)
    engine.claim(lease_s=3600)
    cancelling = engine.at("cancelling")
    waiting = engine.submit()
    assert database.write_blocking(restoring.void_leases) == 2
    assert database.write_blocking(restoring.void_leases) == 0
    assert (engine.state(held), engine.state(cancelling)) == ("queued", "cancelled")
    assert engine.state(waiting) == "queued"
    (late,) = engine.finish(held)
    assert late.work_id == held
    again = {lease.id: lease.attempt for lease in engine.claim(holder="w2")}
    assert again[held] == 2
    assert engine.reasons(held)[:3] == ["submitted", "claimed", "handed_back"]


async def test_works_of_buckets_and_steps_go_on_after_it(
    database: Database, buckets: Buckets, runs: Runs
) -> None:
    work = await buckets.held()
    workflow = runs.define("restored", {"one": {}, "two": {"depends_on": ["one"]}})
    run_id = runs.start(workflow)
    await runs.scripts.claim("host1")
    assert database.write_blocking(restoring.void_leases) == 2
    assert (await buckets.withdraw())["id"] == work["id"]  # type: ignore[index]
    assert await runs.states(run_id) == {"one": "ready", "two": "waiting"}
    await runs.work("one")
    assert await runs.states(run_id) == {"one": "finished", "two": "ready"}

"""How long steps took, and what is expected of the next ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select

from longshore.clock import SECOND_US, ManualClock
from longshore.engine import janitor
from longshore.storage import Database
from longshore.surfaces.scripts import durations
from longshore.surfaces.scripts.tables import scripts_durations
from tests.surfaces.planning_rig import expected, remember, samples
from tests.surfaces.runs_rig import Runs
from tests.surfaces.scripts_rig import scripts_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with scripts_of(database, tmp_path, clock) as scripts:
        await scripts.serve("host1", "host2")
        yield Runs(scripts)


async def test_a_step_is_expected_to_take_the_median_of_its_last_successes(runs: Runs) -> None:
    workflow = runs.define("nightly", {"Load": {}})
    assert (await expected(runs, workflow)).seconds == 60.0
    assert (await expected(runs, workflow)).no_history
    remember(runs, workflow, "LOAD", *[1_000.0] * 5, *[10.0] * 9, 12.0, *[14.0] * 10, weekday=4)
    found = await expected(runs, workflow)
    assert (found.seconds, found.basis, found.no_history) == (13.0, "history", False)
    assert await samples(runs, workflow) == (*[14.0] * 10, 12.0, *[10.0] * 9)


async def test_four_successes_of_a_weekday_count_alone_and_no_more_than_twenty_are_kept(
    runs: Runs,
) -> None:
    workflow = runs.define("nightly", {"Load": {}})
    remember(runs, workflow, "load", *[300.0] * 3)
    remember(runs, workflow, "load", *[10.0] * 25, weekday=0)
    assert (await expected(runs, workflow)).seconds == 10.0
    remember(runs, workflow, "load", 320.0)
    found = await expected(runs, workflow)
    assert (found.seconds, found.basis) == (300.0, "weekday")
    assert await samples(runs, workflow) == (320.0, 300.0, 300.0, 300.0)
    remember(runs, workflow, "load", *[50.0] * 9, weekday=0)
    assert await samples(runs, workflow, weekday=0) == (*[50.0] * 9, *[10.0] * 11)
    kept = await runs.scripts.database.read(rows_kept, workflow)
    assert kept == 20 + 4


def rows_kept(connection: Connection, workflow_id: str) -> int:
    table = scripts_durations
    query = select(func.count()).where(table.c.workflow_id == workflow_id)
    return int(connection.execute(query).scalar_one())


async def test_reports_at_the_same_time_all_count_and_leave_no_more_than_twenty(
    runs: Runs,
) -> None:
    workflow = runs.define("nightly", {"Load": {}})
    remember(runs, workflow, "load", *[10.0] * 20)
    await asyncio.gather(
        *(asyncio.to_thread(remember, runs, workflow, "load", 30.0) for _ in range(12))
    )
    assert (await samples(runs, workflow)).count(30.0) == 12
    remember(runs, workflow, "load", 30.0)
    assert (await expected(runs, workflow)).seconds == 30.0
    assert await runs.scripts.database.read(rows_kept, workflow) == 20


async def test_a_forecast_is_read_fast_from_a_long_history_of_many_steps(runs: Runs) -> None:
    """It is asked for in the transaction that ends each step of a night."""
    rows = [
        {
            "organisation_id": runs.scripts.served.organisation.id,
            "workflow_id": "wf_long",
            "step": f"s{number % 300}",
            "duration_us": number,
            "weekday": number // 300 % 7,
            "median_us": number,
            "weekday_median_us": 2 * number,
            "at_us": 0,
        }
        for number in range(300 * 140)
    ]
    await runs.scripts.database.write(
        lambda connection: connection.execute(insert(scripts_durations), rows).close()
    )
    taken_s: list[float] = []
    found: dict[str, durations.Forecast] = {}
    for _ in range(3):
        began = time.perf_counter()
        found = await runs.scripts.database.read(durations.remembered, "wf_long", weekday=6)
        taken_s.append(time.perf_counter() - began)
    assert len(found) == 300
    assert found["s7"] == durations.Forecast(2 * (139 * 300 + 7) / SECOND_US, "weekday")
    assert min(taken_s) < 0.1


async def test_only_attempts_that_succeed_are_remembered(runs: Runs, clock: ManualClock) -> None:
    workflow = runs.define("nightly", {"Load": {"retries": {"attempts": 1, "delay_s": 0}}})
    runs.start(workflow)
    (held,) = await runs.scripts.claim("host1")
    clock.advance(500)
    assert await runs.scripts.report("host1", held, outcome="failure", exit_code=1) == []
    assert (await expected(runs, workflow)).no_history
    await runs.scripts.database.write(janitor.tidy)
    (held,) = await runs.scripts.claim("host1")
    clock.advance(42)
    assert await runs.scripts.report("host1", held) == []
    assert await samples(runs, workflow) == (42.0,)
    assert (await expected(runs, workflow)).seconds == 42.0

"""Runs of workflows from their start to their end: chains, failures, retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs
from tests.surfaces.scripts_rig import scripts_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with scripts_of(database, tmp_path, clock) as scripts:
        await scripts.serve("host1", "host2")
        yield Runs(scripts)


async def test_each_step_becomes_ready_when_what_it_depends_on_is_finished(runs: Runs) -> None:
    workflow = runs.define(
        "nightly",
        {
            "extract": {},
            "transform": {"depends_on": ["extract"], "host": "host2"},
            "load": {"depends_on": ["transform"]},
        },
    )
    run_id = runs.start(workflow)
    assert await runs.states(run_id) == {
        "extract": "ready", "transform": "waiting", "load": "waiting",
    }  # fmt: skip
    assert await runs.scripts.claim("host2") == []
    (held,) = await runs.work("extract")
    assert held.payload.run_id == run_id
    assert held.payload.environment_name == "local"
    assert held.payload.attempt == 1
    assert (await runs.states(run_id))["extract"] == "finished"
    await runs.work("transform", host="host2")
    assert (await runs.run(run_id))["state"] == "running"
    await runs.work("load")
    told = await runs.run(run_id)
    assert told["state"] == "finished"
    assert told["counts"]["finished"] == 3

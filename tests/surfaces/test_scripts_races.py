"""Changes of a run that come at the same instant, and servers that die in the middle of one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from longshore.clock import ManualClock
from longshore.engine.tables import works
from longshore.engine.works import Ending, Outcome
from longshore.server.native import worker_surfaces
from longshore.storage import Database
from longshore.surfaces.scripts import operating
from longshore.surfaces.scripts.tables import scripts_attempts, scripts_runs
from tests.surfaces.runs_rig import Runs, runs_of
from tests.surfaces.scripts_rig import Held

WIDTH = 8


class Crash(Exception):
    """A server that dies before it has committed."""


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


def _count(runs: Runs, table: object, *where: object) -> int:
    query = select(func.count()).select_from(table).where(*where)  # type: ignore[arg-type]
    return int(runs.scripts.database.read_blocking(lambda connection: connection.scalar(query)))


async def test_steps_that_end_at_the_same_time_release_their_common_successor_once(
    runs: Runs,
) -> None:
    names = [f"part{number}" for number in range(WIDTH)]
    workflow = runs.define("wide", {**{name: {} for name in names}, "join": {"depends_on": names}})
    for _ in range(3):
        run_id = runs.start(workflow)
        held = await runs.scripts.claim("host1")
        lost = await asyncio.gather(*[runs.scripts.report("host1", each) for each in held])
        assert lost == [[]] * WIDTH
        await runs.work("join")
        assert (await runs.run(run_id))["state"] == "finished"
    assert _count(runs, works) == 3 * (WIDTH + 1)


async def test_a_report_and_a_rerun_at_the_same_time_leave_one_work_that_can_run(
    runs: Runs,
) -> None:
    workflow = runs.define("pair", {"bad": {}, "good": {}, "end": {"depends_on": ["bad", "good"]}})
    for _ in range(5):
        run_id = runs.start(workflow)
        held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
        await runs.scripts.report("host1", held["bad"], outcome="rejected", exit_code=1)
        await asyncio.gather(
            runs.scripts.report("host1", held["good"]),
            runs.rerun(run_id, "failed"),
            runs.operate(run_id, "hold", "end"),
        )
        await runs.work("bad")
        assert (await runs.states(run_id))["end"] == "hold"
        await runs.operate(run_id, "resume", "end")
        await runs.work("end")
        assert (await runs.run(run_id))["state"] == "finished"


async def test_claims_holds_and_cancellations_at_the_same_time_never_run_what_is_cancelled(
    runs: Runs,
) -> None:
    workflow = runs.define("busy", {f"step{number}": {} for number in range(6)})
    for _ in range(3):
        run_id = runs.start(workflow)
        claimed: list[list[Held]] = list(
            await asyncio.gather(*[runs.scripts.claim("host1", limit=2) for _ in range(3)])
        )
        told, _ = await asyncio.gather(
            runs.operate(run_id, "cancel"), runs.scripts.call("GET", f"/runs/{run_id}/steps")
        )
        held = [each for some in claimed for each in some]
        assert sorted(told["stopping"]) == sorted(each.payload.step for each in held)
        assert await runs.scripts.claim("host1") == []
        for each in held:
            await runs.scripts.report("host1", each, outcome="cancelled")
        await runs.look()
        assert set((await runs.states(run_id)).values()) == {"cancelled"}


async def test_events_that_come_at_once_keep_to_the_parallel_limit(runs: Runs) -> None:
    triggers = {"events": [{"name": "rush", "parallel": 2}]}
    runs.define("rush", {"one": {}}, triggers=triggers)
    body = {"eventName": "rush", "payload": {}}
    await asyncio.gather(
        *[runs.scripts.call("POST", "/rtevent", body=body, expect=201) for _ in range(WIDTH)]
    )
    for _ in range(WIDTH // 2):
        held = await runs.scripts.claim("host1")
        assert len(held) == 2
        await asyncio.gather(*[runs.scripts.report("host1", each) for each in held])
    assert _count(runs, scripts_runs, scripts_runs.c.state == "finished") == WIDTH


async def test_runs_that_want_the_same_key_at_once_keep_to_its_limit(runs: Runs) -> None:
    key = {"concurrency": [{"key": "one", "limit": 1}, {"key": "other", "limit": 1}]}
    workflow = runs.define("keyed", {"first": key, "second": key})
    started = [runs.start(workflow) for _ in range(4)]
    for _ in range(8):
        (held,) = await runs.scripts.claim("host1")
        await asyncio.gather(runs.scripts.report("host1", held), runs.look(), runs.look())
        await runs.look()
    assert [(await runs.run(run_id))["state"] for run_id in started] == ["finished"] * 4


async def test_a_report_whose_server_dies_leaves_nothing_and_is_accepted_when_it_comes_again(
    runs: Runs,
) -> None:
    run_id = runs.start(runs.define("crash", {"one": {}, "two": {"depends_on": ["one"]}}))
    (held,) = await runs.scripts.claim("host1")
    organisation_id = runs.scripts.served.organisation.id
    holder = runs.scripts.workers["host1"][0]

    def finish(connection: Connection) -> None:
        ending = Ending(held.work_id, held.attempt, Outcome.SUCCESS, b'{"exit_code":0}')
        worker_surfaces.finish(connection, organisation_id, [ending], holder=holder)
        raise Crash

    with pytest.raises(Crash):
        runs.scripts.database.write_blocking(finish)
    assert await runs.states(run_id) == {"one": "running", "two": "waiting"}
    assert _count(runs, scripts_attempts) == 0
    assert await runs.scripts.report("host1", held) == []
    assert await runs.scripts.report("host1", held) == []
    assert _count(runs, scripts_attempts) == 1
    assert await runs.states(run_id) == {"one": "finished", "two": "ready"}


async def test_an_operation_whose_server_dies_leaves_everything_as_it_was(runs: Runs) -> None:
    run_id = runs.start(runs.define("crash", {"one": {"concurrency": [{"key": "k"}]}}))
    organisation_id = runs.scripts.served.organisation.id

    def hold(connection: Connection) -> None:
        operating.hold(connection, organisation_id, run_id, actor="test", reason="")
        raise Crash

    with pytest.raises(Crash):
        runs.scripts.database.write_blocking(hold)
    assert await runs.states(run_id) == {"one": "ready"}
    await runs.work("one")
    assert (await runs.run(run_id))["state"] == "finished"

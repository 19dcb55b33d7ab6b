"""Runs that flags and ends of other runs start, on both databases."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from longshore.clock import ManualClock
from longshore.errors import Conflict
from longshore.storage import Database, open_database
from longshore.surfaces.scripts import flags, starting, workflows
from longshore.surfaces.scripts.definition.model import Flag
from longshore.surfaces.scripts.tables import scripts_runs
from tests.surfaces.scripts_rig import Scripts, scripts_of

DAY, NEXT_DAY = "2026-03-04", "2026-03-05"
NIGHTLY = """
workflow: nightly
triggers:
  flags:
    - - {name: delivered, system_name: warehouse, source_system_name: shop}
      - {name: closed}
    - [{name: forced}]
steps:
  load: {script: load.py, host: host1}
"""
DELIVERED = Flag(name="delivered", system_name="warehouse", source_system_name="shop")
CLOSED, FORCED = Flag(name="closed"), Flag(name="forced")


@pytest.fixture
async def scripts(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Scripts]:
    async with scripts_of(database, tmp_path, clock) as made:
        await made.serve("host1")
        yield made


def put(scripts: Scripts, flag: Flag, day: str = DAY) -> None:
    organisation_id = scripts.served.organisation.id
    scripts.database.write_blocking(flags.put, organisation_id, flag, day, actor="a test")


def apply(scripts: Scripts, text: str) -> str:
    organisation_id = scripts.served.organisation.id
    applied = scripts.database.write_blocking(
        workflows.apply, organisation_id, text, actor="a test"
    )
    return applied.workflow.id


def follower(name: str, followed: str, on: str) -> str:
    return (
        f"workflow: {name}\ntriggers: {{workflows: [{{name: {followed}, on: {on}}}]}}\n"
        "steps:\n  a: {script: a.py, host: host1}\n"
    )


def runs(database: Database) -> list[Any]:
    query = select(scripts_runs).order_by(scripts_runs.c.id)
    return database.read_blocking(lambda connection: list(connection.execute(query)))


def start(scripts: Scripts, workflow_id: str) -> int:
    return scripts.database.write_blocking(
        starting.start, scripts.served.organisation.id, workflow_id, trigger="manual",
        started_by="a test", payload=None, business_date=DAY, actor="a test",
    )  # fmt: skip


async def test_a_list_of_flags_starts_a_run_once_for_each_date(scripts: Scripts) -> None:
    apply(scripts, NIGHTLY)
    put(scripts, DELIVERED)
    put(scripts, CLOSED, NEXT_DAY)
    put(scripts, Flag(name="delivered", system_name="other", source_system_name="shop"), NEXT_DAY)
    assert runs(scripts.database) == []
    put(scripts, CLOSED)
    (run,) = runs(scripts.database)
    assert (run.trigger, run.business_date) == ("flag", DAY)
    assert run.started_by == "flags closed, delivered of 2026-03-04"
    put(scripts, DELIVERED, NEXT_DAY)
    assert [each.business_date for each in runs(scripts.database)] == [DAY, NEXT_DAY]


async def test_flags_that_are_cleared_and_set_again_start_nothing_again(scripts: Scripts) -> None:
    apply(scripts, NIGHTLY)
    put(scripts, FORCED)
    organisation_id = scripts.served.organisation.id
    scripts.database.write_blocking(flags.clear, organisation_id, FORCED, DAY)
    put(scripts, FORCED)
    apply(scripts, NIGHTLY.replace("load.py", "load2.py"))
    scripts.database.write_blocking(flags.clear, organisation_id, FORCED, DAY)
    put(scripts, FORCED)
    assert len(runs(scripts.database)) == 1


async def test_flags_of_one_organisation_start_nothing_in_another(scripts: Scripts) -> None:
    apply(scripts, NIGHTLY)
    other, _ = scripts.served.other_organisation()
    scripts.database.write_blocking(flags.put, other.id, FORCED, DAY, actor="a test")
    assert runs(scripts.database) == []


async def test_a_retired_workflow_is_started_by_no_flag(scripts: Scripts) -> None:
    apply(scripts, NIGHTLY)
    scripts.database.write_blocking(workflows.retire, scripts.served.organisation.id, "nightly")
    put(scripts, FORCED)
    assert runs(scripts.database) == []


@pytest.fixture
def second(database_url: str, clock: ManualClock) -> Iterator[Database]:
    opened = open_database(database_url, clock=clock, migrate=False)
    yield opened
    opened.close()


async def test_two_servers_that_set_the_last_two_flags_at_once_start_one_run(
    scripts: Scripts, second: Database
) -> None:
    apply(scripts, NIGHTLY)
    organisation_id = scripts.served.organisation.id
    days = [f"2026-04-{number:02}" for number in range(1, 9)]
    with ThreadPoolExecutor(2) as pool:
        for day in days:
            together = threading.Barrier(2)

            def put_one(
                database: Database, flag: Flag, day: str = day, together: Any = together
            ) -> None:
                together.wait(10)
                database.write_blocking(flags.put, organisation_id, flag, day, actor="a test")

            done = [
                pool.submit(put_one, scripts.database, DELIVERED),
                pool.submit(put_one, second, CLOSED),
            ]
            for each in done:
                each.result(20)
    assert [each.business_date for each in runs(scripts.database)] == days


@pytest.mark.parametrize(
    ("outcome", "started"),
    [("success", ["after", "always"]), ("rejected", ["always", "rescue"])],
)
async def test_workflows_follow_the_end_that_they_wait_for(
    scripts: Scripts, outcome: str, started: list[str]
) -> None:
    first = apply(scripts, "workflow: First\nsteps:\n  a: {script: a.py, host: host1}\n")
    names = {first: "first"}
    for name, on in (("after", "finished"), ("rescue", "failed"), ("always", "ended")):
        names[apply(scripts, follower(name, "FIRST", on))] = name
    run_id = start(scripts, first)
    (held,) = await scripts.claim("host1")
    await scripts.report("host1", held, outcome=outcome, exit_code=0 if outcome == "success" else 1)
    made = [each for each in runs(scripts.database) if each.id != run_id]
    assert sorted(names[each.workflow_id] for each in made) == started
    assert {(each.trigger, each.business_date) for each in made} == {("workflow", DAY)}
    state = "finished" if outcome == "success" else "failed"
    assert made[0].started_by == f"run {run_id} of First, {state}"


async def test_a_chain_of_workflows_goes_on_from_one_to_the_next(scripts: Scripts) -> None:
    first = apply(scripts, "workflow: w0\nsteps:\n  a: {script: a.py, host: host1}\n")
    for number in range(1, 4):
        apply(scripts, follower(f"w{number}", f"w{number - 1}", "finished"))
    start(scripts, first)
    for _ in range(4):
        (held,) = await scripts.claim("host1")
        await scripts.report("host1", held)
    assert await scripts.claim("host1") == []
    assert [each.state for each in runs(scripts.database)] == ["finished"] * 4


async def test_a_follower_that_cannot_start_does_not_undo_the_end_of_the_run(
    scripts: Scripts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = apply(scripts, "workflow: first\nsteps:\n  a: {script: a.py, host: host1}\n")
    apply(scripts, follower("after", "first", "finished"))
    run_id = start(scripts, first)
    (held,) = await scripts.claim("host1")

    def refuse(connection: Connection, *_: Any, **__: Any) -> int:
        raise Conflict("It is full.")

    monkeypatch.setattr(starting, "start", refuse)
    assert await scripts.report("host1", held) == []
    (run,) = runs(scripts.database)
    assert (run.id, run.state) == (run_id, "finished")
    assert "was not started by run" in caplog.text
    assert "It is full." in caplog.text

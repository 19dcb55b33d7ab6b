"""Troubles of one run or schedule that are to stay its own, and holds that come at odd moments."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from longshore.clock import ManualClock
from longshore.engine import janitor
from longshore.storage import Database
from longshore.surfaces.scripts import operating, scheduling, starting, workflows
from longshore.surfaces.scripts.tables import scripts_events
from tests.surfaces.runs_rig import DATE, Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


async def test_a_flag_that_a_stored_definition_names_twice_is_waited_for_once(runs: Runs) -> None:
    flag = {"name": "delivered"}
    run_id = runs.start(runs.define("twice", {"one": {"flags": [flag, flag]}}))
    assert await runs.states(run_id) == {"one": "waiting"}
    body = {"name": "delivered", "systemName": "", "sourceSystemName": "", "date": DATE}
    await runs.scripts.call("POST", "/flag", body=body)
    assert await runs.states(run_id) == {"one": "ready"}


async def test_a_schedule_that_cannot_fire_keeps_no_other_from_firing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "workflow: {name}\ntriggers:\n  schedules: [{{cron: '* * * * *'}}]\n"
        "steps:\n  one: {{command: ['true'], host: host1}}\n"
    )
    for name in ("good", "bad"):
        await runs.scripts.call("POST", "/workflows", body={"text": text.format(name=name)})
    organisation_id = runs.scripts.served.organisation.id
    bad = runs.scripts.database.read_blocking(workflows.get, organisation_id, "bad")
    document = workflows.document

    def broken(connection: Connection, workflow_id: str, version: int) -> object:
        if workflow_id == bad.id:
            raise LookupError("a time zone is gone")
        return document(connection, workflow_id, version)

    monkeypatch.setattr(workflows, "document", broken)
    runs.scripts.clock.advance(61)
    fired = runs.scripts.database.write_blocking(scheduling.fire)
    assert len(fired.runs) == 1
    monkeypatch.undo()
    assert len(runs.scripts.database.write_blocking(scheduling.fire).runs) == 1


async def test_a_step_on_hold_is_not_run_again_after_its_worker_was_lost(runs: Runs) -> None:
    run_id = runs.start(runs.define("held", {"one": {}}))
    await runs.scripts.claim("host1")
    await runs.operate(run_id, "hold", "one")
    runs.scripts.clock.advance(3600)
    # A claim that is quicker than whoever follows the lost attempt.
    runs.scripts.database.write_blocking(janitor.tidy)
    await runs.scripts.serve("host1")
    assert await runs.scripts.claim("host1") == []
    await runs.look()
    assert await runs.scripts.claim("host1") == []
    assert await runs.states(run_id) == {"one": "hold"}
    await runs.operate(run_id, "resume", "one")
    await runs.work("one")
    assert (await runs.run(run_id))["state"] == "finished"


async def test_a_run_that_starts_while_a_hold_is_lifted_does_not_stay_on_hold(runs: Runs) -> None:
    workflow_id = runs.define("gate", {"one": {}})
    database, organisation_id = runs.scripts.database, runs.scripts.served.organisation.id
    database.write_blocking(
        operating.hold_workflow, organisation_id, "gate", actor="test", reason="a test"
    )
    begun, lifted = threading.Event(), threading.Event()

    def start(connection: Connection) -> int:
        run_id = starting.start(
            connection,
            organisation_id,
            workflow_id,
            trigger="manual",
            started_by="a test",
            payload=None,
            business_date=DATE,
            actor="test",
        )
        begun.set()
        # On SQLite the other has to wait for this transaction anyway.
        lifted.wait(0.5)
        return run_id

    def lift() -> None:
        assert begun.wait(10)
        database.write_blocking(operating.resume_workflow, organisation_id, "gate", actor="test")
        lifted.set()

    run_id, _ = await asyncio.gather(
        asyncio.to_thread(database.write_blocking, start), asyncio.to_thread(lift)
    )
    assert await runs.states(run_id) == {"one": "ready"}


async def test_a_concurrency_key_is_the_same_in_any_case(runs: Runs) -> None:
    steps = {
        "one": {"concurrency": [{"key": "DB"}]},
        "two": {"concurrency": [{"key": "db"}]},
    }
    run_id = runs.start(runs.define("keys", steps))
    assert sorted((await runs.states(run_id)).values()) == ["ready", "waiting"]


async def test_an_event_without_a_key_goes_with_its_run(runs: Runs) -> None:
    text = "workflow: w\ntriggers: {events: [{name: e, parallel: 9}]}\nsteps: {one: {command: ['true'], host: host1}}\n"
    await runs.scripts.call("POST", "/workflows", body={"text": text})
    for key in (None, "once"):
        body = {"eventName": "e", "payload": 1} | ({} if key is None else {"idempotencyKey": key})
        told = await runs.scripts.call("POST", "/rtevent", expect=201, body=body)
        await runs.work("one")
        await runs.scripts.call("DELETE", f"/runs/{told['actionId']}")
    left = runs.scripts.database.read_blocking(
        lambda connection: connection.scalar(select(func.count()).select_from(scripts_events))
    )
    assert left == 1

"""What operators do with runs and steps, in each state that those can be in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from longshore.access.tables import audit
from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


STATES = ("waiting", "ready", "running", "finished", "failed", "skipped", "cancelled", "hold")
REFUSED = "refused"
TABLE = {
    "skip": ("skipped", "skipped", REFUSED, REFUSED, "skipped", "skipped", "skipped", "skipped"),
    "force-ok": ("finished", "finished", REFUSED, *["finished"] * 5),
    "cancel": (
        "cancelled", "cancelled", "running", "finished", "failed", "skipped", "cancelled",
        "cancelled",
    ),
    # What is before it is finished; a step that goes on from waiting is ready.
    "rerun": (REFUSED, REFUSED, REFUSED, "ready", "ready", "ready", "ready", REFUSED),
    "hold": ("hold", "hold", "running", REFUSED, REFUSED, REFUSED, REFUSED, "hold"),
    "resume": (
        "waiting", "ready", "running", "finished", "failed", "skipped", "cancelled", "ready",
    ),
}  # fmt: skip


async def _put(runs: Runs, run_id: int, state: str) -> None:
    """Bring the step `one` of a run, which waits for `zero`, into a state."""
    if state == "waiting":
        return
    await runs.work("zero")
    if state in ("running", "finished", "failed"):
        (held,) = await runs.scripts.claim("host1")
        if state != "running":
            outcome = "success" if state == "finished" else "rejected"
            await runs.scripts.report("host1", held, outcome=outcome)
    elif state != "ready":
        what = {"skipped": "skip", "cancelled": "cancel", "hold": "hold"}[state]
        await runs.operate(run_id, what, "one")


@pytest.mark.parametrize("action", list(TABLE))
async def test_each_action_does_in_each_state_what_the_table_says(runs: Runs, action: str) -> None:
    other = {"keep": {"status": "hold"}}
    workflow = runs.define("table", {"zero": {}, "one": {"depends_on": ["zero"]}, **other})
    found = []
    for state in STATES:
        run_id = runs.start(workflow)
        await _put(runs, run_id, state)
        assert (await runs.states(run_id))["one"] == state
        refused = TABLE[action][STATES.index(state)] == REFUSED
        await runs.operate(run_id, action, "one", expect=409 if refused else 200)
        after = (await runs.states(run_id))["one"]
        assert not refused or after == state
        found.append(REFUSED if refused else after)
        await runs.operate(run_id, "cancel")
        for held in await runs.scripts.claim("host1"):
            pytest.fail(f"{held.payload.step} of a cancelled run was claimed")
    assert tuple(found) == TABLE[action]


async def test_holds_of_step_area_run_and_workflow_keep_what_is_ready_and_what_becomes_so(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "holds", {"one": {"area": "Feed"}, "two": {"area": "Feed", "depends_on": ["one"]}}
    )
    call = runs.scripts.call
    run_id = runs.start(workflow)
    places = ("/steps/ONE", "/areas/feed", "", None)
    for place in places:
        path = "/workflows/holds" if place is None else f"/runs/{run_id}{place}"
        await call("POST", f"{path}/hold", body={"reason": "month end"})
        assert (await runs.states(run_id))["one"] == "hold"
        assert await runs.scripts.claim("host1") == []
        if place != "/areas/feed":
            told = await call("GET", f"/runs/{run_id}/steps/one")
            assert "month end" in told["why"]
            assert "admin" in told["why"]
        await call("POST", f"{path}/resume")
        assert (await runs.states(run_id))["one"] == "ready"
    await call("POST", f"/runs/{run_id}/areas/Feed/hold")
    assert (await runs.run(run_id))["areas"][0]["held"] is True
    assert (await runs.run(run_id))["counts"]["hold"] == 2
    await call("POST", f"/runs/{run_id}/areas/Feed/resume")
    (held,) = await runs.scripts.claim("host1")
    await call("POST", f"/runs/{run_id}/hold")
    assert (await runs.states(run_id))["one"] == "running"
    await runs.scripts.report("host1", held)
    assert (await runs.states(run_id))["two"] == "hold"
    await call("POST", f"/runs/{run_id}/resume")
    await runs.work("two")
    assert (await runs.run(run_id))["state"] == "finished"
    await call("POST", f"/runs/{run_id}/hold", expect=409)
    await call("POST", f"/runs/{run_id}/areas/nowhere/hold", expect=409)


async def test_a_step_that_is_held_while_it_runs_is_not_tried_again_until_it_is_resumed(
    runs: Runs,
) -> None:
    workflow = runs.define("retry", {"one": {"retries": {"attempts": 3, "delay_s": 1}}})
    run_id = runs.start(workflow)
    (held,) = await runs.scripts.claim("host1")
    await runs.operate(run_id, "hold", "one")
    await runs.scripts.report("host1", held, outcome="failure", exit_code=1)
    runs.tidy(60)
    assert await runs.states(run_id) == {"one": "hold"}
    assert await runs.scripts.claim("host1") == []
    await runs.operate(run_id, "resume", "one")
    (again,) = await runs.work("one")
    assert again.payload.attempt == 2


async def test_cancelling_a_run_lists_what_it_did_and_ends_it_when_the_last_step_stops(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "cancel",
        {
            "done": {},
            "running": {},
            "ready": {"host": "host2"},
            "later": {"depends_on": ["running"]},
        },
    )
    run_id = runs.start(workflow)
    held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    await runs.scripts.report("host1", held["done"])
    told = await runs.operate(run_id, "cancel")
    assert told == {
        "cancelled": ["ready", "later"], "stopping": ["running"], "final": ["done"],
    }  # fmt: skip
    run = await runs.run(run_id)
    assert (run["state"], run["finished"]) == ("cancelled", None)
    lost = await runs.scripts.report("host1", held["running"], outcome="cancelled")
    assert lost == []
    await runs.look()
    assert (await runs.states(run_id))["running"] == "cancelled"
    assert (await runs.run(run_id))["finished"] is not None
    again = await runs.operate(run_id, "cancel")
    assert sorted(again["final"]) == ["done", "later", "ready", "running"]


async def test_a_success_that_comes_after_a_cancellation_is_dropped(runs: Runs) -> None:
    run_id = runs.start(runs.define("late", {"one": {}}))
    (held,) = await runs.scripts.claim("host1")
    await runs.operate(run_id, "cancel", "one")
    (lost,) = await runs.scripts.report("host1", held)
    assert lost["cancelled"] is True
    await runs.look()
    assert await runs.states(run_id) == {"one": "cancelled"}
    assert (await runs.run(run_id))["state"] == "failed"


async def test_a_rerun_takes_what_is_not_finished_and_keeps_payloads(runs: Runs) -> None:
    steps = {
        "one": {},
        "two": {"depends_on": ["one"]},
        "side": {"depends_on": ["one"]},
        "three": {"depends_on": ["two", "side"]},
    }
    run_id = runs.start(runs.define("rerun", steps))
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, {"rows": 1})
    await runs.scripts.report("host1", held)
    both = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    await runs.put(both["two"], {"error": "no"})
    await runs.scripts.report("host1", both["two"], outcome="rejected", exit_code=1)
    await runs.scripts.report("host1", both["side"])
    assert await runs.rerun(run_id, "failed") == ["two", "three"]
    (held,) = await runs.scripts.claim("host1")
    assert (held.payload.step, held.payload.attempt) == ("two", 2)
    read = await runs.scripts.call("GET", f"/rtstep/payload/{run_id}/one")
    assert read["payload"] == {"rows": 1}
    await runs.scripts.call(
        "POST", f"/runs/{run_id}/rerun", body={"mode": "from_step", "step": "one"}, expect=409
    )
    await runs.put(held, {"ok": True})
    await runs.scripts.report("host1", held)
    await runs.work("three")
    assert (await runs.run(run_id))["state"] == "finished"
    await runs.scripts.call("POST", f"/runs/{run_id}/rerun", body={}, expect=409)
    assert await runs.rerun(run_id, "from_step", "two") == ["two", "three"]
    assert (await runs.run(run_id))["state"] == "running"
    read = await runs.scripts.call("GET", f"/rtstep/payload/{run_id}/two")
    assert read["payload"] == {"ok": True}
    await runs.work("two")
    await runs.work("three")
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/two")
    assert [each["outcome"] for each in told["attempts"]] == ["rejected", "success", "success"]


async def test_a_whole_rerun_is_a_new_run_of_the_newest_version_with_the_same_input(
    runs: Runs,
) -> None:
    workflow = runs.define("whole", {"one": {"command": ["echo", "${event.n}"]}})
    run_id = runs.start(workflow, payload=b'{"n": 7}', business_date="2026-01-31")
    await runs.work("one")
    runs.define_again(workflow, "whole", {"one": {"command": ["print", "${event.n}"]}})
    told = await runs.scripts.call("POST", f"/runs/{run_id}/rerun", body={"mode": "whole"})
    new = await runs.run(told["id"])
    assert new["id"] != run_id
    assert (new["version"], new["business_date"]) == (2, "2026-01-31")
    assert f"run {run_id}" in new["started_by"]
    (held,) = await runs.work("one")
    assert held.payload.command == ["print", "7"]


async def test_decisions_need_a_reason_and_are_audited_with_it(runs: Runs) -> None:
    run_id = runs.start(runs.define("audit", {"one": {}, "two": {"depends_on": ["one"]}}))
    for path in (f"/runs/{run_id}/steps/one/skip", f"/runs/{run_id}/steps/one/force-ok",
                 f"/runs/{run_id}/cancel", f"/runs/{run_id}/steps/one/cancel"):  # fmt: skip
        await runs.scripts.call("POST", path, body={}, expect=400)
        await runs.scripts.call("POST", path, body={"reason": " "}, expect=400)
    await runs.scripts.call(
        "POST", f"/runs/{run_id}/steps/one/skip", body={"reason": "source is down"}
    )
    rows = runs.scripts.database.read_blocking(
        lambda connection: connection.execute(
            select(audit.c.target, audit.c.detail).where(audit.c.action == "runs.skip")
        ).all()
    )
    ((target, detail),) = rows
    assert target == str(run_id)
    assert "source is down" in detail
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/one")
    assert "source is down" in told["why"]


async def test_a_run_that_is_over_is_deleted_with_all_that_belongs_to_it(runs: Runs) -> None:
    run_id = runs.start(runs.define("gone", {"one": {}}))
    await runs.scripts.call("DELETE", f"/runs/{run_id}", expect=409)
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, {"some": "thing"})
    await runs.scripts.report("host1", held)
    await runs.scripts.call("DELETE", f"/runs/{run_id}")
    await runs.scripts.call("GET", f"/runs/{run_id}", expect=404)
    await runs.scripts.call("GET", f"/longshore/v1/works/{held.work_id}", expect=404)
    await runs.scripts.call("DELETE", f"/runs/{run_id}", expect=404)

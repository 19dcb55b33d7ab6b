"""Runs of workflows from their start to their end: chains, failures, retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


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


async def test_a_failed_step_keeps_what_depends_on_it_waiting_and_other_branches_going(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "branches",
        {
            "bad": {},
            "good": {},
            "after_bad": {"depends_on": ["bad"]},
            "end": {"depends_on": ["good"]},
        },
    )
    run_id = runs.start(workflow)
    held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    await runs.scripts.report("host1", held["bad"], outcome="failure", exit_code=1)
    assert (await runs.run(run_id))["state"] == "running"
    await runs.scripts.report("host1", held["good"])
    await runs.work("end")
    assert await runs.states(run_id) == {
        "bad": "failed", "good": "finished", "after_bad": "waiting", "end": "finished",
    }  # fmt: skip
    told = await runs.run(run_id)
    assert told["state"] == "failed"
    assert "bad did not succeed" in told["why"]
    step = await runs.scripts.call("GET", f"/runs/{run_id}/steps/AFTER_bad")
    assert "needs bad (failed)" in step["why"]


async def test_a_step_is_tried_again_with_growing_pauses_until_its_retries_are_used_up(
    runs: Runs,
) -> None:
    retries = {"attempts": 2, "delay_s": 10, "factor": 3, "delay_max_s": 20}
    run_id = runs.start(runs.define("retry", {"flaky": {"retries": retries}}))
    error = "it did not work"
    for attempt, pause_s in ((1, 10), (2, 20)):
        (held,) = await runs.scripts.claim("host1")
        assert held.payload.attempt == attempt
        await runs.scripts.report("host1", held, outcome="failure", exit_code=1, error=error)
        await runs.look()
        told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/flaky/why")
        assert f"attempt {attempt} failed: {error}; the next attempt is due at" in told["text"]
        assert await runs.states(run_id) == {"flaky": "ready"}
        runs.tidy(pause_s - 1)
        assert await runs.scripts.claim("host1") == []
        runs.tidy(1)
    await runs.work("flaky", outcome="timed_out", exit_code=None)
    assert await runs.states(run_id) == {"flaky": "failed"}
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/flaky")
    assert [each["outcome"] for each in told["attempts"]] == ["failure", "failure", "timed_out"]
    assert [each["exit_code"] for each in told["attempts"]] == [1, 1, None]
    assert (await runs.run(run_id))["state"] == "failed"


async def test_a_fatal_end_is_not_tried_again_and_the_worker_is_told_what_codes_mean(
    runs: Runs,
) -> None:
    step = {
        "retries": {"attempts": 5},
        "exit_codes": {"success": [0, 3], "retry": [75], "fatal": [2]},
        "command": ["check", "${run.id}", "${run.date}", "${event.file.name}", "$${HOME}", "${X}"],
        "environment": {"STEP": "${step.name}"},
    }
    workflow = runs.define("fatal", {"check": step})
    run_id = runs.start(workflow, payload=b'{"file": {"name": "a.csv"}}')
    (held,) = await runs.work("check", outcome="rejected", exit_code=2)
    assert (held.payload.success, held.payload.retry, held.payload.fatal) == ((0, 3), (75,), (2,))
    assert held.payload.command == ["check", str(run_id), "2026-03-04", "a.csv", "${HOME}", "${X}"]
    assert held.payload.environment == {"STEP": "check"}
    assert await runs.states(run_id) == {"check": "failed"}


async def test_a_step_whose_texts_cannot_be_filled_in_fails_before_it_runs(runs: Runs) -> None:
    workflow = runs.define("texts", {"one": {"command": ["echo", "${event.missing}"]}})
    run_id = runs.start(workflow, payload=b"{}")
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/one")
    assert told["status"] == "failed"
    assert "${event.missing}" in told["why"]
    assert (await runs.run(run_id))["state"] == "failed"


async def test_attempts_that_are_lost_cost_no_retries_unless_the_step_says_that_they_end_it(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "lost", {"again": {}, "never": {"on_lost_worker": "fail", "retries": {"attempts": 1}}}
    )
    run_id = runs.start(workflow)
    first = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    # A failure buys the step its next attempt; the loss of its worker then ends it.
    await runs.scripts.report("host1", first["never"], outcome="failure", exit_code=1)
    runs.tidy(6)
    (second,) = await runs.scripts.claim("host1")
    assert second.payload.attempt == 2
    runs.tidy(3600)
    await runs.look()
    assert await runs.states(run_id) == {"again": "ready", "never": "failed"}
    lost = await runs.scripts.report("host1", first["again"])
    assert [each["work_id"] for each in lost] == [first["again"].work_id]
    await runs.scripts.serve("host1")
    (held,) = await runs.work("again")
    assert held.payload.attempt == 2
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/again")
    assert [each["outcome"] for each in told["attempts"]] == ["lost", "success"]
    assert told["attempt"] == 2


async def test_a_step_that_is_handed_back_is_ready_again_at_once(runs: Runs) -> None:
    run_id = runs.start(runs.define("back", {"one": {}}))
    await runs.work("one", outcome="handed_back", exit_code=None)
    assert await runs.states(run_id) == {"one": "ready"}
    (held,) = await runs.work("one")
    assert held.payload.attempt == 2
    assert (await runs.run(run_id))["state"] == "finished"


async def test_the_end_of_a_work_that_nobody_told_of_is_found_by_the_regular_look(
    runs: Runs,
) -> None:
    run_id = runs.start(runs.define("unheard", {"one": {}, "two": {"depends_on": ["one"]}}))
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/one")
    await runs.scripts.call("POST", f"/longshore/v1/works/{told['work_id']}/cancel")
    await runs.look()
    assert await runs.states(run_id) == {"one": "cancelled", "two": "waiting"}
    assert (await runs.run(run_id))["state"] == "failed"


async def test_a_run_keeps_the_definition_that_it_started_with(runs: Runs) -> None:
    workflow = runs.define("pinned", {"one": {}, "two": {"depends_on": ["one"]}})
    run_id = runs.start(workflow)
    runs.define_again(workflow, "pinned", {"one": {}})
    await runs.work("one")
    await runs.work("two")
    assert (await runs.run(run_id))["version"] == 1
    newer = runs.start(workflow)
    assert (await runs.run(newer))["version"] == 2
    assert list(await runs.states(newer)) == ["one"]

"""Durations, forecasts, simulations and the order of runs, over HTTP and by the worker's hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from longshore.clock import SECOND_US, ManualClock, iso
from longshore.storage import Database
from longshore.surfaces.scripts import simulations
from longshore.surfaces.scripts.planning.simulating import simulate
from longshore.surfaces.scripts.tables import scripts_runs
from tests.surfaces.planning_rig import by_name, forecast, remember, simulated, throttle
from tests.surfaces.runs_rig import Runs
from tests.surfaces.scripts_rig import Held, scripts_of
from tests.unit.serving import bearer

SLOTS = 2
FLOW: dict[str, dict[str, Any]] = {
    "extract": {"expected_s": 30.0},
    "clean": {"expected_s": 10.0, "depends_on": ["extract"]},
    "load": {"expected_s": 100.0, "depends_on": ["extract"]},
    "report": {"expected_s": 20.0, "depends_on": ["clean"]},
    "publish": {"expected_s": 5.0, "depends_on": ["load", "report"]},
}


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with scripts_of(database, tmp_path, clock) as scripts:
        await scripts.serve("host1", "host2")
        yield Runs(scripts)


async def test_a_run_is_forecast_step_by_step_with_its_critical_path(
    runs: Runs, clock: ManualClock
) -> None:
    workflow = runs.define("nightly", FLOW)
    run_id = runs.start(workflow)
    (extract,) = await runs.scripts.claim("host1")
    clock.advance(20)
    told = await forecast(runs, run_id)
    steps = by_name(told)
    assert told["critical_path"] == ["extract", "load", "publish"]
    assert (told["remaining_s"], told["critical_path_s"], told["progress"]) == (115.0, 115.0, 14)
    assert [steps[name]["on_critical_path"] for name in FLOW] == [True, False, True, False, True]
    assert (steps["extract"]["progress"], steps["extract"]["status"]) == (66, "running")
    assert steps["clean"]["slack_s"] == 70.0
    assert steps["load"]["no_history"]
    assert steps["load"]["estimated_start"] == steps["extract"]["estimated_finish"]
    assert steps["publish"]["estimated_finish"] == told["estimated_finish"]
    clock.advance(35)
    late = by_name(await forecast(runs, run_id))["extract"]
    assert (late["progress"], late["overrun_s"]) == (99, 25.0)
    assert (await forecast(runs, run_id))["remaining_s"] == 106.0
    await runs.scripts.report("host1", extract)
    for names in (("clean", "load"), ("report",), ("publish",)):
        await runs.work(*names)
    over = await forecast(runs, run_id)
    assert (over["state"], over["progress"], over["remaining_s"]) == ("finished", 100, 0.0)
    assert over["estimated_finish"] == (await runs.run(run_id))["finished"]


async def test_what_cannot_go_on_is_named_and_no_end_is_promised(runs: Runs) -> None:
    workflow = runs.define(
        "nightly", {**FLOW, "report": {**FLOW["report"], "host": "nowhere", "area": "reports"}}
    )
    run_id = runs.start(workflow)
    told = await forecast(runs, run_id)
    assert (told["estimated_finish"], told["progress"]) == (None, None)
    assert told["stuck"] == ["report", "publish"]
    assert {"host": "nowhere", "slots": 0, "throttle": None, "workers": 0, "worker_slots": 0} in (
        told["hosts"]
    )
    await runs.scripts.serve("nowhere")
    assert (await forecast(runs, run_id))["remaining_s"] == 135.0
    await runs.scripts.database.write(hold_reports, run_id)
    held = await forecast(runs, run_id)
    assert held["stuck"] == ["report", "publish"]
    assert held["estimated_finish"] is None
    assert held["finish_if_resumed"] is not None
    assert by_name(held)["report"]["held"].startswith("area reports is on hold")


def hold_reports(connection: Connection, run_id: int) -> None:
    connection.execute(
        update(scripts_runs).where(scripts_runs.c.id == run_id).values(held_areas='["reports"]')
    )


async def test_behind_a_failed_step_nothing_is_expected_unless_it_was_dealt_with(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "nightly",
        {
            "load": {},
            "other": {"expected_s": 40.0},
            "report": {"depends_on": ["load"]},
            "alarm": {"depends_on": ["load"], "when": [{"step": "load", "state": "failed"}]},
        },
    )
    run_id = runs.start(workflow)
    held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    await runs.scripts.report("host1", held["load"], outcome="failure", exit_code=1)
    told = await forecast(runs, run_id)
    assert told["stuck"] == ["report"]
    assert by_name(told)["alarm"]["estimated_finish"] is not None


async def test_what_other_runs_do_on_the_hosts_makes_a_run_later(
    runs: Runs, clock: ManualClock
) -> None:
    workflow = runs.define("nightly", {"load": {"expected_s": 100.0}})
    first = runs.start(workflow)
    await runs.scripts.claim("host1", limit=1)
    remember(runs, workflow, "load", 100.0)
    clock.advance(30)
    second = runs.start(workflow)
    await throttle(runs, "host1", 1)
    assert (await forecast(runs, first))["remaining_s"] == 70.0
    assert (await forecast(runs, second))["remaining_s"] == 170.0


async def test_a_workflow_is_simulated_for_each_throttle(runs: Runs) -> None:
    runs.define("nightly", {name: {**step, "host": "host1"} for name, step in FLOW.items()})
    told = await simulated(runs, throttles=[1, 2, 3])
    assert [trial["makespan_s"] for trial in told["trials"]] == [165.0, 135.0, 135.0]
    assert [trial["idle_s"] for trial in told["trials"]] == [0.0, 105.0, 240.0]
    assert (told["knee"], told["shortest"], told["critical_path_s"]) == (2, 2, 135.0)
    assert told["longer_with_more"] == []
    assert told["without_history"] == list(FLOW)
    assert "holds are ignored: what is on hold is taken as resumed" in told["assumptions"]


async def test_matrices_areas_and_definition_statuses_are_simulated_as_they_run(runs: Runs) -> None:
    runs.define(
        "nightly",
        {
            "load": {"expected_s": 10.0, "matrix": {"country": ["de", "fr", "it", "es"]}},
            "sum": {"expected_s": 5.0, "depends_on": ["load"]},
            "old": {"expected_s": 500.0, "status": "inactive", "depends_on": ["sum"]},
            "slow": {"expected_s": 500.0, "status": "hold"},
        },
    )
    told = await simulated(runs, throttles=[2], holds="honoured")
    assert told["trials"][0]["makespan_s"] == 25.0
    assert told["stuck"] == ["slow"]
    assert (await simulated(runs, throttles=[2]))["trials"][0]["makespan_s"] == 500.0


async def test_a_matrix_whose_values_are_not_there_yet_is_as_large_as_the_last_one(
    runs: Runs,
) -> None:
    flow = {
        "find": {"expected_s": 10.0},
        "read": {
            "expected_s": 30.0,
            "depends_on": ["find"],
            "matrix": {"file": "${steps.find.payload.files}"},
        },
        "sum": {"expected_s": 5.0, "depends_on": ["read"]},
    }
    workflow = runs.define("nightly", flow)
    await throttle(runs, "host1", 2)
    first = runs.start(workflow)
    assert (await forecast(runs, first))["remaining_s"] == 45.0  # nobody knows: one is taken
    (find,) = await runs.scripts.claim("host1")
    await runs.scripts.call(
        "POST",
        "/rtstep/payload",
        body={"actionId": str(first), "stepname": "find", "payload": {"files": ["a", "b", "c"]}},
        headers=await runs.scripts.token(find),
    )
    await runs.scripts.report("host1", find)
    told = await forecast(runs, first)
    assert told["remaining_s"] == 65.0  # two of three at once
    assert [name for name in by_name(told) if name.startswith("read[")] == [
        "read[a]", "read[b]", "read[c]",
    ]  # fmt: skip
    for count in (2, 1, 1):
        for held in await runs.scripts.claim("host1", limit=count):
            await runs.scripts.report("host1", held)
    assert (await runs.run(first))["state"] == "finished"
    assert (await simulated(runs, throttles=[1]))["steps"] == 1 + 3 + 1 + 1
    second = runs.start(workflow)
    virtual = await runs.scripts.call("POST", f"/runs/{second}/simulate", body={"throttles": [9]})
    assert (virtual["steps"], virtual["run_id"]) == (6, second)


async def test_what_cannot_be_simulated_is_refused_in_words(runs: Runs) -> None:
    runs.define("nightly", FLOW)
    for body, words in (
        ({"throttles": []}, "length >= 1"),
        ({"throttles": [0]}, ">= 1"),
        ({"throttles": [1], "hosts": {"hots1": 2}}, "did you mean host1?"),
        ({"throttles": [1], "order": {"path": "local", "step": "lod"}}, "did you mean load?"),
        ({"throttles": [1], "order": {"path": "local"}}, "needs the step"),
        ({"throttles": [1], "order": {"path": "global", "step": "load"}}, "has no step"),
        ({"throttles": list(range(1, 200)), "samples": 1_000}, "995000 steps to simulate"),
    ):
        told = await runs.scripts.client.post("/coreauto/v1/workflows/nightly/simulate", json=body)
        assert told.status_code in (400, 413, 422), told.text
        assert words in told.text
    told = await runs.scripts.client.post(
        "/coreauto/v1/workflows/nigthly/simulate", json={"throttles": [1]}
    )
    assert told.status_code == 404
    assert "did you mean nightly?" in told.text


async def test_samples_are_drawn_from_the_history_and_repeat_with_their_seed(runs: Runs) -> None:
    workflow = runs.define("nightly", {"load": {}})
    remember(runs, workflow, "load", 10.0, 20.0, 90.0)
    told = await simulated(runs, throttles=[1], samples=50, seed=3)
    assert told == await simulated(runs, throttles=[1], samples=50, seed=3)
    assert (told["trials"][0]["makespan_s"], told["trials"][0]["high_s"]) == (20.0, 90.0)
    assert told["without_history"] == []


async def test_switching_the_order_gives_ready_steps_other_priorities_at_once(runs: Runs) -> None:
    workflow = runs.define("nightly", {**FLOW, "extract": {}, "load": {"expected_s": 100.0}})
    run_id = runs.start(workflow)
    held = await runs.scripts.claim("host1", limit=1)
    assert names(held) == ["load"]  # 105 s to go, and extract has 95 s
    switched = await runs.scripts.call(
        "POST",
        f"/runs/{run_id}/order",
        body={"path": "local", "step": "REPORT", "reason": "the board meets early"},
    )
    assert switched["order"] == {"path": "local", "step": "report"}
    assert switched["before"] == {"path": "global", "step": None}
    assert names(await runs.scripts.claim("host1", limit=1)) == ["extract"]
    assert (await forecast(runs, run_id))["critical_path"] == ["extract", "clean", "report"]
    told = await runs.scripts.client.post(
        f"/coreauto/v1/runs/{run_id}/order", json={"path": "local", "step": "raport"}
    )
    assert (told.status_code, "did you mean report?" in told.text) == (400, True)
    assert (await forecast(runs, run_id))["order"] == switched["order"]


def names(held: list[Held]) -> list[str]:
    return [each.payload.step for each in held]


async def test_other_organisations_and_readers_cannot_look_or_switch(runs: Runs) -> None:
    run_id = runs.start(runs.define("nightly", FLOW))
    _, token = runs.scripts.served.other_organisation()
    for method, path, body in (
        ("GET", f"/runs/{run_id}/forecast", None),
        ("POST", f"/runs/{run_id}/simulate", {"throttles": [1]}),
        ("POST", f"/runs/{run_id}/order", {"path": "global"}),
        ("POST", "/workflows/nightly/simulate", {"throttles": [1]}),
    ):
        await runs.scripts.call(method, path, expect=404, body=body, headers=bearer(token))


async def test_a_run_is_claimed_in_the_simulated_order_and_ends_when_each_forecast_said(
    runs: Runs, clock: ManualClock
) -> None:
    """Play a night of 40 steps with two slots by hand; each step takes just what is expected."""
    flow = night(40)
    run_id = runs.start(runs.define("nightly", flow))
    prepared = await runs.scripts.database.read(
        simulations.of_workflow,
        runs.scripts.served.organisation.id,
        "nightly",
        simulations.Request(throttles=[SLOTS]),
    )
    outcome = simulate(prepared.plan, {"host1": SLOTS})
    await throttle(runs, "host1", SLOTS)
    began_us = clock.now_us()
    looks: list[str] = []

    async def look() -> None:
        looks.append((await forecast(runs, run_id))["estimated_finish"])

    order, ended_us = await play(runs, clock, flow, look)
    assert set(looks) == {iso(ended_us)}
    assert order == list(outcome.starts)
    assert ended_us - began_us == round(outcome.makespan_s * SECOND_US)
    assert (await runs.run(run_id))["state"] == "finished"


def night(count: int) -> dict[str, Any]:
    """Return steps that wait for some before them, with whole seconds of all lengths."""
    made: dict[str, Any] = {}
    for number in range(count):
        before = [f"s{each}" for each in range(number) if (number * 7 + each * 5) % 11 == 0][-2:]
        made[f"s{number}"] = {
            "expected_s": float(3 + (number * 37) % 50),
            "depends_on": before,
        }
    return made


async def play(
    runs: Runs, clock: ManualClock, flow: dict[str, Any], look: Callable[[], Awaitable[None]]
) -> tuple[list[str], int]:
    """Work until nothing is left, looking at each turn; return what began in order, and the end."""
    running: list[tuple[int, Held]] = []
    began: list[str] = []
    while True:
        # Leases are not renewed here, and one that is over frees its slot: so count them here too.
        free = SLOTS - len(running)
        for held in await runs.scripts.claim("host1", limit=free) if free else []:
            seconds = flow[held.payload.step]["expected_s"]
            running.append((clock.now_us() + round(seconds * SECOND_US), held))
            began.append(held.payload.step)
        if not running:
            return began, clock.now_us()
        await look()
        running.sort(key=lambda pair: pair[0])
        end_us = running[0][0]
        clock.advance((end_us - clock.now_us()) / SECOND_US)
        while running and running[0][0] == end_us:
            assert await runs.scripts.report("host1", running.pop(0)[1]) == []

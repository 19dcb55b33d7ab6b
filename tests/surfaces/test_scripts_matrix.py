"""Fan-out and fan-in: one instance of a step for each combination of values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore import limits
from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


FAN = {"list": {}, "each": {"depends_on": ["list"], "matrix": {"file": "${steps.list.payload.files}"}},
       "join": {"depends_on": ["each"]}}  # fmt: skip


async def test_a_static_matrix_has_an_instance_for_each_combination(runs: Runs) -> None:
    workflow = runs.define(
        "static",
        {
            "load": {
                "matrix": {"region": ["eu", "us"], "part": [1, 2]},
                "command": ["load", "${matrix.region}", "${matrix.part}"],
            },
            "report": {"depends_on": ["load"]},
        },
    )
    run_id = runs.start(workflow)
    held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    assert list(held) == ["load[eu,1]", "load[eu,2]", "load[us,1]", "load[us,2]"]
    assert held["load[us,2]"].payload.command == ["load", "us", "2"]
    assert held["load[us,2]"].payload.matrix == {"region": "us", "part": 2}
    for each in held.values():
        assert (await runs.states(run_id))["report"] == "waiting"
        await runs.put(each, each.payload.step)
        await runs.scripts.report("host1", each)
    (report,) = await runs.scripts.claim("host1")
    parts = await runs.scripts.call(
        "GET", f"/rtstep/payload/{run_id}/load", headers=await runs.scripts.token(report)
    )
    assert parts["payload"] == ["load[eu,1]", "load[eu,2]", "load[us,1]", "load[us,2]"]
    await runs.scripts.report("host1", report)
    told = await runs.run(run_id)
    assert (told["state"], told["counts"]["finished"]) == ("finished", 5)


async def test_a_matrix_takes_its_values_from_the_payload_of_an_earlier_step(runs: Runs) -> None:
    run_id = runs.start(runs.define("fan", FAN))
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, {"files": ["a.csv", "b/c d.csv", "b/c d.csv"]})
    await runs.scripts.report("host1", held)
    claimed = await runs.work("each[a.csv]", "each[b_c_d.csv]", "each[b_c_d.csv~2]")
    assert sorted(each.payload.matrix["file"] for each in claimed) == ["a.csv"] + ["b/c d.csv"] * 2
    await runs.work("join")
    assert (await runs.run(run_id))["state"] == "finished"


async def test_over_an_empty_list_the_steps_behind_a_matrix_go_on(runs: Runs) -> None:
    run_id = runs.start(runs.define("empty", FAN))
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, {"files": []})
    await runs.scripts.report("host1", held)
    assert (await runs.states(run_id))["each"] == "finished"
    await runs.work("join")
    assert (await runs.run(run_id))["state"] == "finished"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"files": "a.csv"}, "wants a list"),
        ({}, "nothing at files"),
        ({"files": list(range(limits.WORKFLOW_STEPS))}, "more than"),
    ],
)
async def test_a_matrix_whose_values_cannot_be_used_fails_and_says_why(
    runs: Runs, payload: object, told: str
) -> None:
    run_id = runs.start(runs.define("bad", FAN))
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, payload)
    await runs.scripts.report("host1", held)
    step = await runs.scripts.call("GET", f"/runs/{run_id}/steps/each")
    assert step["status"] == "failed"
    assert told in step["why"]
    assert (await runs.run(run_id))["state"] == "failed"


async def test_a_failed_instance_is_rerun_alone_and_the_payloads_of_the_others_stay(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "again", {"load": {"matrix": {"n": [1, 2]}}, "join": {"depends_on": ["load"]}}
    )
    run_id = runs.start(workflow)
    good, bad = await runs.scripts.claim("host1")
    await runs.put(good, "kept")
    await runs.scripts.report("host1", good)
    await runs.scripts.report("host1", bad, outcome="failure", exit_code=1)
    assert await runs.states(run_id) == {
        "load": "failed", "load[1]": "finished", "load[2]": "failed", "join": "waiting",
    }  # fmt: skip
    assert await runs.rerun(run_id, "failed") == ["load", "load[2]", "join"]
    (held,) = await runs.scripts.claim("host1")
    assert (held.payload.step, held.payload.attempt) == ("load[2]", 2)
    await runs.put(held, "new")
    await runs.scripts.report("host1", held)
    found = await runs.scripts.call("GET", f"/rtstep/payload/{run_id}/load")
    assert found["payload"] == ["kept", "new"]
    await runs.work("join")
    assert (await runs.run(run_id))["state"] == "finished"


async def test_instances_whose_values_are_gone_after_a_rerun_are_removed(runs: Runs) -> None:
    run_id = runs.start(runs.define("change", FAN))
    for files in (["a", "b"], ["b", "c"]):
        (held,) = await runs.scripts.claim("host1")
        await runs.put(held, {"files": files})
        await runs.scripts.report("host1", held)
        names = [name for name in await runs.states(run_id) if "[" in name]
        assert sorted(names) == [f"each[{name}]" for name in files]
        await runs.work(*names)
        await runs.work("join")
        if files == ["a", "b"]:
            await runs.rerun(run_id, "from_step", "list")
    told = await runs.run(run_id)
    assert (told["state"], told["counts"]["finished"]) == ("finished", 4)


async def test_a_skipped_instance_lets_the_rest_of_its_matrix_finish(runs: Runs) -> None:
    workflow = runs.define(
        "skip", {"load": {"matrix": {"n": [1, 2]}}, "join": {"depends_on": ["load"]}}
    )
    run_id = runs.start(workflow)
    _, bad = await runs.work("load[1]", "load[2]", outcome="failure", exit_code=1)
    assert (await runs.run(run_id))["state"] == "failed"
    await runs.operate(run_id, "skip", bad.payload.step)
    await runs.operate(run_id, "force-ok", "load[1]")
    assert (await runs.states(run_id))["load"] == "finished"
    await runs.work("join")
    assert (await runs.run(run_id))["state"] == "finished"

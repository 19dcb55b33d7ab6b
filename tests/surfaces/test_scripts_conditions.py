"""Conditions on earlier steps, failure handlers, and templates of texts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


HANDLER = {
    "load": {},
    "alarm": {"depends_on": ["load"], "when": [{"step": "load", "state": "failed"}]},
    "clean": {"depends_on": ["load"], "when": [{"step": "load", "state": "settled"}]},
}


async def test_a_failure_that_a_step_is_there_for_does_not_fail_the_run(runs: Runs) -> None:
    run_id = runs.start(runs.define("handled", HANDLER))
    await runs.work("load", outcome="rejected", exit_code=1)
    await runs.work("alarm", "clean")
    assert await runs.states(run_id) == {
        "load": "failed", "alarm": "finished", "clean": "finished",
    }  # fmt: skip
    assert (await runs.run(run_id))["state"] == "finished"


async def test_a_failure_handler_is_skipped_where_nothing_failed(runs: Runs) -> None:
    run_id = runs.start(runs.define("unhandled", HANDLER))
    await runs.work("load")
    await runs.work("clean")
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/alarm")
    assert (told["status"], told["why"]) == (
        "skipped", "its condition wants load failed; it is finished",
    )  # fmt: skip
    assert (await runs.run(run_id))["state"] == "finished"


async def test_a_failure_whose_handler_fails_as_well_fails_the_run(runs: Runs) -> None:
    steps = {name: step for name, step in HANDLER.items() if name != "clean"}
    run_id = runs.start(runs.define("failing", steps))
    await runs.work("load", outcome="rejected", exit_code=1)
    await runs.work("alarm", outcome="rejected", exit_code=1)
    assert (await runs.run(run_id))["state"] == "failed"


PAYLOAD = {"rows": 5, "kind": "full", "done": True, "parts": [{"id": "x"}], "none": None}


CONDITIONS: Sequence[tuple[dict[str, Any], str]] = (
    ({"payload": "rows", "above": 4}, "ready"),
    ({"payload": "rows", "above": 5}, "skipped"),
    ({"payload": "rows", "below": 6}, "ready"),
    ({"payload": "kind", "below": 6}, "skipped"),
    ({"payload": "kind", "equals": "full"}, "ready"),
    ({"payload": "done", "equals": 1}, "skipped"),
    ({"payload": "done", "not_equals": 1}, "ready"),
    ({"payload": "kind", "among": ["part", "full"]}, "ready"),
    ({"payload": "kind", "among": ["part"]}, "skipped"),
    ({"payload": "parts.0.id", "equals": "x"}, "ready"),
    ({"payload": "parts.1.id", "exists": False}, "ready"),
    ({"payload": "none", "exists": True}, "ready"),
    ({"payload": "missing", "not_equals": 1}, "skipped"),
    ({"state": "finished", "payload": "rows", "equals": 4}, "skipped"),
)


async def test_a_step_goes_on_or_is_skipped_by_what_an_earlier_one_has_stored(runs: Runs) -> None:
    steps: dict[str, Any] = {
        f"step{number}": {"depends_on": ["one"], "when": [{"step": "one", **condition}]}
        for number, (condition, _) in enumerate(CONDITIONS)
    }
    run_id = runs.start(runs.define("payload", {"one": {}, **steps}))
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, PAYLOAD)
    await runs.scripts.report("host1", held)
    states = await runs.states(run_id)
    assert [states[f"step{number}"] for number in range(len(CONDITIONS))] == [
        status for _, status in CONDITIONS
    ]


async def test_what_depends_on_a_skipped_step_goes_on(runs: Runs) -> None:
    workflow = runs.define(
        "skips",
        {
            "one": {},
            "inactive": {"depends_on": ["one"], "status": "inactive"},
            "three": {"depends_on": ["inactive"]},
        },
    )
    run_id = runs.start(workflow)
    assert (await runs.states(run_id))["inactive"] == "waiting"
    await runs.work("one")
    assert (await runs.states(run_id))["inactive"] == "skipped"
    await runs.work("three")
    assert (await runs.run(run_id))["state"] == "finished"


async def test_a_run_of_which_nothing_is_left_is_finished_at_once(runs: Runs) -> None:
    run_id = runs.start(runs.define("nothing", {"one": {"status": "inactive"}}))
    assert (await runs.run(run_id))["state"] == "finished"

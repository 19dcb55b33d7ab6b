"""How many at once, and who first: events, concurrency keys, throttles, priorities, lost hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.runs_rig import Runs, runs_of
from tests.surfaces.scripts_rig import scripts_of


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


def _triggers(**event: Any) -> dict[str, Any]:
    return {"triggers": {"events": [{"name": "Arrived", **event}]}}


async def _post(runs: Runs, name: str = "arrived") -> int:
    told = await runs.scripts.call(
        "POST", "/rtevent", body={"eventName": name, "payload": {}}, expect=201
    )
    return int(told["actionId"])


async def test_so_many_runs_of_an_event_go_on_at_once_and_the_oldest_comes_next(runs: Runs) -> None:
    runs.define("event", {"one": {}}, **_triggers(parallel=2))
    posted = [await _post(runs) for _ in range(4)]
    held = await runs.scripts.claim("host1")
    assert [each.payload.run_id for each in held] == posted[:2]
    pending = await runs.run(posted[2])
    assert (pending["state"], pending["why"][:14]) == ("pending", "waits for its ")
    await runs.scripts.report("host1", held[1])
    (third,) = await runs.scripts.claim("host1")
    assert third.payload.run_id == posted[2]
    await runs.operate(posted[0], "cancel")
    # Its process is still being stopped, so its place is not free.
    assert await runs.scripts.claim("host1") == []
    await runs.scripts.report("host1", held[0], outcome="cancelled")
    await runs.look()
    (fourth,) = await runs.scripts.claim("host1")
    assert fourth.payload.run_id == posted[3]


async def test_an_event_whose_parallel_limit_is_zero_is_on_hold(runs: Runs) -> None:
    runs.define("event", {"one": {}}, **_triggers(parallel=0))
    run_id = await _post(runs)
    await runs.look()
    assert (await runs.run(run_id))["state"] == "pending"


@pytest.mark.parametrize("way_out", ["rerun", "cancel", "skip"])
async def test_a_failed_run_stops_the_others_of_its_event_until_it_is_dealt_with(
    runs: Runs, way_out: str
) -> None:
    runs.define("event", {"one": {}}, **_triggers(stop_on_error=True))
    first, second = await _post(runs), await _post(runs)
    await runs.work("one", outcome="rejected", exit_code=1)
    told = await runs.run(second)
    assert told["state"] == "pending"
    assert f"run {first} of the event has failed" in told["why"]
    if way_out == "rerun":
        await runs.rerun(first, "failed")
        (held,) = await runs.scripts.claim("host1")
        assert held.payload.run_id == first
        await runs.scripts.report("host1", held)
    else:
        await runs.operate(first, way_out, None if way_out == "cancel" else "one")
    (held,) = await runs.scripts.claim("host1")
    assert held.payload.run_id == second


async def test_runs_of_the_event_with_the_lower_number_come_first(runs: Runs) -> None:
    runs.define("slow", {"one": {}}, **_triggers(priority=500))
    urgent = {"triggers": {"events": [{"name": "urgent", "priority": 1}]}}
    runs.define("fast", {"one": {"expected_s": 1}}, **urgent)
    late, early = await _post(runs), await _post(runs, "urgent")
    held = await runs.scripts.claim("host1")
    assert [each.payload.run_id for each in held] == [early, late]


async def test_the_step_with_the_longest_path_behind_it_comes_first(runs: Runs) -> None:
    workflow = runs.define(
        "paths",
        {
            "short": {"expected_s": 50},
            "long": {"expected_s": 1},
            "longer": {"depends_on": ["long"], "expected_s": 100},
        },
    )
    run_id = runs.start(workflow)
    await runs.scripts.call(
        "POST", f"/runs/{run_id}/order", body={"path": "local", "step": "short"}
    )
    (first,) = await runs.scripts.claim("host1", limit=1)
    (second,) = await runs.scripts.claim("host1", limit=1)
    assert (first.payload.step, second.payload.step) == ("short", "long")
    runs.start(workflow)
    (first,) = await runs.scripts.claim("host1", limit=1)
    assert first.payload.step == "long"


async def test_a_concurrency_key_is_shared_by_steps_of_all_hosts_and_runs(runs: Runs) -> None:
    key = {"concurrency": [{"key": "warehouse", "limit": 2}]}
    a = runs.define("a", {"one": key, "two": {**key, "host": "host2"}})
    b = runs.define("b", {"three": {**key, "expected_s": 999}, "four": {}})
    first = runs.start(a)
    second = runs.start(b)
    held = await runs.scripts.claim("host1")
    (other,) = await runs.scripts.claim("host2")
    assert [each.payload.step for each in held] == ["one", "four"] or [
        each.payload.step for each in held
    ] == ["four", "one"]
    told = await runs.scripts.call("GET", f"/runs/{second}/steps/three/why")
    assert "concurrency key warehouse (at most 2)" in told["text"]
    # A place that becomes free goes to the one that waits for it, not to one that comes later.
    third = runs.start(a)
    await runs.scripts.report("host2", other)
    await runs.look()
    assert (await runs.states(second))["three"] == "ready"
    assert await runs.states(third) == {"one": "waiting", "two": "waiting"}
    await runs.operate(second, "hold", "three")
    await runs.look()
    assert sorted((await runs.states(third)).values()) == ["ready", "waiting"]
    await runs.operate(third, "cancel")
    await runs.operate(second, "resume", "three")
    assert (await runs.states(second))["three"] == "ready"
    for each in held:
        await runs.scripts.report("host1", each)
    assert (await runs.run(first))["state"] == "finished"


async def test_a_lower_throttle_lets_what_runs_end_and_no_more_begin(runs: Runs) -> None:
    runs.start(runs.define("throttled", {f"step{number}": {} for number in range(4)}))
    first = await runs.scripts.claim("host1", limit=3)
    await runs.scripts.call("POST", "/hosts/host1/throttle", body={"throttle": 1})
    assert await runs.scripts.claim("host1") == []
    for each in first[:2]:
        assert await runs.scripts.report("host1", each) == []
    assert await runs.scripts.claim("host1") == []
    await runs.scripts.report("host1", first[2])
    assert len(await runs.scripts.claim("host1")) == 1


async def test_ready_steps_of_a_lost_host_wait_or_move_as_their_definition_says(
    runs: Runs,
) -> None:
    workflow = runs.define(
        "lost",
        {
            "waits": {"other_hosts": ["host2"]},
            "moves": {"other_hosts": ["nowhere", "host2"], "on_lost_host": "move"},
            "running": {"other_hosts": ["host2"], "on_lost_host": "move", "expected_s": 9999},
        },
    )
    run_id = runs.start(workflow)
    (held,) = await runs.scripts.claim("host1", limit=1)
    assert held.payload.step == "running"
    await runs.look()
    assert await runs.scripts.claim("host2") == []
    runs.tidy(3600)
    await runs.scripts.serve("host2")
    await runs.look()
    claimed = await runs.scripts.claim("host2")
    assert sorted(each.payload.step for each in claimed) == ["moves", "running"]
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/moves")
    assert told["host"] == "host2"
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/waits/why")
    assert "no worker that offers 'host1' is online" in told["text"]
    for each in claimed:
        await runs.scripts.report("host2", each)
    await runs.scripts.serve("host1")
    await runs.work("waits")
    assert (await runs.run(run_id))["state"] == "finished"
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/running")
    assert [each["host"] for each in told["attempts"]][-1] == "host2"


async def test_steps_wait_for_flags_of_their_business_date(runs: Runs) -> None:
    flag = {"name": "delivered", "system_name": "dwh"}
    run_id = runs.start(runs.define("flags", {"one": {"flags": [flag]}}))
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/one")
    assert told["why"] == "waits for the flag delivered of dwh for 2026-03-04"
    body = {"name": "delivered", "systemName": "dwh", "sourceSystemName": "", "date": "2026-03-05"}
    await runs.scripts.call("POST", "/flag", body=body)
    assert await runs.states(run_id) == {"one": "waiting"}
    await runs.scripts.call("POST", "/flag", body={**body, "date": "2026-03-04"})
    assert await runs.states(run_id) == {"one": "ready"}


async def test_a_server_gives_places_on_and_follows_lost_steps_by_itself(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    async with scripts_of(database, tmp_path, clock, background=True) as scripts:
        await scripts.serve("host1")
        runs = Runs(scripts)
        key = {"concurrency": [{"key": "only", "limit": 1}]}
        first = runs.start(runs.define("a", {"one": key}))
        second = runs.start(runs.define("b", {"two": {**key, "on_lost_worker": "fail"}}))
        (held,) = await scripts.claim("host1")
        assert await runs.states(second) == {"two": "waiting"}
        await scripts.report("host1", held)
        await _becomes(runs, second, {"two": "ready"})
        assert len(await scripts.claim("host1")) == 1
        clock.advance(3600)
        await _becomes(runs, second, {"two": "failed"})
        assert (await runs.run(first))["state"] == "finished"


async def _becomes(runs: Runs, run_id: int, wanted: dict[str, str]) -> None:
    async with asyncio.timeout(10):
        while True:
            if await runs.states(run_id) == wanted:
                return
            await asyncio.sleep(0.05)

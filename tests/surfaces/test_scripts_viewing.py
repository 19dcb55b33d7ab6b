"""Runs as they are listed and shown: filters, pages, trees, logs, and who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from longshore.access import Role
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.scripts import places, recovering, turns, viewing
from tests.storage.test_plans import caught, explain
from tests.surfaces.runs_rig import Runs, runs_of
from tests.unit.serving import bearer


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


async def _listed(runs: Runs, **query: Any) -> list[int]:
    told = await runs.scripts.call("GET", "/runs", params=query)
    return [run["id"] for run in told["runs"]]


async def test_runs_are_listed_the_newest_first_by_filters_and_in_pages(runs: Runs) -> None:
    a = runs.define("Alpha", {"one": {}})
    b = runs.define("beta", {"one": {"host": "host2"}})
    first, second = runs.start(a), runs.start(a, business_date="2026-03-05")
    third = runs.start(b, trigger="backfill")
    await runs.work("one", "one")
    assert await _listed(runs) == [third, second, first]
    assert await _listed(runs, workflow="ALPHA") == [second, first]
    assert await _listed(runs, state="running") == [third]
    assert await _listed(runs, trigger="backfill") == [third]
    assert await _listed(runs, business_date="2026-03-05") == [second]
    assert await _listed(runs, limit=1, offset=1) == [second]
    told = await runs.scripts.call("GET", "/runs", params={"workflow": "beta"})
    assert told["runs"][0]["steps"] == {"active": 1}
    await runs.scripts.call("GET", "/runs", params={"state": "odd"}, expect=400)


async def test_steps_are_found_by_name_status_area_and_host(runs: Runs) -> None:
    steps = {
        "extract": {"area": "Feed"},
        "load": {"depends_on": ["extract"], "host": "host2"},
        "publish": {"depends_on": ["load"]},
    }
    run_id = runs.start(runs.define("filters", steps, areas=["main", "Feed"]))
    path = f"/runs/{run_id}/steps"

    async def found(**query: str) -> list[str]:
        told = await runs.scripts.call("GET", path, params=query)
        return [step["name"] for step in told["steps"]]

    assert await found(name="LO") == ["load"]
    assert await found(status="ready") == ["extract"]
    assert await found(area="feed") == ["extract"]
    assert await found(host="HOST2") == ["load"]
    await runs.scripts.call("GET", path, params={"status": "odd"}, expect=400)
    areas = (await runs.run(run_id))["areas"]
    assert [area["name"] for area in areas] == ["main", "Feed"]
    assert areas[0]["counts"]["waiting"] == 2


async def test_the_tree_of_a_step_goes_all_the_way_both_ways(runs: Runs) -> None:
    steps = {
        "a": {},
        "b": {"depends_on": ["a"]},
        "c": {"depends_on": ["a", "b"]},
        "d": {"depends_on": ["c"]},
    }
    run_id = runs.start(runs.define("tree", steps))
    tree = await runs.scripts.call("GET", f"/runs/{run_id}/steps/c/tree")
    assert [(each["name"], each["depth"]) for each in tree["before"]] == [("b", 1), ("a", 2)]
    assert [(each["name"], each["depth"]) for each in tree["after"]] == [("d", 1)]


async def test_logs_of_a_run_name_the_step_and_come_while_it_runs(runs: Runs) -> None:
    run_id = runs.start(runs.define("logs", {"one": {}, "two": {}}))
    held = {each.payload.step: each for each in await runs.scripts.claim("host1")}
    lines = [
        {
            "work_id": each.work_id,
            "attempt": each.attempt,
            "at_us": 0,
            "stream": "stdout",
            "text": f"hello from {name}",
        }
        for name, each in held.items()
    ]
    body = {"worker_id": runs.scripts.workers["host1"][0], "lines": lines}
    await runs.scripts.call("POST", "/longshore/v1/worker/logs", body=body)
    told = await runs.scripts.call("GET", f"/runs/{run_id}/logs")
    assert {line["step"]: line["text"] for line in told["lines"]} == {
        "one": "hello from one", "two": "hello from two",
    }  # fmt: skip
    assert told["ended"] is False
    query = {"after": told["next"], "wait": 0.1}
    assert (await runs.scripts.call("GET", f"/runs/{run_id}/logs", params=query))["lines"] == []
    await runs.scripts.report("host1", held["one"])
    told = await runs.scripts.call("GET", f"/runs/{run_id}/logs", params={"step": "ONE"})
    assert ([line["step"] for line in told["lines"]], told["ended"]) == (["one"], True)
    await runs.scripts.call("GET", f"/runs/{run_id}/logs", params={"step": "odd"}, expect=404)


async def test_why_says_of_a_work_and_a_run_what_is_to_be_said_of_the_steps(runs: Runs) -> None:
    run_id = runs.start(runs.define("why", {"one": {}, "two": {"depends_on": ["one"]}}))
    told = await runs.scripts.call("GET", f"/runs/{run_id}/why")
    assert "two: waiting: waits for one" in told["text"]
    work_id = (await runs.scripts.call("GET", f"/runs/{run_id}/steps/one"))["work_id"]
    told = await runs.scripts.call("GET", f"/longshore/v1/works/{work_id}/why")
    assert f"one of run {run_id}, ready" in told["text"]
    assert told["facts"]["step"] == "one"


async def test_another_organisation_sees_no_run_and_is_told_what_anybody_is_told(
    runs: Runs,
) -> None:
    run_id = runs.start(runs.define("mine", {"one": {}}))
    _, token = runs.scripts.served.other_organisation()
    calls = [
        ("GET", ""), ("GET", "/steps"), ("GET", "/steps/one"), ("GET", "/steps/one/tree"),
        ("GET", "/steps/one/why"), ("GET", "/why"), ("GET", "/logs"), ("DELETE", ""),
        ("POST", "/hold"), ("POST", "/resume"), ("POST", "/cancel"), ("POST", "/rerun"),
        ("POST", "/areas/main/hold"), ("POST", "/steps/one/skip"), ("POST", "/steps/one/force-ok"),
        ("POST", "/steps/one/cancel"), ("POST", "/steps/one/rerun"), ("POST", "/steps/one/hold"),
    ]  # fmt: skip
    for method, path in calls:
        body = {"reason": "theirs"} if method == "POST" else None
        answers = []
        for wanted in (run_id, 999_999):
            answer = await runs.scripts.client.request(
                method, f"/coreauto/v1/runs/{wanted}{path}", json=body, headers=bearer(token)
            )
            answers.append((answer.status_code, answer.json()["detail"].replace(str(wanted), "N")))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == 404
    assert await runs.states(run_id) == {"one": "ready"}
    told = await runs.scripts.client.get("/coreauto/v1/runs", headers=bearer(token))
    assert told.json() == {"runs": []}


async def test_viewers_look_and_only_operators_act(runs: Runs) -> None:
    run_id = runs.start(runs.define("roles", {"one": {}}))
    viewer = bearer(runs.scripts.served.token(Role.VIEWER))
    await runs.scripts.call("GET", f"/runs/{run_id}", headers=viewer)
    for path in ("/hold", "/cancel", "/steps/one/skip"):
        await runs.scripts.call(
            "POST", f"/runs/{run_id}{path}", body={"reason": "x"}, headers=viewer, expect=403
        )
    ingress = bearer(runs.scripts.served.token(Role.INGRESS))
    await runs.scripts.call("GET", f"/runs/{run_id}", headers=ingress, expect=403)


async def test_names_and_ids_that_cannot_be_are_not_found(runs: Runs) -> None:
    run_id = runs.start(runs.define("odd", {"one": {}}))
    for wanted in ("0", "-1", "1.5", "9" * 40, "abc", "%20"):
        await runs.scripts.call("GET", f"/runs/{wanted}", expect=404)
    told = await runs.scripts.call("GET", f"/runs/{run_id}/steps/two", expect=404)
    assert "Its steps are: one" in told["detail"]
    await runs.scripts.call("POST", "/workflows/nothing/runs", body={}, expect=404)
    for body in ({"business_date": "2026-02-30"}, {"priority": 1000}, {"odd": 1}):
        await runs.scripts.call("POST", "/workflows/odd/runs", body=body, expect=400)
    await runs.scripts.call("POST", "/workflows/odd/runs", body={"version": 7}, expect=404)
    told = await runs.scripts.call("POST", "/workflows/ODD/runs", body={}, expect=201)
    assert told["workflow"] == "odd"


_FILL = """
INSERT INTO scripts_runs (organisation_id, group_id, workflow_id, version, "trigger", started_by,
    priority, business_date, state, ordering, held_areas, created_us, finished_us, event_folded)
SELECT organisation_id || CASE WHEN i % 50 = 0 THEN '' ELSE CAST(i % 50 AS text) END, group_id || '-' || {number}, workflow_id, version, "trigger", started_by,
    priority, business_date, 'finished', ordering, held_areas, created_us, 1, 'arrived'
FROM scripts_runs, {numbers} WHERE scripts_runs.id = :run_id
"""
_NUMBERS = {
    "sqlite": (
        "n.i",
        "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) "
        "SELECT i FROM n) n",
    ),
    "postgresql": ("n.i", "(SELECT generate_series(1, 3000) AS i) n"),
}


async def test_no_regular_look_and_no_listing_walks_all_runs(runs: Runs) -> None:
    run_id = runs.start(runs.define("many", {"one": {}}))
    database = runs.scripts.database
    number, numbers = _NUMBERS[database.dialect]
    organisation_id = runs.scripts.served.organisation.id

    def fill(connection: Connection) -> None:
        connection.execute(text(_FILL.format(number=number, numbers=numbers)), {"run_id": run_id})
        connection.execute(text("ANALYZE"))

    database.write_blocking(fill)

    def looks(connection: Connection) -> list[str]:
        with caught(connection, "scripts_runs") as statements:
            recovering.due(connection)
            places.due(connection)
            turns.pending_events(connection)
            turns.pick(connection, organisation_id, "arrived")
            turns.blocking(connection, organisation_id, "arrived")
            viewing.show(connection, organisation_id, run_id)
            viewing.listing(connection, organisation_id, viewing.Filter(), limit=10, offset=0)
        return [f"{statement[0]}\n{explain(connection, *statement)}" for statement in statements]

    plans = database.write_blocking(looks)
    assert len(plans) >= 5
    for plan in plans:
        assert "SCAN scripts_runs\n" not in f"{plan}\n", plan
        assert "Seq Scan on scripts_runs" not in plan, plan

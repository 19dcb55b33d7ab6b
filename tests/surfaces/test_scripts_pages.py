"""What the pages of workflows read, and the pages themselves, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from longshore.access import Role
from longshore.clock import SECOND_US, ManualClock
from longshore.errors import NotFound
from longshore.storage import Database
from longshore.surfaces.scripts import (
    event_lists,
    flags,
    host_pages,
    months,
    outlooks,
    scheduling,
    step_panels,
    timelines,
    timetables,
    viewing,
    workflow_lists,
    workflows,
)
from longshore.surfaces.scripts.definition import model
from tests.surfaces.planning_rig import remember
from tests.surfaces.runs_rig import DATE, Runs, runs_of

TEXT = """
workflow: nightly
description: <b>of the night</b>
calendar: {holidays: ["2023-11-17"]}
triggers:
  events: [{name: arrived, parallel: 9}]
  schedules:
    - {cron: "30 2 * * *", time_zone: Europe/Berlin, days: working, business_date: previous_working_day}
    - {cron: "0 12 * * *", missed: none}
steps:
  load: {command: ["true"], host: host1}
  report: {command: ["true"], host: host1, depends_on: [load]}
"""


@pytest.fixture
async def runs(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Runs]:
    async with runs_of(database, tmp_path, clock) as made:
        yield made


async def read(runs: Runs, service: Any, *args: Any, **more: Any) -> Any:
    return await runs.scripts.database.read(
        service, runs.scripts.served.organisation.id, *args, **more
    )


async def seen(runs: Runs, service: Any, run_id: int, name: str) -> Any:
    def look(connection: Any, organisation_id: str) -> Any:
        return service(connection, viewing.see(connection, organisation_id, run_id), name)

    return await read(runs, look)


async def apply(runs: Runs, text: str = TEXT) -> None:
    await runs.scripts.call("POST", "/workflows", body={"text": text})


async def test_a_run_is_told_over_time_and_what_decided_its_end(runs: Runs) -> None:
    clock = runs.scripts.clock
    steps = {
        "a": {},
        "b": {"depends_on": ["a"]},
        "quick": {},
        "end": {"depends_on": ["b", "quick"]},
    }
    run_id = runs.start(runs.define("timed", steps))
    held = await runs.scripts.claim("host1")
    clock.advance(2)
    for each in held:
        if each.payload.step == "quick":
            await runs.scripts.report("host1", each)
    clock.advance(3)
    for each in held:
        if each.payload.step == "a":
            await runs.scripts.report("host1", each)
    before = await read(runs, timelines.of_run, run_id)
    rows = {row.name: row for row in before.seen.steps.values()}
    assert {name for name, row in rows.items() if before.critical(row)} == {"b", "end"}
    assert before.ready_us(rows["end"]) is None
    assert before.ready_us(rows["b"]) == rows["a"].finished_us
    await runs.work("b")
    clock.advance(1)
    await runs.work("end")
    after = await read(runs, timelines.of_run, run_id)
    rows = {row.name: row for row in after.seen.steps.values()}
    assert {name for name, row in rows.items() if after.critical(row)} == {"a", "b", "end"}
    (attempt,) = after.attempts[rows["a"].id]
    assert (attempt.number, attempt.outcome, attempt.exit_code) == (1, "success", 0)
    assert attempt.ended_us - (attempt.started_us or 0) == 5 * SECOND_US


async def test_attempts_count_over_reruns_and_a_step_is_told_with_its_payload(runs: Runs) -> None:
    run_id = runs.start(
        runs.define("again", {"a": {"description": "does a"}, "b": {"depends_on": ["a"]}})
    )
    (held,) = await runs.scripts.claim("host1")
    await runs.put(held, {"rows": 3})
    await runs.scripts.report("host1", held, outcome="failure", exit_code=3, error="no")
    await runs.rerun(run_id, "failed")
    await runs.work("a")
    timeline = await read(runs, timelines.of_run, run_id)
    row = next(row for row in timeline.seen.steps.values() if row.name == "a")
    assert [each.number for each in timeline.attempts[row.id]] == [1, 2]
    panel = await seen(runs, step_panels.read, run_id, "A")
    assert (panel.row.name, panel.needed_by, panel.payload) == ("a", ["b"], '{"rows":3}')
    assert panel.definition.description == "does a"
    assert [each.work_id for each in timeline.attempts[row.id]][::-1] == panel.work_ids
    with pytest.raises(NotFound):
        await seen(runs, step_panels.read, run_id, "missing")


async def test_workflows_are_listed_with_their_last_runs_a_page_at_a_time(runs: Runs) -> None:
    runs.define("beta", {"one": {}})
    runs.define("Alpha", {"one": {}})
    workflow_id = runs.define("gamma", {"one": {}})
    bad = runs.start(workflow_id)
    await runs.work("one", outcome="failure", exit_code=1)
    good = runs.start(workflow_id)
    (held,) = await runs.scripts.claim("host1")
    runs.scripts.clock.advance(4)
    await runs.scripts.report("host1", held)
    found = await read(runs, workflow_lists.listing, limit=2)
    assert [each.workflow.name for each in found] == ["Alpha", "beta"]
    (gamma,) = await read(runs, workflow_lists.listing, after="beta", limit=2)
    assert [run.id for run in gamma.runs] == [good, bad]
    assert (gamma.success_rate, gamma.took_s) == (0.5, 4.0)
    assert [
        each.workflow.name for each in await read(runs, workflow_lists.listing, text="ALP", limit=5)
    ] == ["Alpha"]
    assert await read(runs, workflow_lists.listing, text="%", limit=5) == []
    assert await read(runs, workflow_lists.listing, held=True, limit=5) == []


async def test_an_outlook_tells_the_critical_path_and_who_has_no_worker(runs: Runs) -> None:
    steps = {"Load": {}, "side": {}, "end": {"depends_on": ["Load", "side"]}}
    workflow_id = runs.define("ahead", steps)
    remember(runs, workflow_id, "Load", 10.0)
    remember(runs, workflow_id, "side", 4.0)
    remember(runs, workflow_id, "end", 2.0)
    told = await read(runs, outlooks.of_workflow, "ahead")
    assert (told.chain_s, told.outcome.makespan_s) == (12.0, 12.0)
    assert {told.shown[name] for name in told.critical} == {"Load", "end"}
    assert [link.name for link in told.chain] == ["load", "end"]
    runs.define("nobody", {"one": {"host": "host9"}})
    assert (await read(runs, outlooks.of_workflow, "nobody")).outcome.stuck == ("one",)


async def test_runs_are_listed_from_behind_an_id(runs: Runs) -> None:
    workflow_id = runs.define("many", {"one": {}})
    made = [runs.start(workflow_id) for _ in range(4)]
    found = await read(runs, viewing.listing, viewing.Filter(before=made[2]), limit=10)
    assert [run["id"] for run in found] == [made[1], made[0]]


async def test_schedules_are_told_in_words_with_what_came_of_their_instants(runs: Runs) -> None:
    await apply(runs)
    noon, berlin = sorted(
        await read(runs, timetables.listing, limit=9), key=lambda each: each.words, reverse=True
    )
    assert (berlin.words, noon.words) == ("at 02:30 every day", "at 12:00 every day")
    assert all(due.local.endswith("02:30 CET") for due in berlin.coming)
    runs.scripts.clock.advance((noon.coming[0].at_us - runs.scripts.clock.now_us()) / SECOND_US + 1)
    runs.scripts.database.write_blocking(scheduling.fire)
    runs.scripts.clock.advance(86_400 + 120)
    runs.scripts.database.write_blocking(scheduling.fire)
    again = await read(runs, timetables.listing, limit=9)
    noon = next(each for each in again if each.id == noon.id)
    assert [each.state for each in noon.last] == ["missed", "fired"]
    (page,) = await read(runs, timetables.listing, after=(again[0].folded, again[0].id), limit=9)
    assert page.id == again[1].id


async def test_a_month_has_runs_what_was_missed_and_what_is_to_come_by_business_date(
    runs: Runs,
) -> None:
    await apply(runs)
    workflow = await read(runs, workflows.get, "nightly")
    run_id = runs.start(workflow.id, business_date="2023-11-13")
    start = next(
        each for each in await read(runs, timetables.listing, limit=9)
        if each.schedule.time_zone == "UTC"
    ).coming[0]  # fmt: skip
    runs.scripts.clock.advance((start.at_us - runs.scripts.clock.now_us()) / SECOND_US + 300)
    runs.scripts.database.write_blocking(scheduling.fire)
    days = await month(runs, 2023, 11)
    assert len(days) == 30
    assert [run.id for run in days[date(2023, 11, 13)].runs] == [run_id]
    (missed,) = days[date.fromisoformat(start.business_date)].missed
    assert "missed: none" in missed[1]
    assert days[date(2023, 11, 17)].holiday
    assert not days[date(2023, 11, 18)].working
    assert days[date(2023, 11, 20)].working
    friday = [due.local for due in days[date(2023, 11, 24)].coming]
    assert friday == ["Fri 2023-11-24 12:00 UTC", "Mon 2023-11-27 02:30 CET"]
    # Far ahead, where there are thousands of instants before.
    assert all(day.coming for day in (await month(runs, 2043, 7)).values() if day.working)


async def month(runs: Runs, year: int, number: int) -> dict[date, months.Day]:
    found = await read(runs, months.of_workflow, "NIGHTLY", year, number)
    assert found.zones == ["Europe/Berlin", "UTC"]
    assert [len(week) for week in found.weeks] == [7] * len(found.weeks)
    return {each.date: each for week in found.weeks for each in week if each is not None}


async def test_a_schedule_that_is_due_often_is_told_as_far_as_it_was_worked_out(runs: Runs) -> None:
    await apply(runs, TEXT.replace('"0 12 * * *"', '"* * * * *"'))
    found = await read(runs, months.of_workflow, "nightly", 2023, 11)
    days = [each for week in found.weeks for each in week if each is not None]
    often = sum(len(each.coming) for each in days)
    assert months.INSTANTS_MAX <= often < months.INSTANTS_MAX + 31
    assert found.until == date(2023, 11, 15)


async def test_events_are_listed_with_their_keys_sizes_and_runs(runs: Runs) -> None:
    await apply(runs)
    for number in range(3):
        await runs.scripts.call(
            "POST", "/rtevent", expect=201,
            body={"eventName": "arrived", "payload": "\u00e4" * number, "idempotencyKey": f"k{number}"},
        )  # fmt: skip
    found = await read(runs, event_lists.accepted, limit=2)
    assert [(each.key, each.payload_bytes, each.run_state) for each in found] == [
        ("k2", 6, "running"),
        ("k1", 4, "running"),
    ]
    (last,) = await read(runs, event_lists.accepted, before=found[-1].id, limit=2)
    assert last.key == "k0"
    assert await read(runs, event_lists.accepted, name="other", limit=2) == []
    (defined,) = await read(runs, event_lists.defined)
    assert (defined.name, defined.workflow, defined.parallel) == ("arrived", "nightly", 9)


async def test_flags_go_on_behind_the_last_one_of_a_page(runs: Runs) -> None:
    organisation_id = runs.scripts.served.organisation.id
    for name, system, day in (
        ("a", "", "2026-03-02"), ("b", "x", "2026-03-02"), ("b", "", "2026-03-02"),
        ("a", "", "2026-03-03"), ("z", "", "2026-03-01"),
    ):  # fmt: skip
        runs.scripts.database.write_blocking(
            flags.put, organisation_id, model.Flag(name=name, system_name=system), day, actor="t"
        )
    everything = await read(runs, flags.listing, {}, limit=9)
    walked: list[Any] = []
    while page := await read(
        runs, flags.listing, {}, limit=2, after=walked[-1] if walked else None
    ):
        walked += page
    assert walked == everything
    assert len(walked) == 5


async def test_a_host_is_told_with_its_steps_load_and_hold(runs: Runs) -> None:
    run_id = runs.start(runs.define("busy", {"one": {}, "two": {}, "three": {}}))
    await runs.scripts.claim("host1", limit=1)
    runs.scripts.clock.advance(150)
    told = await read(runs, host_pages.read, "HOST1")
    assert len(told.running) == 1
    assert {step.run_id for step in told.waiting} == {run_id}
    assert len(told.waiting) == 2
    assert told.status.claimed_us is not None
    busy_s = sum(told.load.busy) * host_pages.LOAD_S / host_pages.POINTS
    assert busy_s == pytest.approx(150, abs=1)
    organisation_id = runs.scripts.served.organisation.id
    runs.scripts.database.write_blocking(
        host_pages.hold, organisation_id, "host1", actor="t", why="it is repaired"
    )
    assert await runs.scripts.claim("host1") == []
    assert (await read(runs, host_pages.read, "host1")).status.queue.held_why == "it is repaired"
    runs.scripts.database.write_blocking(host_pages.release, organisation_id, "host1")
    assert len(await runs.scripts.claim("host1")) == 2
    with pytest.raises(NotFound):
        await read(runs, host_pages.read, "nowhere")


PAGES = (
    "/ui/workflows", "/ui/workflows?name=n&after=a&held=1", "/ui/workflows/nightly", "/ui/workflows/never-ran",
    "/ui/workflows/nightly/versions", "/ui/workflows/nightly/versions?version=1&before=2",
    "/ui/workflows/nightly/simulate?throttles=1,2-4&samples=1&step=report&holds=honoured",
    "/ui/workflow-runs", "/ui/workflow-runs?workflow=nightly&state=running&trigger=manual&date=2026-03-04&before=99",
    "/ui/workflow-runs/1", "/ui/workflow-runs/1?step=report", "/ui/workflow-runs/1/simulate",
    "/ui/schedules", "/ui/schedules?workflow=a&after=sc_0", "/ui/schedules/calendar",
    "/ui/schedules/calendar?workflow=nightly&month=2026-03",
    "/ui/schedules/backfill?workflow=nightly&first=2026-03-01&last=2026-03-09&days=working",
    "/ui/schedules/events?name=arrived&before=9", "/ui/schedules/flags",
    "/ui/schedules/flags?name=x&after_date=2026-03-04&after_name=a",
    "/ui/hosts", "/ui/hosts?name=host&state=online&after=a", "/ui/hosts/host1",
)  # fmt: skip
REFUSED = (
    ("/ui/workflows/other", 404), ("/ui/workflow-runs/77", 404), ("/ui/workflow-runs/x", 404),
    ("/ui/workflow-runs/1?step=other", 404), ("/ui/workflow-runs?state=odd", 400),
    ("/ui/workflows/nightly/versions?version=9", 404), ("/ui/hosts/other", 404),
    ("/ui/workflow-runs/1/simulate?throttles=0", 400), ("/ui/workflow-runs/1/simulate?throttles=x", 400),
    ("/ui/workflow-runs/1/simulate?throttles=1-9999", 400), ("/ui/schedules/calendar?month=2026-13", 400),
    ("/ui/schedules/calendar?month=soon", 400), ("/ui/schedules/calendar?workflow=other", 404),
    ("/ui/schedules/backfill?workflow=nightly&first=2026-03-09&last=2026-03-01", 400),
    ("/ui/schedules/backfill?workflow=nightly&first=x&last=y", 400), ("/ui/schedules/flags?date=x", 400),
)  # fmt: skip


async def test_every_page_is_shown_on_both_databases_and_what_is_not_there_is_refused(
    runs: Runs,
) -> None:
    await apply(runs)
    await apply(runs, TEXT.replace("[load]", "[load], area: marts"))
    runs.define("never-ran", {"one": {"host": "host9"}})
    workflow = await read(runs, workflows.get, "nightly")
    assert runs.start(workflow.id) == 1
    await runs.work("load")
    client = runs.scripts.client
    entered = await client.post("/ui/sign-in", data={"secret": runs.scripts.served.first.token})
    assert entered.status_code == 303
    for path in PAGES:
        answer = await client.get(path)
        assert answer.status_code == 200, (path, answer.text[-600:])
        assert answer.text.count("<h1") == 1, path
    for path, status in REFUSED:
        assert (await client.get(path)).status_code == status, path
    assert "&lt;b&gt;of the night&lt;/b&gt;" in (await client.get("/ui/workflows/nightly")).text


async def test_a_viewer_sees_the_pages_and_changes_nothing(runs: Runs) -> None:
    await apply(runs)
    workflow = await read(runs, workflows.get, "nightly")
    run_id = runs.start(workflow.id, business_date=DATE)
    client = runs.scripts.client
    token = runs.scripts.served.token(Role.VIEWER)
    assert (await client.post("/ui/sign-in", data={"secret": token})).status_code == 303
    page = (await client.get(f"/ui/workflow-runs/{run_id}?step=load")).text
    assert "data-opens" not in page
    form_token = page.split("X-Form-Token&#34;:&#34;")[1].split("&")[0]
    headers = {"X-Form-Token": form_token}
    for path in (
        f"/ui/workflow-runs/{run_id}/hold", f"/ui/workflow-runs/{run_id}/cancel",
        f"/ui/workflow-runs/{run_id}/rerun", f"/ui/workflow-runs/{run_id}/skip",
        f"/ui/workflow-runs/{run_id}/force-ok", f"/ui/workflow-runs/{run_id}/order",
        "/ui/workflows/nightly/start", "/ui/workflows/nightly/retire", "/ui/schedules/events",
        "/ui/schedules/backfill", "/ui/schedules/flags/set", "/ui/schedules/flags/clear",
        "/ui/hosts", "/ui/hosts/host1/hold", "/ui/hosts/host1/release", "/ui/hosts/host1/throttle",
    ):  # fmt: skip
        answer = await client.post(path, data={"reason": "x"}, headers=headers)
        assert answer.status_code == 403, path
        assert "role" in answer.text, path

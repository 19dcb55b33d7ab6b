"""Definitions over HTTP on both databases: apply, check, compare, retire, backfill; and hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from longshore import limits
from longshore.access import Role
from longshore.access.tables import audit
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.scripts import starting, workflows
from tests.surfaces.scripts_rig import Scripts, scripts_of
from tests.unit.serving import bearer

ETL = """\
# Every night
workflow: Etl
triggers:
  events: [{name: etl.start}]
calendar: {holidays: [2026-12-25]}
steps:
  extract: {script: extract.py, host: host1}
  load: {script: load.py, host: host2, depends_on: [extract]}
"""
CHANGED = ETL.replace("load.py", "load2.py")


@pytest.fixture
async def scripts(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Scripts]:
    async with scripts_of(database, tmp_path, clock) as made:
        await made.serve("host1", "host2")
        yield made


async def apply(scripts: Scripts, text: str = ETL, *, expect: int = 200, **more: Any) -> Any:
    return await scripts.call("POST", "/workflows", expect=expect, body={"text": text}, **more)


def small(name: str, triggers: str = "{}", host: str = "host1") -> str:
    return f"workflow: {name}\ntriggers: {triggers}\nsteps:\n  a: {{script: a.py, host: {host}}}\n"


async def refused(scripts: Scripts, text: str, **more: Any) -> list[tuple[int, str]]:
    """Return the lines and words with which a file is refused, the same when only validated."""
    answer = await apply(scripts, text, expect=400, **more)
    problems = answer["details"]["problems"]
    checked = await scripts.call("POST", "/workflows/validate", body={"text": text}, **more)
    assert checked == {"valid": False, "problems": problems}
    return [(each["line"], each["message"]) for each in problems]


async def test_a_file_makes_a_workflow_and_a_version_each_time_it_says_something_new(
    scripts: Scripts,
) -> None:
    made = await apply(scripts)
    assert (made["change"], made["name"], made["version"]) == ("created", "Etl", 1)
    assert (await apply(scripts))["change"] == "unchanged"
    again = await apply(scripts, ETL.replace("Every night", "Each night"))
    assert (again["change"], again["version"]) == ("unchanged", 1)
    changed = await apply(scripts, CHANGED)
    assert (changed["change"], changed["version"], changed["id"]) == ("changed", 2, made["id"])
    shown = await scripts.call("GET", "/workflows/ETL?version=1")
    assert shown["text"].startswith("# Each night")
    assert (shown["version"], shown["newest_version"]) == (1, 2)
    assert shown["definition"]["steps"]["load"]["script"] == "load.py"
    versions = await scripts.call("GET", "/workflows/etl/versions")
    assert [each["version"] for each in versions] == [2, 1]
    assert [each["name"] for each in await scripts.call("GET", "/workflows")] == ["Etl"]


async def test_versions_and_files_are_compared_by_what_they_say(scripts: Scripts) -> None:
    await apply(scripts)
    await apply(scripts, CHANGED)
    found = await scripts.call("GET", "/workflows/etl/diff")
    assert (found["before"], found["after"]) == (1, 2)
    assert found["changes"] == [
        {"path": "steps.load.script", "change": "changed", "before": "load.py",
         "after": "load2.py"},
    ]  # fmt: skip
    assert "-  load: {script: load.py" in found["text"]
    assert "+++ Etl version 2" in found["text"]
    file = CHANGED.replace("  load:", "  more: {script: m.py, host: host1}\n  load:")
    found = await scripts.call("POST", "/workflows/etl/diff", body={"text": file})
    assert [(each["path"], each["change"]) for each in found["changes"]] == [
        ("steps.more", "added")
    ]
    assert (await scripts.call("GET", "/workflows/etl/diff?before=2&after=2"))["changes"] == []
    await scripts.call("GET", "/workflows/etl/diff?before=7", expect=404)


async def test_a_run_keeps_the_version_it_began_with(scripts: Scripts) -> None:
    made = await apply(scripts)
    organisation_id = scripts.served.organisation.id
    run_id = scripts.database.write_blocking(
        starting.start, organisation_id, made["id"], trigger="manual", started_by="a test",
        payload=None, business_date="2026-03-04", actor="a test",
    )  # fmt: skip
    await apply(scripts, CHANGED)
    (extract,) = await scripts.claim("host1")
    await scripts.report("host1", extract)
    (load,) = await scripts.claim("host2")
    assert (load.payload.run_id, load.payload.script) == (run_id, "load.py")


async def test_hosts_that_are_not_there_are_told_with_the_near_one(scripts: Scripts) -> None:
    assert await refused(scripts, small("a", host="hots1")) == [
        (4, "step a runs on the host hots1, which there is not; did you mean host1?")
    ]
    assert await refused(scripts, small("a", host="loading")) == [
        (4, "step a runs on the host loading, which there is not; there are: host1, host2.")
    ]
    await scripts.call("PUT", "/hosts/loading")
    assert (await apply(scripts, small("a", host="LOADING")))["change"] == "created"


async def test_without_any_host_it_is_said_how_to_make_one(scripts: Scripts) -> None:
    _, token = scripts.served.other_organisation()
    ((line, message),) = await refused(scripts, small("a"), headers=bearer(token))
    assert line == 4
    assert "there are no hosts yet. Start a worker with --host" in message


async def test_an_event_name_belongs_to_one_workflow_until_that_gives_it_up(
    scripts: Scripts,
) -> None:
    await apply(scripts)
    other = small("other", "{events: [{name: ETL.Start}]}")
    assert await refused(scripts, other) == [
        (2, "the event ETL.Start starts the workflow Etl already, and an event name belongs to one "
            "workflow; choose another name, or remove it there first")
    ]  # fmt: skip
    await apply(scripts, ETL.replace("etl.start", "etl.begin"))
    await apply(scripts, other)
    await scripts.call("POST", "/workflows/other/retire", body={"reason": "not needed"})
    assert (await apply(scripts))["version"] == 3


async def test_files_that_want_one_event_at_the_same_moment_are_not_both_taken(
    scripts: Scripts,
) -> None:
    files = [small(f"w{number}", "{events: [{name: same}]}") for number in range(4)]
    answers = await asyncio.gather(
        *(scripts.client.post("/coreauto/v1/workflows", json={"text": each}) for each in files)
    )
    statuses = sorted(each.status_code for each in answers)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {400, 409}
    assert len(await scripts.call("GET", "/workflows")) == 1


async def test_one_file_applied_many_times_at_once_makes_one_version(scripts: Scripts) -> None:
    answers = await asyncio.gather(
        *(scripts.client.post("/coreauto/v1/workflows", json={"text": ETL}) for _ in range(6))
    )
    assert {each.status_code for each in answers} <= {200, 409}
    assert len(await scripts.call("GET", "/workflows/etl/versions")) == 1


async def test_workflows_cannot_follow_each_other_in_a_circle(scripts: Scripts) -> None:
    ((line, message),) = await refused(scripts, small("b", "{workflows: [{name: a}]}"))
    assert (line, message) == (
        2, "there is no workflow a to follow; apply the file of that one first."
    )  # fmt: skip
    await apply(scripts, small("a"))
    await apply(scripts, small("b", "{workflows: [{name: A}]}"))
    await apply(scripts, small("c", "{workflows: [{name: b, on: ended}]}"))
    ((_, message),) = await refused(scripts, small("a", "{workflows: [{name: c}]}"))
    assert message == (
        "the workflows would start each other for ever: a -> c -> b -> a (each follows the next); "
        "remove one of these triggers"
    )


async def test_a_retired_workflow_is_gone_until_its_file_is_applied_again(scripts: Scripts) -> None:
    made = await apply(scripts)
    retired = await scripts.call("POST", "/workflows/ETL/retire", body={})
    assert retired["retired_at"] is not None
    answer = await scripts.call("GET", "/workflows/etl", expect=404)
    assert "There is no workflow 'etl'" in answer["detail"]
    assert await scripts.call("GET", "/workflows") == []
    assert len(await scripts.call("GET", "/workflows?retired=true")) == 1
    back = await apply(scripts)
    assert (back["change"], back["id"], back["version"]) == ("revived", made["id"], 1)
    listed = await scripts.call("GET", "/rtevent/list")
    assert "etl.start" in str(listed)


async def test_unknown_names_are_answered_with_the_near_one(scripts: Scripts) -> None:
    await apply(scripts)
    answer = await scripts.call("GET", "/workflows/elt", expect=404)
    assert answer["detail"] == "There is no workflow 'elt'; did you mean Etl?"


async def test_another_organisation_sees_and_changes_nothing(scripts: Scripts) -> None:
    await apply(scripts)
    headers = bearer(scripts.served.other_organisation()[1])
    assert await scripts.call("GET", "/workflows", headers=headers) == []
    assert await scripts.call("GET", "/hosts", headers=headers) == []
    for method, path, body in (
        ("GET", "/workflows/etl", None),
        ("GET", "/workflows/etl/schedules", None),
        ("GET", "/workflows/etl/diff", None),
        ("POST", "/workflows/etl/diff", {"text": ETL}),
        ("POST", "/workflows/etl/retire", {}),
        ("POST", "/workflows/etl/backfill", {"first": "2026-01-01", "last": "2026-01-01"}),
        ("GET", "/hosts/host1", None),
        ("POST", "/hosts/host1/throttle", {"throttle": 0}),
    ):
        await scripts.call(method, path, body=body, headers=headers, expect=404)


async def test_roles_reach_as_far_as_they_should(scripts: Scripts) -> None:
    await apply(scripts)
    backfill = {"first": "2026-01-01", "last": "2026-01-01", "dry_run": True}
    calls = {
        ("GET", "/workflows/etl"): (None, Role.VIEWER),
        ("GET", "/workflows/schema"): (None, Role.VIEWER),
        ("POST", "/workflows/validate"): ({"text": ETL}, Role.VIEWER),
        ("POST", "/workflows"): ({"text": ETL}, Role.DEVELOPER),
        ("POST", "/workflows/etl/backfill"): (backfill, Role.OPERATOR),
        ("POST", "/hosts/host1/throttle"): ({"throttle": 3}, Role.OPERATOR),
    }
    order = [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER]
    for role in order:
        headers = bearer(scripts.served.token(role))
        for (method, path), (body, least) in calls.items():
            expect = 200 if order.index(role) >= order.index(least) else 403
            await scripts.call(method, path, body=body, headers=headers, expect=expect)
    for (method, path), (body, _) in calls.items():
        await scripts.call(method, path, body=body, headers={"Authorization": ""}, expect=401)


async def test_changes_are_audited_and_a_repeated_request_is_answered_as_the_first_time(
    scripts: Scripts,
) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await apply(scripts, headers=headers)
    assert await apply(scripts, headers=headers) == first
    await scripts.call("POST", "/hosts/host1/throttle", body={"throttle": 2, "reason": "slow disk"})
    await scripts.call("POST", "/workflows/etl/retire", body={"reason": "over"})
    rows = scripts.database.read_blocking(
        lambda connection: list(
            connection.execute(
                select(audit.c.action, audit.c.target, audit.c.detail)
                .where(audit.c.action.like("workflows.%") | audit.c.action.like("hosts.%"))
                .order_by(audit.c.id)
            )
        )
    )
    assert [(row.action, row.target) for row in rows] == [
        ("workflows.apply", first["id"]),
        ("hosts.throttle", "host1"),
        ("workflows.retire", first["id"]),
    ]
    assert "slow disk" in rows[1].detail


async def test_a_file_that_is_too_large_or_no_text_is_refused(scripts: Scripts) -> None:
    await apply(scripts, "#" * (limits.WORKFLOW_BYTES + 1), expect=413)
    await apply(scripts, "workflow: [", expect=400)
    await scripts.call("POST", "/workflows", body={"text": 1}, expect=400)
    await scripts.call("POST", "/workflows", body={"txt": ""}, expect=400)
    assert await scripts.call("GET", "/workflows") == []


async def test_hosts_are_told_with_workers_steps_and_throttle(
    scripts: Scripts, clock: ManualClock
) -> None:
    made = await apply(scripts)
    for _ in range(3):
        scripts.database.write_blocking(
            starting.start, scripts.served.organisation.id, made["id"], trigger="manual",
            started_by="a test", payload=None, business_date="2026-03-04", actor="a test",
        )  # fmt: skip
    await scripts.call("POST", "/hosts/HOST1/throttle", body={"throttle": 2})
    assert len(await scripts.claim("host1")) == 2
    assert await scripts.claim("host1") == []
    lowered = await scripts.call("POST", "/hosts/host1/throttle", body={"throttle": 1})
    assert (lowered["running"], lowered["queued"], lowered["throttle"]) == (2, 1, 1)
    await scripts.call("POST", "/hosts/host1/throttle", body={"throttle": None})
    assert len(await scripts.claim("host1")) == 1
    await scripts.call("POST", "/hosts/host1/throttle", body={"throttle": -1}, expect=400)
    await scripts.call("POST", "/hosts/host9/throttle", body={"throttle": 1}, expect=404)
    await scripts.call("PUT", "/hosts/not%20a%20name", expect=400)
    await scripts.call("PUT", "/hosts/spare")
    first, second, spare = await scripts.call("GET", "/hosts")
    assert (first["name"], first["state"], first["running"]) == ("host1", "online", 3)
    assert (second["workers"], second["slots"]) == (["worker of host2"], 10)
    assert (spare["state"], spare["seen_at"]) == ("offline", None)
    clock.advance(120)
    assert (await scripts.call("GET", "/hosts/host2"))["state"] == "lost"


async def test_a_backfill_starts_a_run_for_each_date_that_has_none(scripts: Scripts) -> None:
    await apply(scripts)
    wanted = {"first": "2026-12-23", "last": "2026-12-28", "days": "working"}
    dry = await scripts.call("POST", "/workflows/etl/backfill", body={**wanted, "dry_run": True})
    days = ["2026-12-23", "2026-12-24", "2026-12-28"]
    assert dry["runs"] == [{"business_date": day, "run_id": None} for day in days]
    made = await scripts.call("POST", "/workflows/etl/backfill", body=wanted)
    runs = {each["business_date"]: each["run_id"] for each in made["runs"]}
    assert list(runs) == days
    held = await scripts.claim("host1")
    assert [each.payload.business_date for each in held] == days
    again = await scripts.call("POST", "/workflows/etl/backfill", body=wanted)
    assert (again["runs"], again["left_out"]) == ([], days)
    whole = {**wanted, "all": True, "payload": {"x": 1}, "last": "2026-12-23"}
    (one,) = (await scripts.call("POST", "/workflows/etl/backfill", body=whole))["runs"]
    assert one["run_id"] not in runs.values()


async def test_a_backfill_that_cannot_be_is_refused(scripts: Scripts) -> None:
    await apply(scripts)
    bad: list[tuple[dict[str, Any], int, str]] = [
        ({"first": "2026-12-23", "last": "2026-12-22"}, 400, "is after the last"),
        ({"first": "2026-2-3", "last": "2026-12-22"}, 400, "is no date"),
        ({"first": "2000-01-01", "last": "2026-12-22"}, 413, "one backfill may have 1000"),
        ({"first": "2026-01-01", "last": "2026-12-22", "priority": 1000}, 400, "priority"),
        ({"first": "2026-01-01"}, 400, "last"),
    ]
    for wanted, status, words in bad:
        answer = await scripts.call("POST", "/workflows/etl/backfill", body=wanted, expect=status)
        assert words in answer["detail"]
    assert await scripts.claim("host1") == []


async def test_schedules_are_told_with_what_is_next_and_what_was(scripts: Scripts) -> None:
    text = small("nightly", "{schedules: [{cron: 0 3 * * *, days: working}]}")
    await apply(scripts, text)
    told = await scripts.call("GET", "/workflows/nightly/schedules")
    (schedule,) = told["schedules"]
    assert schedule["words"] == "0 3 * * * (UTC), working days only"
    assert [each["instant"] for each in schedule["next"]][:3] == [
        "2023-11-15T03:00:00.000Z", "2023-11-16T03:00:00.000Z", "2023-11-17T03:00:00.000Z"
    ]  # fmt: skip
    assert schedule["next"][3]["business_date"] == "2023-11-20"
    assert told["instants"] == []


async def test_a_definition_is_read_once_and_never_that_of_a_change_that_was_undone(
    scripts: Scripts,
) -> None:
    made = await apply(scripts)
    organisation_id = scripts.served.organisation.id

    def change_and_fail(connection: Any) -> None:
        workflows.apply(connection, organisation_id, CHANGED, actor="a test")
        assert workflows.document(connection, made["id"], 2).steps["load"].script == "load2.py"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scripts.database.write_blocking(change_and_fail)
    await apply(scripts, ETL.replace("load.py", "load3.py"))
    read = scripts.database.read_blocking(workflows.document, made["id"], 2)
    assert read.steps["load"].script == "load3.py"
    assert scripts.database.read_blocking(workflows.document, made["id"], 2) is read

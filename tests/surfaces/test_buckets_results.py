from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from longshore import limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.buckets.tables import bucket_results
from tests.surfaces.results_rig import PIPELINE, Harbour, harbour, result


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        yield made


async def test_a_deposited_result_comes_back_as_it_was_given(rig: Harbour) -> None:
    odd = result(
        tags=["a", "ü"], event=[5], unknown={"deep": [1, None, True, 1.5, "ß"]}, results=None
    )

    answer = await rig.call("POST", "/results/results", [odd, result(pipeline="other")])

    assert answer == {PIPELINE: True, "other": True}
    assert await rig.results() == [odd]
    assert await rig.call("GET", "/results/status") == {PIPELINE: 1, "other": 1}


async def test_an_empty_list_of_results_is_accepted(rig: Harbour) -> None:
    assert await rig.call("POST", "/results/results", []) == {}
    assert await rig.call("PUT", "/results/results", []) is True
    assert await rig.call("DELETE", "/results/results") == {}


async def test_a_duplicate_id_is_refused_and_nothing_of_the_request_is_stored(rig: Harbour) -> None:
    there = result()
    await rig.call("POST", "/results/results", [there])

    refused = await rig.call("POST", "/results/results", [result(), there], 409)
    elsewhere = {**there, "pipeline": "other"}
    await rig.call("POST", "/results/results", [elsewhere], 409)
    new = result()
    twice = await rig.call("POST", "/results/results", [new, new], 409)

    assert refused["details"]["ids"] == [there["id"]]
    assert "twice" in twice["detail"]
    assert await rig.call("GET", "/results/status") == {PIPELINE: 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"status": "running"}, "success or failure"),
        ({"status": "created"}, "success or failure"),
        ({"status": None}, "success or failure"),
        ({"pipeline": "with space"}, "pipeline"),
        ({"pipeline": None}, "pipeline"),
        ({"id": 7}, "id"),
        ({"id": ""}, "id"),
    ],
)
async def test_what_is_no_finished_work_is_refused(
    rig: Harbour, given: dict[str, Any], message: str
) -> None:
    refused = await rig.call("POST", "/results/results", [result(), {**result(), **given}], 400)

    assert message in refused["detail"]
    assert "1" in refused["detail"]
    assert rig.count(bucket_results) == 0


async def test_a_body_that_is_no_list_of_works_is_refused(rig: Harbour) -> None:
    for content in ({}, "text", 5, [5], [[]]):
        await rig.call("POST", "/results/results", content, 400)
        await rig.call("PUT", "/results/results", content, 400)


async def test_more_works_than_the_limit_are_refused(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DEPOSIT_WORKS", 2)

    refused = await rig.call("POST", "/results/results", [result() for _ in range(3)], 413)

    assert refused["details"] == {"limit": 2}


async def test_a_view_filters_projects_sorts_and_pages(rig: Harbour) -> None:
    given = [result(results={"snr": number}, tags=[f"t{number % 2}"]) for number in range(6)]
    await rig.call("POST", "/results/results", given)

    odd = await rig.results({"tags": {"$in": ["t1"]}}, projection={"results": True})
    page = await rig.results(sort={"results.snr": -1}, skip=1, limit=2)

    assert [each["results"]["snr"] for each in odd] == [1, 3, 5]
    assert all("tags" not in each for each in odd)
    assert [each["results"]["snr"] for each in page] == [4, 3]


async def test_an_id_is_found_by_id_and_an_event_as_the_whole_array(rig: Harbour) -> None:
    one, two = await rig.stored({"event": [5]}, {"event": [5, 6]})

    assert [each["id"] for each in await rig.results({"id": {"$in": [two, "nope"]}})] == [two]
    assert [each["id"] for each in await rig.results({"event": [5]})] == [one]
    body = {"query": {"id": one, "pipeline": PIPELINE}}
    assert await rig.call("POST", "/results/view/count", body) == 1
    body = {"query": {"id": one, "pipeline": "other"}}
    assert await rig.call("POST", "/results/view/count", body) == 0


async def test_a_view_gives_a_hundred_unless_it_says_otherwise(rig: Harbour) -> None:
    await rig.call("POST", "/results/results", [result() for _ in range(101)])
    body = {"query": {"pipeline": PIPELINE}}

    assert len(await rig.call("POST", "/results/view", body)) == 100
    assert len(await rig.call("POST", "/results/view", {**body, "limit": 0})) == 101
    assert len(await rig.call("POST", "/results/view", {**body, "limit": None})) == 101
    await rig.call("POST", "/results/view", {**body, "limit": -1}, 400)


async def test_a_view_of_more_than_one_answer_holds_is_refused(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.call("POST", "/results/results", [result() for _ in range(4)])
    body = {"query": {"pipeline": PIPELINE}, "limit": 0}

    with monkeypatch.context() as patched:
        patched.setattr(limits, "VIEW_WORKS", 3)
        refused = await rig.call("POST", "/results/view", body, 413)
        assert len(await rig.call("POST", "/results/view", {**body, "limit": 3})) == 3
    monkeypatch.setattr(limits, "VIEW_BYTES", 300)
    await rig.call("POST", "/results/view", body, 413)

    assert "skip" in refused["detail"]


async def test_no_underscore_id_is_ever_shown(rig: Harbour) -> None:
    (one,) = await rig.stored({"_id": {"$oid": "655400000000000000000000"}})

    assert "_id" not in (await rig.results())[0]
    body = {"query": {"pipeline": PIPELINE}, "projection": {"id": 1, "_id": 1}}
    assert await rig.call("POST", "/results/view", body) == [{"id": one}]


async def test_an_update_changes_what_it_names_and_leaves_the_rest(rig: Harbour) -> None:
    (one,) = await rig.stored({"tags": ["a"], "unknown": 1})
    (before,) = await rig.results()

    change = {"id": one, "pipeline": PIPELINE, "status": "failure", "results": {"snr": True}}
    assert await rig.call("PUT", "/results/results", [change]) is True

    (after,) = await rig.results()
    assert after == {**before, "status": "failure", "results": {"snr": True}}
    assert await rig.results({"status": "failure"}) == [after]
    assert await rig.results({"status": "success"}) == []


async def test_an_update_of_what_is_not_there_changes_nothing(rig: Harbour) -> None:
    (one,) = await rig.stored({})
    (before,) = await rig.results()

    both = [{**before, "tags": ["new"]}, result()]
    missing = await rig.call("PUT", "/results/results", both, 404)
    await rig.call("PUT", "/results/results", [{**before, "pipeline": "other"}], 404)
    await rig.call("PUT", "/results/results", [{**before, "status": "running"}], 400)
    await rig.call("PUT", "/results/results", [{**before, "id": None}], 400)

    assert missing["details"]["ids"] == [both[1]["id"]]
    assert await rig.results() == [before]
    assert before["id"] == one


async def lock(rig: Harbour, one: str, *, locked: bool = True, expect: int = 200) -> None:
    """Lock or unlock as the published client does: view, set the flag, put all of it back."""
    works = await rig.results({"id": {"$in": [one]}})
    for each in works:
        each["results"]["locked"] = locked
    await rig.call("PUT", "/results/results", works, expect)


async def test_a_locked_result_refuses_update_and_delete_until_it_is_unlocked(rig: Harbour) -> None:
    one, free = await rig.stored({}, {})
    await lock(rig, one)
    (locked,) = await rig.results({"results.locked": True})

    changed = {**locked, "tags": ["new"]}
    opened = {**locked, "tags": ["new"], "results": {**locked["results"], "locked": False}}
    refused = await rig.call("PUT", "/results/results", [changed], 409)
    await rig.call("PUT", "/results/results", [opened], 409)
    with_free = {"params": {PIPELINE: [free, one]}}
    deletion = await rig.client.delete("/results/results", **with_free)

    assert refused["details"]["ids"] == [one]
    assert "locked" in refused["detail"]
    assert deletion.status_code == 409
    assert len(await rig.results()) == 2
    assert (await rig.results({"id": one})) == [locked]

    await lock(rig, one, locked=False)
    assert await rig.results({"results.locked": True}) == []
    await rig.call("PUT", "/results/results", [changed | {"results": {"snr": 1}}])
    deletion = await rig.client.delete("/results/results", **with_free)
    assert deletion.json() == {PIPELINE: True}
    assert await rig.results() == []


async def test_putting_a_locked_result_back_unchanged_is_no_change(rig: Harbour) -> None:
    (one,) = await rig.stored({})
    await lock(rig, one)

    await lock(rig, one)

    assert len(await rig.results({"results.locked": True})) == 1


async def test_results_are_deleted_under_the_name_of_their_pipeline(rig: Harbour) -> None:
    one, two = await rig.stored({}, {})

    wrong = await rig.client.delete("/results/results", params={"other": [one]})
    assert wrong.json() == {"other": True}
    assert len(await rig.results()) == 2

    right = await rig.client.delete("/results/results", params={PIPELINE: [one, "gone"]})
    assert right.json() == {PIPELINE: True}
    assert [each["id"] for each in await rig.results()] == [two]


async def test_a_version_is_told_without_a_key(rig: Harbour) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(rig.served.app), base_url="http://test"
    ) as stranger:
        head = await stranger.head("/results/version")
        version = await stranger.get("/results/version")
        closed = await stranger.get("/results/status")

    assert head.status_code == 200
    assert version.json()["version"]
    assert closed.status_code == 401


async def test_another_organisation_sees_and_touches_nothing(rig: Harbour) -> None:
    (one,) = await rig.stored({})
    (before,) = await rig.results()
    async with rig.as_role(rig.served.other_organisation()[1]) as other:
        view = await other.post("/results/view", json={"query": {}})
        anything = await other.post("/results/view", json={"query": {"$or": [{}, {"id": one}]}})
        count = await other.post("/results/view/count", json={"query": {"pipeline": PIPELINE}})
        update = await other.put("/results/results", json=[{**before, "tags": ["theirs"]}])
        await other.delete("/results/results", params={PIPELINE: [one]})
        status = await other.get("/results/status")
        own = await other.post("/results/results", json=[{**before, "tags": ["theirs"]}])

    assert view.json() == anything.json() == []
    assert count.json() == 0
    assert update.status_code == 404
    assert status.json() == {}
    # An id is only taken within its organisation.
    assert own.status_code == 200
    assert await rig.results() == [before]


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.VIEWER, (403, 403, 403, 200)),
        (Role.WORKER, (200, 200, 403, 200)),
        (Role.OPERATOR, (200, 200, 200, 200)),
        (Role.DEVELOPER, (200, 200, 200, 200)),
    ],
)
async def test_what_each_role_may_do(
    rig: Harbour, role: Role, statuses: tuple[int, int, int, int]
) -> None:
    given = result()
    async with rig.as_role(rig.served.token(role)) as client:
        deposit = await client.post("/results/results", json=[given])
        update = await client.put("/results/results", json=[given] if role != Role.VIEWER else [])
        delete = await client.delete("/results/results", params={PIPELINE: [given["id"]]})
        view = await client.post("/results/view", json={"query": {}})

    answers = (deposit, update, delete, view)
    assert tuple(answer.status_code for answer in answers) == statuses


async def test_a_deposit_with_an_idempotency_key_is_answered_again(rig: Harbour) -> None:
    given, headers = [result()], {"Idempotency-Key": "one"}

    first = await rig.client.post("/results/results", json=given, headers=headers)
    again = await rig.client.post("/results/results", json=given, headers=headers)

    assert first.json() == again.json() == {PIPELINE: True}
    assert again.headers["Idempotency-Replayed"] == "true"

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.access import Role
from longshore.clock import ManualClock
from longshore.engine import tables as engine_tables
from longshore.storage import Database
from longshore.surfaces.buckets import actions
from longshore.surfaces.buckets.jobs import HANDLERS
from longshore.surfaces.buckets.tables import bucket_artifacts, bucket_works
from tests.surfaces.results_rig import PIPELINE, Harbour, harbour


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        yield made


async def states(rig: Harbour, query: Any = None) -> dict[str, str]:
    """Return the state of each work in all buckets."""
    found = await rig.bucket(query, projection={"id": 1, "longshore": 1})
    return {each["id"]: each["longshore"]["state"] for each in found}


async def test_all_that_match_are_cancelled_and_the_others_are_not(rig: Harbour) -> None:
    await rig.deposit(3, tags=["old"])
    kept = await rig.deposit(2, tags=["new"])

    done = await rig.act("cancel", query={"tags": "old"})

    assert done == {
        "id": done["id"], "action": "cancel", "state": "COMPLETE", "message": None,
        "changed": 3, "left": 0, "rows": 0, "objects": 0, "bytes": 0,
    }  # fmt: skip
    assert sorted((await states(rig)).values()) == ["cancelled"] * 3 + ["queued"] * 2
    assert set(await states(rig, {"tags": "new"})) == set(kept)


async def test_a_retry_queues_what_failed_or_was_cancelled_and_leaves_the_rest(
    rig: Harbour,
) -> None:
    exhausted = await rig.finished("failure", retries=1)
    pausing = await rig.finished("failure", retries=3)
    done = await rig.finished("success")
    cancelled = await rig.deposit()
    await rig.act("cancel", ids=cancelled)

    stands = await rig.act("retry", query={"pipeline": PIPELINE})

    now = await states(rig)
    assert (stands["changed"], stands["left"]) == (3, 1)
    assert {now[one] for one in exhausted + pausing + cancelled} == {"queued"}
    assert now[done[0]] == "success"


async def test_a_retried_work_can_be_withdrawn_and_finished(rig: Harbour) -> None:
    (one,) = await rig.finished("failure", retries=1)

    await rig.act("retry", ids=[one])

    held = await rig.call("POST", "/buckets/work/withdraw", {"pipeline": PIPELINE})
    assert held["id"] == one
    assert await rig.call("PUT", "/buckets/work", [{**held, "status": "success"}]) is True


async def test_a_deletion_leaves_nothing_of_the_works(rig: Harbour) -> None:
    await rig.finished(changes={"products": ["a"], "plots": ["b"]})
    await rig.finished("failure")
    await rig.deposit()
    await rig.deposit(priority=5)
    await rig.call("POST", "/buckets/work/withdraw", {"pipeline": PIPELINE})
    (kept,) = await rig.deposit(pipeline="kept")

    stands = await rig.act("delete", query={"pipeline": PIPELINE})

    assert stands["changed"] == 4
    assert stands["rows"] >= 4 * 3 + 2
    assert list(await states(rig)) == [kept]
    assert rig.count(bucket_works) == 1
    assert rig.count(bucket_artifacts) == 0
    # The job itself is a work of the engine too.
    assert rig.count(engine_tables.works) == 2


async def test_what_is_deposited_after_the_request_is_not_touched(rig: Harbour) -> None:
    before = await rig.deposit(2)
    await rig.call("POST", "/buckets/actions", {"action": "delete", "query": {}}, 202)
    after = await rig.deposit(2)

    await rig.jobs()

    assert set(await states(rig)) == set(after)
    assert not set(before) & set(after)


async def test_named_works_are_acted_on_and_others_are_passed_over(rig: Harbour) -> None:
    one, two, other = await rig.deposit(3)
    body = {"action": "cancel", "ids": [two, one, "wk_gone", one]}

    started = await rig.call("POST", "/buckets/actions", body, 202)
    await rig.jobs()

    assert started["count"] == 3
    now = await states(rig)
    assert (now[one], now[two], now[other]) == ("cancelled", "cancelled", "queued")
    stands = await rig.call("GET", f"/buckets/actions/{started['id']}")
    assert stands["changed"] == 2


async def test_many_works_go_in_bounded_steps(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await rig.deposit(7)
    monkeypatch.setattr(actions, "STEP_WORKS", 2)

    by_query = await rig.act("cancel", query={})
    by_ids = await rig.act("delete", ids=made)

    assert (by_query["changed"], by_ids["changed"]) == (7, 7)
    assert await states(rig) == {}


async def test_a_job_that_dies_on_the_way_goes_on_and_counts_nothing_twice(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.deposit(5)
    monkeypatch.setattr(actions, "STEP_WORKS", 2)
    started = await rig.call("POST", "/buckets/actions", {"action": "delete", "query": {}}, 202)
    (lease,) = rig.job_leases()
    payload = json.loads(lease.payload)
    context = rig.job_context(lease)

    class PulledPlugError(Exception):
        pass

    real, steps = actions._step, 0

    def dying(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            real(*arguments)
            raise PulledPlugError
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(actions, "_step", dying)
        with pytest.raises(PulledPlugError):
            await HANDLERS[payload["job"]](context, payload)
    half = await rig.call("GET", f"/buckets/actions/{started['id']}")
    assert (half["state"], half["changed"]) == ("RUNNING", 2)
    assert len(await states(rig)) == 3

    # The runner of another server has the payload as it is in the database now.
    with rig_payload(rig, lease.id) as again:
        counts = await HANDLERS[payload["job"]](context, again)
    assert counts["changed"] == 5
    assert await states(rig) == {}


class rig_payload:  # noqa: N801 - reads as a phrase where it is used
    """The payload of a job as a claim would hand it out now."""

    def __init__(self, rig: Harbour, job_id: str) -> None:
        self._rig = rig
        self._job_id = job_id

    def __enter__(self) -> dict[str, Any]:
        from longshore.engine import works  # noqa: PLC0415

        found: dict[str, Any] = json.loads(
            self._rig.database.read_blocking(works.payload, self._job_id)
        )
        return found

    def __exit__(self, *_: object) -> None:
        return None


async def test_two_runs_of_one_job_do_not_count_the_same_step_twice(rig: Harbour) -> None:
    await rig.deposit(3)
    await rig.call("POST", "/buckets/actions", {"action": "cancel", "query": {}}, 202)
    (lease,) = rig.job_leases()
    payload = json.loads(lease.payload)

    first = await HANDLERS[payload["job"]](rig.job_context(lease), payload)
    second = await HANDLERS[payload["job"]](rig.job_context(lease), payload)

    assert first == second
    assert first["changed"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "query": {}},
        {"action": "delete"},
        {"action": "delete", "query": {}, "ids": []},
        {"action": "delete", "ids": "wk_1"},
        {"action": "delete", "ids": [1]},
        {"action": "delete", "query": {"$where": "1"}},
        {"action": "delete", "query": []},
        {"action": ["delete"], "query": {}},
        {"action": "delete", "query": {}, "limit": 3},
        {},
    ],
)
async def test_what_is_no_action_is_refused_and_does_nothing(rig: Harbour, body: Any) -> None:
    await rig.deposit()

    await rig.call("POST", "/buckets/actions", body, 400)
    await rig.jobs()

    assert list((await states(rig)).values()) == ["queued"]


async def test_an_action_of_another_organisation_is_neither_seen_nor_felt(rig: Harbour) -> None:
    made = await rig.deposit(2)
    async with rig.as_role(rig.served.other_organisation()[1]) as other:
        for chosen in ({"query": {}}, {"ids": made}):
            await other.post("/buckets/actions", json={"action": "delete", **chosen})
        started = await rig.call("POST", "/buckets/actions", {"action": "cancel", "query": {}}, 202)
        foreign = await other.get(f"/buckets/actions/{started['id']}")
    for lease in rig.job_leases():
        payload = json.loads(lease.payload)
        if payload["action"] == "delete":
            context = rig.job_context(lease)
            organisation = rig.database.read_blocking(_organisation, lease.id)
            assert organisation != rig.served.organisation.id
            counts = await HANDLERS[payload["job"]](
                type(context)(**{**_fields(context), "organisation_id": organisation}), payload
            )
            assert counts["changed"] == 0

    assert foreign.status_code == 404
    assert len(await states(rig)) == 2


def _organisation(connection: Any, work_id: str) -> str:
    from longshore.engine import works  # noqa: PLC0415

    return works.organisation_of(connection, work_id)


def _fields(context: Any) -> dict[str, Any]:
    return {name: getattr(context, name) for name in type(context).__dataclass_fields__}


async def test_an_action_needs_an_operator_and_leaves_an_entry(rig: Harbour) -> None:
    await rig.deposit()
    for role, status in ((Role.VIEWER, 403), (Role.WORKER, 403), (Role.OPERATOR, 202)):
        async with rig.as_role(rig.served.token(role)) as client:
            answer = await client.post("/buckets/actions", json={"action": "cancel", "query": {}})
        assert answer.status_code == status, role

    assert answer.headers["Location"].endswith(answer.json()["id"])
    assert "buckets.cancel" in str(await rig.call("GET", "/longshore/v1/audit"))


async def test_an_unknown_action_is_not_found(rig: Harbour) -> None:
    made = await rig.deposit()

    await rig.call("GET", "/buckets/actions/wk_nope", None, 404)
    await rig.call("GET", f"/buckets/actions/{made[0]}", None, 404)

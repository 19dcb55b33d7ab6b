"""R9: each request of the buckets protocol comes three times, late, or in another order."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from longshore.clock import ManualClock
from longshore.storage import Database
from tests.surfaces.buckets_rig import BUCKET, Buckets, Document, buckets_of, payload

RESULT = {"pipeline": BUCKET, "site": "local", "user": "ann", "status": "success", "id": "r-1"}
ENDS = ("success", "failure", "queued")


@pytest.fixture
async def buckets(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Buckets]:
    async with buckets_of(database, clock, tmp_path) as made:
        yield made


async def thrice(
    buckets: Buckets, method: str, path: str, body: Any = None, *, key: str | None = None
) -> list[tuple[int, Any]]:
    """Send a request, its duplicate at the same moment, and another after a while."""
    headers = {} if key is None else {"Idempotency-Key": key}

    async def once() -> tuple[int, Any]:
        answer = await buckets.client.request(method, path, json=body, headers=headers)
        return answer.status_code, answer.json() if answer.content else None

    together = await asyncio.gather(once(), once())
    buckets.clock.advance(5.0)
    return [*together, await once()]


def ends(buckets: Buckets, work_id: str) -> Counter[str]:
    """Count how attempts of a work ended."""
    told = Counter(buckets.reasons(work_id))
    return Counter({reason: told[reason] for reason in ("done", "failed", "handed_back")})


async def test_a_deposit_with_a_key_is_made_once(buckets: Buckets) -> None:
    path, body = "/buckets/work?return_ids=True", [payload(), payload()]
    answers = await thrice(buckets, "POST", path, body, key="deposit-1")
    assert {status for status, _ in answers} == {200}
    assert len({tuple(made) for _, made in answers}) == 1
    assert (await buckets.details())["total"] == 2
    status, _ = (await thrice(buckets, "POST", path, [payload()], key="deposit-1"))[0]
    assert status == 409, "the key stands for another body"
    assert (await buckets.details())["total"] == 2


async def test_a_deposit_without_a_key_whose_answers_were_read_is_meant_each_time(
    buckets: Buckets,
) -> None:
    answers = await thrice(buckets, "POST", "/buckets/work?return_ids=True", [payload()])
    assert len({made[0] for _, made in answers}) == 3
    assert (await buckets.details())["total"] == 3


async def test_a_withdrawal_sent_again_takes_other_works(buckets: Buckets) -> None:
    ids = await buckets.deposit(*[payload() for _ in range(7)])
    path = "/buckets/work/withdraw?limit=2"
    answers = await thrice(buckets, "POST", path, {"pipeline": BUCKET})
    taken = [each["id"] for _, works in answers for each in works]
    assert len(taken) == len(set(taken)) == 6
    assert set(taken) < set(ids)
    counts = await buckets.details()
    assert (counts["running"], counts["queued"], counts["total"]) == (6, 1, 7)


@pytest.mark.parametrize("status", ENDS)
async def test_an_end_sent_again_ends_the_work_once(buckets: Buckets, status: str) -> None:
    held = await buckets.held(retries=3)
    body = [{**held, "status": status, "results": {"n": 1}}]
    answers = await thrice(buckets, "PUT", "/buckets/work", body)
    assert {code for code, _ in answers} == {200}
    assert [told for _, told in answers].count(True) >= 1
    if status != "queued":
        assert [told for _, told in answers] == [True] * 3
    assert sum(ends(buckets, held["id"]).values()) == 1
    seen = await buckets.see(held["id"])
    assert (seen["status"], seen["results"]) == (status, {"n": 1})
    assert (await buckets.details())["total"] == 1


@pytest.mark.parametrize("status", [*ENDS, "running"])
async def test_an_update_that_comes_after_the_next_attempt_began_changes_nothing(
    buckets: Buckets, status: str
) -> None:
    first = await buckets.held(retries=3)
    assert await buckets.update({**first, "status": "failure"}) is True
    buckets.clock.advance(1.0)
    assert (await buckets.audit())["failed"] == 1
    second = await buckets.withdraw()
    assert second is not None
    answers = await thrice(buckets, "PUT", "/buckets/work", [{**first, "status": status}])
    for _, told in answers:
        assert told["updated"] == 0
        assert (told["refused"][0]["code"], told["refused"][0]["attempt"]) == ("lease_lost", 2)
    assert await buckets.see(first["id"]) == second
    assert await buckets.update({**second, "status": "success"}) is True


@pytest.mark.parametrize("status", ENDS)
async def test_an_end_that_comes_late_does_not_undo_a_hand_back(
    buckets: Buckets, status: str
) -> None:
    first = await buckets.held(retries=3)
    assert await buckets.update({**first, "status": "queued"}) is True
    buckets.clock.advance(1.0)
    second = await buckets.withdraw()
    assert second is not None
    for _, told in await thrice(buckets, "PUT", "/buckets/work", [{**first, "status": status}]):
        assert told["refused"][0]["code"] == "lease_lost"
    assert await buckets.see(first["id"]) == second


async def test_updates_in_any_order_end_an_attempt_once(buckets: Buckets) -> None:
    steps = ("running", *ENDS)
    for order in itertools.permutations(steps):
        held = await buckets.held(retries=5)
        ended: str | None = None
        for status in (*order, *order):
            changed: Document = {**held, "status": status, "results": {"from": status}}
            told = await buckets.update(changed)
            if ended is None:
                assert told is True, (order, status)
                ended = None if status == "running" else status
            elif status not in (ended, "queued"):
                assert told is not True, (order, status, ended)
        seen = await buckets.see(held["id"])
        assert sum(ends(buckets, held["id"]).values()) == 1, (order, seen)
        await buckets.ask("DELETE", "/work", ids=held["id"])
    assert (await buckets.details())["total"] == 0


async def test_a_renewal_sent_again_and_late_keeps_only_what_is_held(buckets: Buckets) -> None:
    held = await buckets.held()
    body = {"works": [{"id": held["id"], "attempt": held["attempt"]}], "lease_s": 60.0}
    for _, told in await thrice(buckets, "POST", "/buckets/work/renew", body):
        assert told == {"lost": []}
    assert await buckets.update({**held, "status": "success"}) is True
    for _, told in await thrice(buckets, "POST", "/buckets/work/renew", body):
        assert [each["id"] for each in told["lost"]] == [held["id"]]
    assert (await buckets.see(held["id"]))["status"] == "success"


async def test_a_deletion_sent_again_deletes_nothing_more(buckets: Buckets) -> None:
    one, other = await buckets.deposit(payload(), payload())
    answers = await thrice(buckets, "DELETE", f"/buckets/work?ids={one}")
    assert answers == [(200, True)] * 3
    assert [each["id"] for each in await buckets.view()] == [other]


async def test_an_audit_sent_again_counts_what_it_did_once(buckets: Buckets) -> None:
    held = [await buckets.held(timeout=10, retries=3) for _ in range(4)]
    buckets.clock.advance(25.0)
    expired = await thrice(buckets, "GET", "/buckets/audit/expired")
    assert sum(count for _, count in expired) == 4
    failed = await thrice(buckets, "GET", "/buckets/audit/failed")
    assert sum(count for _, count in failed) == 4
    for each in held:
        assert buckets.reasons(each["id"]).count("lease_expired") == 1
        assert buckets.reasons(each["id"]).count("retried") == 1
    assert (await buckets.details())["queued"] == 4


@pytest.mark.parametrize("key", [None, "results-1"])
async def test_results_sent_again_are_stored_once(buckets: Buckets, key: str | None) -> None:
    path = "/results/results"
    answers = await thrice(buckets, "POST", path, [RESULT], key=key)
    statuses = sorted(status for status, _ in answers)
    assert statuses == ([200, 200, 200] if key else [200, 409, 409])
    changed = [{**RESULT, "results": {"n": 2}}]
    assert await thrice(buckets, "PUT", path, changed, key=None) == [(200, True)] * 3
    count = await buckets.client.post("/results/view/count", json={"query": {}})
    assert count.json() == 1
    gone = await thrice(buckets, "DELETE", f"{path}?{BUCKET}={RESULT['id']}")
    assert sorted(status for status, _ in gone) in ([200, 200, 200], [200, 404, 404])
    count = await buckets.client.post("/results/view/count", json={"query": {}})
    assert count.json() == 0


async def test_an_action_with_a_key_is_one_job(buckets: Buckets) -> None:
    await buckets.deposit()
    body = {"action": "cancel", "query": {"pipeline": BUCKET}}
    jobs = await thrice(buckets, "POST", "/buckets/actions", body, key="act-1")
    assert {status for status, _ in jobs} == {202}
    assert len({job["id"] for _, job in jobs}) == 1
    apart = await thrice(buckets, "POST", "/buckets/actions", body)
    assert len({job["id"] for _, job in apart}) == 3


async def test_settings_sent_again_are_the_same(buckets: Buckets) -> None:
    await buckets.deposit()
    body = {"archive_after_s": 60.0, "concurrency_max": 3}
    answers = await thrice(buckets, "PUT", f"/buckets/settings/{BUCKET}", body)
    assert answers == [answers[0]] * 3
    assert answers[0][0] == 200


async def test_a_webhook_is_removed_once(buckets: Buckets) -> None:
    path = "/buckets/webhooks"
    made = await thrice(buckets, "POST", path, {"url": "https://example.com/"})
    ids = [hook["id"] for status, hook in made if status == 201]
    assert len(set(ids)) == 3, "each is one of its own, with a secret of its own"
    gone = await thrice(buckets, "DELETE", f"{path}/{ids[0]}")
    assert sorted(status for status, _ in gone) == [204, 404, 404]
    left = (await buckets.client.get(path)).json()
    assert {hook["id"] for hook in left} == set(ids[1:])


@pytest.mark.parametrize("outcome", ["success", "failure", "handed_back"])
async def test_a_report_of_our_worker_sent_again_counts_once(
    buckets: Buckets, outcome: str
) -> None:
    native = "/longshore/v1/worker"
    worker = {"name": "w", "slots": 1, "incarnation": "x" * 16, "buckets": [{"name": BUCKET}]}
    registered = await thrice(buckets, "POST", f"{native}/register", worker)
    assert len({told["worker_id"] for _, told in registered}) == 1
    me = {"worker_id": registered[0][1]["worker_id"]}
    (work_id,) = await buckets.deposit(retries=3)
    claim = {**me, "queues": registered[0][1]["queues"], "limit": 1}
    claimed = await thrice(buckets, "POST", f"{native}/claim", claim)
    ((lease,),) = [told["works"] for _, told in claimed if told["works"]]
    report = {"work_id": work_id, "attempt": lease["attempt"], "outcome": outcome}
    if outcome == "success":
        report["result"] = {"results": {"n": 1}, "products": ["/p"]}
    answers = await thrice(buckets, "POST", f"{native}/report", {**me, "reports": [report]})
    assert {status for status, _ in answers} == {200}
    assert {str(told) for _, told in answers} == {"{'lost': []}"}
    assert sum(ends(buckets, work_id).values()) == 1
    seen = await buckets.see(work_id)
    assert seen["status"] == {"handed_back": "queued"}.get(outcome, outcome)
    assert seen["products"] == (["/p"] if outcome == "success" else None)


async def test_settings_changed_at_the_same_moment_are_all_kept(buckets: Buckets) -> None:
    for _ in range(5):
        await buckets.deposit()
        path = f"/buckets/settings/{BUCKET}"
        wanted = {
            "archive_after_s": 60.0,
            "results_retention_s": 70.0,
            "retry_pause_s": 3.0,
            "concurrency_max": 4,
        }
        answers = await asyncio.gather(
            *(buckets.client.put(path, json={name: value}) for name, value in wanted.items())
        )
        assert {answer.status_code for answer in answers} == {200}
        assert (await buckets.client.get(path)).json() == wanted


async def test_a_bucket_that_many_need_at_the_same_moment_is_made_once(buckets: Buckets) -> None:
    for number in range(5):
        name = f"new-{number}"
        requests = [
            buckets.client.post("/buckets/work", json=[payload(name)], headers={"Date": str(each)})
            for each in range(4)
        ]
        for each in range(4):
            worker = {"name": f"w{each}", "slots": 1, "incarnation": f"{each}" * 16}
            body = {**worker, "buckets": [{"name": name}]}
            requests.append(buckets.client.post("/longshore/v1/worker/register", json=body))
        answers = await asyncio.gather(*requests)
        assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers]
        queues = {queue for answer in answers[4:] for queue in answer.json()["queues"]}
        assert len(queues) == 1
        assert (await buckets.details(name))["total"] == 4

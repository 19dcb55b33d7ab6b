"""Doing something to a work in the moment in which something else happens to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection, text

from longshore.access import Principal, keys
from longshore.dashboard.pages.works.acting import _number
from longshore.engine import reading, searching, works
from longshore.engine.works import Ending, Outcome
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import Database
from longshore.surfaces.works import bodies, changing, editing, explaining
from longshore.surfaces.works.possible import Action
from tests.surfaces.apps_rig import RECEIPT, WORKER, Answer, Platform
from tests.unit.serving import Served, serving

FINE = 200
WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(database, tmp_path) as one:
        yield one


async def deposited(served: Served, count: int = 1, *, retries: int = 1) -> list[str]:
    body = [
        {"pipeline": "scans", "site": "local", "user": "ann", "retries": retries}
        for _ in range(count)
    ]
    answer = await served.client.post("/buckets/work?return_ids=True", json=body)
    assert answer.status_code == FINE
    return list(answer.json())


def claim(served: Served, work_id: str) -> list[Any]:
    def take(connection: Any) -> list[Any]:
        queue_id = works.get(connection, work_id).queue_id
        return works.claim(connection, [queue_id], limit=1, holder="w", lease_s=60, among=[work_id])

    return served.database.write_blocking(take)


def refusing(_payload: Any) -> Answer:
    return ValueError("no image")


def principal(served: Served) -> Principal:
    return served.database.read_blocking(keys.authenticate, served.first.token)


def retried(apps: Platform, work_id: str) -> works.Work:
    return apps.database.write_blocking(
        changing.one, principal(apps.served), work_id, Action.RETRY, actor="ann", why="again"
    )


async def test_a_file_is_retried_only_while_the_end_of_its_run_waits_for_files(
    apps: Platform,
) -> None:
    batch_id = await apps.batch("a.jpg", "b.jpg")
    run = await apps.start(batch_id=str(batch_id), owner="INSTABASE")
    assert apps.work(refusing, limit=1) == 1
    found = await apps.client.get("/longshore/v1/works", params={"q": f"group:{run['id']}"})
    (failed,) = [each["id"] for each in found.json()["works"] if each["state"] == "failure"]
    assert retried(apps, failed).state == "queued"
    assert apps.work(refusing, limit=2) == 2
    # The finisher is queued: whatever the file did now, the run would end without it.
    with pytest.raises(Conflict, match="its run is over or about to be"):
        retried(apps, failed)
    told = apps.database.read_blocking(
        lambda connection: changing.refusals(connection, works.get(connection, failed))
    )
    assert told["retry"] is not None
    assert await apps.jobs() == 1
    assert (await apps.get(f"/apps/runs/{run['id']}"))["status"] == "FAILED"


async def test_a_run_waits_for_a_file_that_is_retried(apps: Platform) -> None:
    batch_id = await apps.batch("a.jpg", "b.jpg")
    run = await apps.start(batch_id=str(batch_id), owner="INSTABASE")
    assert apps.work(refusing, limit=1) == 1
    found = await apps.client.get("/longshore/v1/works", params={"q": f"group:{run['id']}"})
    (failed,) = [each["id"] for each in found.json()["works"] if each["state"] == "failure"]
    retried(apps, failed)
    assert apps.work(lambda _: RECEIPT, limit=1) == 1
    assert await apps.jobs() == 0
    assert apps.work(lambda _: RECEIPT) == 1
    assert await apps.jobs() == 1
    ended = await apps.get(f"/apps/runs/{run['id']}")
    assert (ended["status"], ended["msg"]) == ("COMPLETE", "2 of 2 files done")


async def test_the_last_file_to_end_sees_the_one_that_is_retried_in_that_moment(
    apps: Platform,
) -> None:
    batch_id = await apps.batch("a.jpg", "b.jpg")
    run = await apps.start(batch_id=str(batch_id), owner="INSTABASE")
    (first,) = apps.database.write_blocking(apps._claim, "apps", 1)
    (second,) = apps.claim()

    def ended(lease: works.Lease) -> Any:
        ending = Ending(lease.id, lease.attempt, Outcome.REJECTED, error=b'{"message": "no"}')
        return partial(works.finish, endings=[ending], holder=WORKER)

    apps.database.write_blocking(ended(first))
    ends: list[Future[Any]] = []

    def retry(connection: Connection) -> None:
        changing.one(
            connection, principal(apps.served), first.id, Action.RETRY, actor="ann", why="again"
        )
        ends.append(apps.database.submit_write(ended(second)))
        if connection.dialect.name == "postgresql":
            # It stands before the lock of the finisher when this transaction ends.
            deadline = monotonic() + 10
            while not connection.execute(text(WAITING)).scalar():
                assert monotonic() < deadline, "nobody waits"

    apps.database.write_blocking(retry)
    assert ends[0].result(10) == []
    assert await apps.jobs() == 0
    assert apps.work(lambda _: RECEIPT) == 1
    assert await apps.jobs() == 1
    ended_run = await apps.get(f"/apps/runs/{run['id']}")
    assert (ended_run["status"], ended_run["msg"]) == ("COMPLETE", "1 of 2 files done, 1 failed")


@pytest.mark.parametrize("between", ["claimed", "deleted"])
async def test_an_edit_is_refused_when_the_work_is_claimed_or_deleted_in_that_moment(
    served: Served, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    (work_id,) = await deposited(served)
    work = served.database.read_blocking(works.get, work_id)
    before = served.database.read_blocking(bodies.of, work).payload or ""
    look = explaining.visible

    def then(connection: Any, *arguments: Any) -> Any:
        seen = look(connection, *arguments)
        queue_id = seen.queue_id
        if between == "claimed":
            works.claim(connection, [queue_id], limit=1, holder="w", lease_s=60)
        else:
            works.discard(connection, [work_id], actor="ann", why="x")
        return seen

    monkeypatch.setattr(editing, "visible", then)
    refused, words = (Conflict, "It runs") if between == "claimed" else (NotFound, "no work")
    with pytest.raises(refused, match=words):
        served.database.write_blocking(
            editing.edit,
            principal(served),
            work_id,
            before,
            seen=editing.checksum(before),
            actor="ann",
        )
    assert served.database.read_blocking(works.get, work_id).state == "queued"


async def test_no_more_than_the_expected_number_is_acted_on_however_far_the_count_goes(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deposited(served, 3)
    told: list[int] = []
    count = searching.count

    def short(*arguments: Any, most: int, **more: Any) -> Any:
        told.append(most)
        # As where there are more works than one count walks through.
        return type(counted := count(*arguments, most=most, **more))(counted.count, exact=False)

    monkeypatch.setattr(searching, "count", short)
    wish = {"action": "hold", "q": "queue:scans", "reason": "x"}
    for expected, status in ((2, 409), (3, 202)):
        answer = await served.client.post(
            "/longshore/v1/works/actions", json={**wish, "expected": expected}
        )
        assert answer.status_code == status
    assert told == [3, 4]


async def test_the_reason_of_a_retry_is_kept_for_a_work_that_waits_for_its_next_attempt(
    served: Served,
) -> None:
    (work_id,) = await deposited(served, retries=3)
    (lease,) = claim(served, work_id)
    ending = Ending(work_id, lease.attempt, Outcome.FAILURE, error=b'{"message": "no"}')
    served.database.write_blocking(works.finish, [ending], holder="w")
    assert served.database.read_blocking(works.get, work_id).retry_us is not None
    answer = await served.client.post(
        f"/longshore/v1/works/{work_id}/retry", json={"why": "the disk is back"}
    )
    assert (answer.status_code, answer.json()["state"]) == (FINE, "queued")
    last = served.database.read_blocking(reading.history, work_id)[-1]
    assert (last.reason, last.detail_object) == ("retried", {"message": "the disk is back"})


@pytest.mark.parametrize("text", ["9" * 10, "9" * 5_000, "x", "-1", "1.5", "\u0661"])
def test_a_form_says_a_number_that_was_counted_or_none(text: str) -> None:
    assert (_number(""), _number("0"), _number("10000")) == (None, 0, 10_000)
    with pytest.raises(InvalidRequest, match="none that was counted"):
        _number(text)

"""From the end of an attempt to the delivery: nothing lost, nothing twice, whatever dies when."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text

from longshore import limits
from longshore.clock import ManualClock
from longshore.engine import janitor, works
from longshore.engine import notices as engine_notices
from longshore.engine.tables import notices as notices_table
from longshore.engine.works import State
from longshore.server.lifespan import NOTICES_INTERVAL_S
from longshore.storage import Database, open_database
from longshore.surfaces.buckets import notices
from longshore.surfaces.buckets.tables import bucket_webhooks, bucket_works
from tests.surfaces.notices_rig import Shore, a_server, until
from tests.unit.receiver import Receiver, receiving
from tests.unit.serving import serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
async def shore(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Shore]:
    async with serving(database, tmp_path) as served:
        made = Shore(served, clock)
        made.reach_loopback()
        yield made


def waiting(database: Database) -> int:
    """Return how many notices wait to be followed."""

    def count(connection: Connection) -> int:
        return connection.execute(select(func.count()).select_from(notices_table)).scalar_one()

    return database.read_blocking(count)


def told(shore: Shore) -> Counter[tuple[str, str]]:
    """Return how often each end of an attempt is among the deliveries: by work and kind."""
    found: Counter[tuple[str, str]] = Counter()
    for delivery in shore.deliveries():
        body = json.loads(shore.database.read_blocking(works.payload, delivery.id))["body"]
        found[body["data"]["id"], body["type"]] += 1
    return found


@pytest.mark.parametrize(("point", "left"), [("before_commit", 3), ("after_commit", 1)])
async def test_a_kill_while_notices_are_followed_loses_and_doubles_nothing(
    shore: Shore, receiver: Receiver, database_url: str, point: str, left: int
) -> None:
    await shore.hook(receiver)
    work_ids = await shore.done({}, {}, {})
    assert waiting(shore.database) == 3

    program = [sys.executable, "-m", "tests.surfaces.following", database_url]
    killed = await asyncio.to_thread(
        subprocess.run,
        [*program, f"{point}:notices_followed", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert waiting(shore.database) == left
    assert len(shore.deliveries()) == 3 - left

    while shore.follow(2):
        pass
    assert told(shore) == {(work_id, "work.success"): 1 for work_id in work_ids}
    assert waiting(shore.database) == 0


@pytest.mark.parametrize("step", ["submit", "erase"])
async def test_a_failure_between_the_steps_undoes_all_of_them(
    shore: Shore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await shore.hook(receiver)
    await shore.done()
    broken = {"submit": (works, "submit"), "erase": (engine_notices, "erase")}[step]
    with monkeypatch.context() as patched:

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("in the middle")

        patched.setattr(*broken, fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            shore.follow()
    assert (waiting(shore.database), len(shore.deliveries())) == (1, 0)
    assert shore.follow() == 1
    assert (waiting(shore.database), len(shore.deliveries())) == (0, 1)


async def test_a_notice_is_written_with_the_end_itself_or_not_at_all(
    shore: Shore, receiver: Receiver
) -> None:
    await shore.hook(receiver)
    await shore.deposit()
    work = await shore.call("POST", "/work/withdraw", json={"pipeline": "p-1"})

    def end_and_fail(connection: Connection) -> None:
        ending = works.Ending(work["id"], 1, works.Outcome.SUCCESS)
        holder = works.get(connection, work["id"]).worker_id
        assert works.finish(connection, [ending], holder=str(holder)) == []
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        shore.database.write_blocking(end_and_fail)
    assert waiting(shore.database) == 0
    shore.clock.advance(10_000)
    shore.database.write_blocking(janitor.tidy)
    assert waiting(shore.database) == 1


async def test_followers_at_the_same_time_share_the_notices(
    shore: Shore, receiver: Receiver, database_url: str
) -> None:
    await shore.hook(receiver)
    work_ids = await shore.done(*[{} for _ in range(40)])
    # SQLite has one server; a second one is possible on PostgreSQL only.
    second = (
        open_database(database_url, clock=shore.clock, migrate=False)
        if shore.database.dialect == "postgresql"
        else shore.database
    )

    async def drain(database: Database) -> int:
        count = 0
        while waiting(database):
            count += await database.write(notices.follow, 3)
        return count

    shares = await asyncio.gather(*(drain(each) for each in (shore.database, second) * 3))
    if second is not shore.database:
        second.close()
    assert sum(shares) == 40
    assert told(shore) == {(work_id, "work.success"): 1 for work_id in work_ids}


async def test_a_step_is_bounded_and_the_next_goes_on(
    shore: Shore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "DELIVERIES", 5)
    monkeypatch.setattr(notices, "_DOCUMENTS", 2)
    for _ in range(3):
        await shore.hook(receiver)
    work_ids = await shore.done(*[{} for _ in range(9)])
    steps = []
    while step := shore.follow(4):
        steps.append(step)
        assert len(shore.deliveries()) == sum(steps) * 3
    # Two notices make six deliveries, which is enough for one step.
    assert steps == [2, 2, 2, 2, 1]
    assert told(shore) == {(work_id, "work.success"): 3 for work_id in work_ids}


async def test_what_is_long_is_left_out_and_named(shore: Shore, receiver: Receiver) -> None:
    hook = await shore.hook(receiver)
    await shore.deposit({"tags": ["x" * limits.NOTICE_FIELD_BYTES], "event": [1]})
    await shore.attempt(results={"much": ["y" * 1_000] * 1_000}, products=["/a"])
    await shore.tell()
    [message] = shore.messages(receiver, hook["secret"])
    data = message["data"]
    assert (data["tags"], data["results"], data["products"]) == (None, None, ["/a"])
    assert data["omitted"] == ["tags", "results"]
    assert len(receiver.requests[0].body) < 20_000


async def test_a_work_that_is_deleted_at_once_is_still_told_in_full(
    shore: Shore, receiver: Receiver
) -> None:
    hook = await shore.hook(receiver)
    [work_id] = await shore.done({"tags": ["t"]})
    # As the published daemon does it: to the results, then away.
    stored = await shore.client.post("/results/results", json=[await shore.document(work_id)])
    assert stored.status_code == 200, stored.text
    assert await shore.call("DELETE", f"/work?ids={work_id}") is True
    await shore.tell()
    [message] = shore.messages(receiver, hook["secret"])
    data = message["data"]
    assert (data["id"], data["tags"], data["results"]) == (work_id, ["t"], {"a": 1})
    assert data["deleted"] is False


async def test_a_work_whose_document_is_gone_is_told_by_what_the_notice_knows(
    shore: Shore, receiver: Receiver
) -> None:
    hook = await shore.hook(receiver)
    [work_id] = await shore.done()
    shore.database.write_blocking(
        lambda connection: connection.execute(bucket_works.delete()).rowcount
    )
    await shore.tell()
    [message] = shore.messages(receiver, hook["secret"])
    data = message["data"]
    assert (data["id"], data["pipeline"], data["status"]) == (work_id, "p-1", "success")
    assert (data["attempt"], data["deleted"], data["user"]) == (1, True, None)


async def test_a_cancelled_work_is_nobodys_success_or_failure(
    shore: Shore, receiver: Receiver
) -> None:
    await shore.hook(receiver)
    [work_id] = await shore.deposit()

    def cancel(connection: Connection) -> None:
        works.cancel(connection, [work_id], actor="test", why="no need")

    shore.database.write_blocking(cancel)
    await shore.tell()
    assert waiting(shore.database) == 0
    assert shore.deliveries() == []


async def test_a_delivery_is_tried_until_it_has_no_attempts_left(
    shore: Shore, receiver: Receiver
) -> None:
    receiver.script = [500] * 20
    await shore.hook(receiver)
    await shore.done()
    pauses = []
    for attempt in range(1, limits.WEBHOOK_ATTEMPTS + 1):
        await shore.tell()
        [delivery] = shore.deliveries()
        assert (delivery.state, delivery.attempt) == (State.FAILURE, attempt)
        if delivery.retry_us is None:
            break
        pauses.append((delivery.retry_us - shore.clock.now_us()) / 1e6)
        shore.clock.advance(pauses[-1])
        shore.database.write_blocking(janitor.tidy)
    assert len(receiver.requests) == limits.WEBHOOK_ATTEMPTS
    assert len(pauses) == limits.WEBHOOK_ATTEMPTS - 1
    assert all(15 * 2**n <= pause <= 30 * 2**n for n, pause in enumerate(pauses))
    # A delivery tells nobody of its own end.
    assert waiting(shore.database) == 0


async def test_a_receiver_that_hangs_does_not_hold_up_another(
    shore: Shore, receiver: Receiver
) -> None:
    receiver.script = ["hang"] * 100
    with receiving() as other:

        async def resolver(_host: str, _port: int) -> list[str]:
            return ["127.0.0.1"]

        shore.reach_loopback(resolver=resolver)
        hanging = f"http://hanging.test:{receiver.port}/"
        await shore.call("POST", "/webhooks", 201, json={"url": hanging})
        quick = f"http://quick.test:{other.port}/"
        await shore.call("POST", "/webhooks", 201, json={"url": quick})
        await shore.done(*[{} for _ in range(12)])
        while shore.follow():
            pass
        async with a_server(shore):
            await until(lambda: len(other.requests) == 12)
            assert len(receiver.requests) == 2


async def test_a_server_delivers_at_once_by_itself(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    database = open_database(database_url, migrate=False)
    try:
        async with serving(database, tmp_path, background=True) as served:
            shore = Shore(served, database.clock)  # type: ignore[arg-type]
            shore.reach_loopback()
            began_s = time.monotonic()
            # Its queue is made here, and the runner hears of that.
            hook = await shore.hook(receiver)
            await shore.done()
            await until(lambda: len(receiver.requests) == 1)
            await shore.done()
            await until(lambda: len(receiver.requests) == 2)
            assert time.monotonic() - began_s < NOTICES_INTERVAL_S
            kinds = [each["type"] for each in shore.messages(receiver, hook["secret"])]
            assert kinds == ["work.success"] * 2
    finally:
        database.close()


async def test_a_notice_that_a_dead_server_left_is_followed_by_the_next(
    database_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    database = open_database(database_url, migrate=False)
    try:
        async with serving(database, tmp_path / "a") as served:
            shore = Shore(served, database.clock)  # type: ignore[arg-type]
            shore.reach_loopback()
            await shore.hook(receiver)
            await shore.done()
            assert waiting(database) == 1
    finally:
        database.close()
    database = open_database(database_url, migrate=False)
    try:
        async with serving(database, tmp_path / "b", background=True) as served:
            Shore(served, database.clock).reach_loopback()  # type: ignore[arg-type]
            await until(lambda: len(receiver.requests) == 1)
            await until(lambda: waiting(database) == 0)
    finally:
        database.close()


async def test_a_webhook_for_all_buckets_and_a_new_bucket_do_not_miss_each_other(
    shore: Shore, receiver: Receiver
) -> None:
    """Both at the same instant: whichever is first, the bucket ends up with its notices on."""
    for number in range(10):
        await asyncio.gather(shore.hook(receiver), shore.deposit({}, pipeline=f"new-{number}"))
        silent = shore.database.read_blocking(
            lambda connection: connection.execute(
                text("SELECT name FROM queues WHERE surface = 'buckets' AND NOT notices")
            ).all()
        )
        assert silent == []
        shore.database.write_blocking(
            lambda connection: connection.execute(bucket_webhooks.delete()).rowcount
        )

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select, text, update

from longshore.clock import ManualClock
from longshore.engine import tables as engine_tables
from longshore.engine import works
from longshore.storage import Database
from longshore.surfaces.buckets import archiving
from longshore.surfaces.buckets.tables import bucket_artifacts, bucket_results, bucket_works
from tests.surfaces.results_rig import DAY_S, PIPELINE, Harbour, harbour

NOTHING = {"archived": 0, "dropped": 0, "expired": 0}


@pytest.fixture
async def rig(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(database, clock, tmp_path) as made:
        yield made


def engine_rows(rig: Harbour) -> int:
    """Count what the engine has, all tables together; there are no jobs in these tests."""
    tables = (engine_tables.works, engine_tables.events, engine_tables.results)
    return sum(rig.count(table) for table in tables)


async def test_a_finished_work_moves_to_the_results_when_it_is_old_enough(rig: Harbour) -> None:
    (one,) = await rig.finished(
        tags=["a"], unknown={"kept": 1}, changes={"results": {"snr": 7.5}, "stop": 1.5}
    )
    (before,) = await rig.bucket()

    rig.clock.advance(DAY_S - 1)
    assert rig.sweep() == NOTHING
    rig.clock.advance(2)
    assert rig.sweep() == {"archived": 1, "dropped": 0, "expired": 0}

    assert await rig.bucket() == []
    assert await rig.results() == [before]
    assert before["id"] == one
    assert before["status"] == "success"
    assert before["unknown"] == {"kept": 1}
    assert engine_rows(rig) == rig.count(bucket_works) == 0
    assert rig.sweep() == NOTHING


async def test_what_is_not_over_stays_in_its_bucket(rig: Harbour) -> None:
    await rig.deposit()
    await rig.deposit(priority=5)
    await rig.call("POST", "/buckets/work/withdraw", {"pipeline": PIPELINE})
    retried = await rig.finished("failure", retries=2)
    final = await rig.finished("failure", retries=1)

    rig.clock.advance(2 * DAY_S)
    assert rig.sweep() == {"archived": 1, "dropped": 0, "expired": 0}

    assert [each["id"] for each in await rig.results()] == final
    assert sorted(each["status"] for each in await rig.bucket()) == ["failure", "queued", "running"]
    assert [each["id"] for each in await rig.bucket({"status": "failure"})] == retried


async def test_a_cancelled_work_moves_as_a_failure_that_says_so(rig: Harbour) -> None:
    made = await rig.deposit()
    await rig.act("cancel", ids=made)

    rig.clock.advance(2 * DAY_S)
    rig.sweep()

    (plain,) = await rig.results()
    (told,) = await rig.results(projection={"longshore": 1, "status": 1})
    assert plain["status"] == told["status"] == "failure"
    assert "longshore" not in plain
    assert told["longshore"]["state"] == "cancelled"


async def test_why_a_work_failed_is_kept_with_its_result(rig: Harbour) -> None:
    await rig.finished("failure", retries=1, changes={"results": {"error": "no such beam"}})

    rig.clock.advance(2 * DAY_S)
    rig.sweep()

    (told,) = await rig.results(projection={"longshore": True})
    assert told["longshore"]["state"] == "failure"
    assert "no such beam" in told["longshore"]["error"]["message"]
    assert await rig.results({"longshore.reason": "failed"}) != []


async def test_results_that_are_not_to_be_kept_are_dropped(rig: Harbour) -> None:
    await rig.finished(
        config={"archive": {"results": False}}, changes={"products": ["a.fits"], "plots": None}
    )
    assert rig.count(bucket_artifacts) == 1

    rig.clock.advance(2 * DAY_S)
    assert rig.sweep() == {"archived": 0, "dropped": 1, "expired": 0}

    assert await rig.results() == await rig.bucket() == []
    assert engine_rows(rig) == rig.count(bucket_works) == rig.count(bucket_artifacts) == 0


async def test_each_bucket_has_its_own_time(rig: Harbour) -> None:
    for pipeline in ("soon", "never", "usual"):
        await rig.finished(pipeline=pipeline)
    await rig.configure("soon", archive_after_s=0)
    await rig.configure("never", archive_after_s=None)

    assert rig.sweep()["archived"] == 1
    assert await rig.call("GET", "/results/status") == {"soon": 1}
    rig.clock.advance(400 * DAY_S)
    assert rig.sweep()["archived"] == 1
    assert await rig.call("GET", "/results/status") == {"soon": 1, "usual": 1}
    assert [each["pipeline"] for each in await rig.bucket()] == ["never"]


async def test_a_pass_takes_a_piece_and_the_next_ones_the_rest(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.finished(count=5)
    await rig.finished("failure", count=2, retries=1)
    await rig.configure(archive_after_s=0)

    monkeypatch.setattr(archiving, "PASS_WORKS", 3)
    counts = [rig.sweep()["archived"] for _ in range(4)]
    assert counts == [3, 3, 1, 0]
    assert len(await rig.results()) == 7


async def test_a_pass_takes_less_of_large_documents_but_always_one(
    rig: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.finished(count=3, parameters={"text": "x" * 4_000})
    await rig.configure(archive_after_s=0)

    monkeypatch.setattr(archiving, "PASS_CHARACTERS", 1_000)

    assert [rig.sweep()["archived"] for _ in range(4)] == [1, 1, 1, 0]


async def test_a_work_that_the_transfer_daemon_has_copied_is_not_doubled(rig: Harbour) -> None:
    # The daemon was stopped between its deposit of the result and its deletion of the work.
    await rig.finished()
    copied = await rig.bucket()
    await rig.call("POST", "/results/results", copied)
    await rig.configure(archive_after_s=0)

    assert rig.sweep()["archived"] == 1

    assert await rig.results() == copied
    assert await rig.bucket() == []


async def test_a_pass_that_is_undone_leaves_all_as_it_was(rig: Harbour) -> None:
    await rig.finished(count=2, changes={"products": ["a"]})
    await rig.configure(archive_after_s=0)

    def fail(connection: Connection) -> None:
        archiving.sweep(connection)
        raise RuntimeError("the plug was pulled")

    with pytest.raises(RuntimeError):
        rig.database.write_blocking(fail)

    assert await rig.results() == []
    assert len(await rig.bucket()) == 2
    assert rig.sweep()["archived"] == 2
    assert rig.count(bucket_artifacts) == 2


async def test_works_of_two_organisations_stay_apart(rig: Harbour) -> None:
    await rig.finished()
    organisation, token = rig.served.other_organisation()
    async with rig.as_role(token) as other:
        mine, rig.served.client = rig.served.client, other
        await rig.finished(count=2)
        rig.clock.advance(2 * DAY_S)
        assert rig.sweep()["archived"] == 3
        assert await rig.call("GET", "/results/status") == {PIPELINE: 2}
        rig.served.client = mine
    assert await rig.call("GET", "/results/status") == {PIPELINE: 1}
    assert organisation.id != rig.served.organisation.id


async def test_old_results_go_when_their_bucket_says_so_and_locked_ones_stay(rig: Harbour) -> None:
    await rig.finished(count=3)
    await rig.configure(archive_after_s=0, results_retention_s=7 * DAY_S)
    rig.sweep()
    locked = (await rig.results())[0]
    await rig.call("PUT", "/results/results", [{**locked, "results": {"locked": True}}])
    elsewhere = await rig.stored({"pipeline": "elsewhere"})

    rig.clock.advance(7 * DAY_S - 1)
    assert rig.sweep() == NOTHING
    rig.clock.advance(2)
    assert rig.sweep()["expired"] == 2

    assert [each["id"] for each in await rig.results()] == [locked["id"]]
    assert [each["id"] for each in await rig.results(pipeline="elsewhere")] == elsewhere
    assert rig.sweep() == NOTHING


async def test_a_work_whose_message_is_not_made_yet_waits_for_it(rig: Harbour) -> None:
    (one,) = await rig.finished()
    await rig.configure(archive_after_s=0)

    def announce(connection: Connection) -> None:
        work = works.get(connection, one)
        connection.execute(
            engine_tables.notices.insert().values(
                work_id=one, queue_id=work.queue_id, attempt=1, state="success", reason="done",
                final=True, at_us=work.finished_us,
            )
        )  # fmt: skip

    rig.database.write_blocking(announce)
    assert rig.sweep() == NOTHING
    rig.database.write_blocking(lambda c: c.execute(engine_tables.notices.delete()))
    assert rig.sweep()["archived"] == 1


async def test_a_document_that_says_nothing_of_archiving_is_kept(rig: Harbour) -> None:
    await rig.finished()
    await rig.configure(archive_after_s=0)

    def strip(connection: Connection) -> None:
        (text,) = connection.execute(
            bucket_works.select().with_only_columns(bucket_works.c.document)
        ).scalars()
        document: dict[str, Any] = {**json.loads(text), "config": None}
        connection.execute(update(bucket_works).values(document=json.dumps(document)))

    rig.database.write_blocking(strip)

    assert rig.sweep()["archived"] == 1
    assert rig.count(bucket_results) == 1


async def test_what_is_too_young_is_not_read(rig: Harbour) -> None:
    # Each bucket is looked up in the index of finished works, however many of them there are.
    await rig.finished()

    def fill_and_explain(connection: Connection) -> list[str]:
        (queue_id,) = connection.execute(select(engine_tables.works.c.queue_id)).scalars()
        now_us = rig.clock.now_us()
        young = [
            {
                "id": f"wk_{number:06d}", "queue_id": queue_id, "state": "success",
                "reason": "done", "priority": 3, "due_us": 0, "attempt": 1, "attempts_max": 2,
                "created_us": now_us, "finished_us": now_us,
            }
            for number in range(20_000)
        ]  # fmt: skip
        connection.execute(insert(engine_tables.works), young)
        connection.execute(text("ANALYZE"))
        sent: list[tuple[str, Any]] = []

        def catch(*arguments: Any) -> None:
            sent.append((arguments[2], arguments[3]))

        event.listen(connection, "before_cursor_execute", catch)
        archiving.sweep(connection)
        event.remove(connection, "before_cursor_execute", catch)
        explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        found = []
        for statement, parameters in sent:
            if "finished_us" in statement:
                rows = connection.exec_driver_sql(explain + statement, parameters)
                found.append("\n".join(str(row[-1]) for row in rows))
        return found

    plans = rig.database.write_blocking(fill_and_explain)

    assert len(plans) == 3
    for plan in plans:
        assert "ix_works_finished" in plan, plan
        assert "Seq Scan on works" not in plan, plan
        assert "SCAN works" not in plan, plan

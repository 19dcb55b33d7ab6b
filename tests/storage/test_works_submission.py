from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Connection

from longshore import ids
from longshore.engine import works
from longshore.engine.works import NewWork, Submitted
from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.limits import ATTEMPTS, DEPENDENCIES_PER_WORK
from longshore.storage import Database
from tests.storage.driving import Engine
from tests.storage.test_database import heard_by
from tests.storage.waiting import until


def test_a_submitted_work_is_queued_with_the_settings_of_its_queue(engine: Engine) -> None:
    queue_id = engine.queue("slow", attempts_max=7, timeout_s=90.0)
    work = engine.work(engine.submit(b'{"a":1}', queue_id=queue_id))
    assert (work.state, work.reason, work.attempt) == ("queued", "submitted", 0)
    assert (work.attempts_max, work.timeout_s, work.queue_id) == (7, 90.0, queue_id)
    assert work.created_us == work.due_us == engine.clock.now_us()
    assert engine.see(works.payload, work.id) == b'{"a":1}'
    assert engine.see(works.organisation_of, work.id) == "og_test"


def test_a_work_may_overrule_the_settings_of_its_queue(engine: Engine) -> None:
    work = engine.work(engine.submit(attempts_max=1, timeout_s=2.5))
    assert (work.attempts_max, work.timeout_s) == (1, 2.5)


def test_payloads_come_back_byte_for_byte(engine: Engine) -> None:
    payload = '{ "名前":"Łódź \\u0000 🚢",\n "n":1e400 }'.encode()
    work_id = engine.submit(payload)
    assert engine.claim()[0].payload == payload
    assert engine.see(works.payload, work_id) == payload


def test_works_of_one_submission_are_claimed_in_the_order_given(engine: Engine) -> None:
    submitted = engine.submit_many(300)
    assert engine.claimed(300) == submitted


def test_works_are_claimed_by_priority_and_then_by_age(engine: Engine) -> None:
    low = engine.submit(priority=-5)
    engine.clock.advance(1)
    old = engine.submit()
    engine.clock.advance(1)
    young = engine.submit()
    high = engine.submit(priority=10)
    assert engine.claimed(4) == [high, old, young, low]


def test_a_delayed_work_cannot_be_claimed_before_it_is_due(engine: Engine) -> None:
    work_id = engine.submit(delay_s=30)
    assert engine.state(work_id) == "waiting"
    engine.clock.advance(29.999)
    assert engine.tidy().released == 0
    assert engine.claim() == []
    engine.clock.advance(0.001)
    assert engine.tidy().released == 1
    assert engine.claimed() == [work_id]
    assert engine.reasons(work_id) == ["delayed", "released", "claimed"]


def test_a_unique_key_gives_the_first_work_whatever_its_state(engine: Engine) -> None:
    first = engine.submit(b'"first"', unique_key="order-7")
    again = engine.submit_all([NewWork(engine.queue_id, b'"second"', unique_key="order-7")])
    assert again == [Submitted(first, created=False)]
    engine.claim()
    engine.finish(first)
    assert engine.submit(unique_key="order-7") == first
    assert engine.see(works.payload, first) == b'"first"'
    assert engine.reasons(first) == ["submitted", "claimed", "done"]


def test_a_unique_key_holds_within_one_submission(engine: Engine) -> None:
    new = [NewWork(engine.queue_id, b"1", unique_key=key) for key in ("a", "b", "a")]
    answers = engine.submit_all(new)
    assert [answer.created for answer in answers] == [True, True, False]
    assert answers[0].id == answers[2].id != answers[1].id


def test_a_unique_key_is_of_its_queue_and_free_once_the_work_is_forgotten(engine: Engine) -> None:
    first = engine.submit(unique_key="a")
    other = engine.submit(unique_key="a", queue_id=engine.queue("second"))
    assert other != first
    engine.cancel(first)
    engine.forget(first)
    assert engine.submit(unique_key="a") not in (first, other)


def test_concurrent_submissions_of_one_key_make_one_work(engine: Engine) -> None:
    """On PostgreSQL they run in transactions of their own; none may fail, and one wins."""
    parties = 6
    together = threading.Barrier(parties)

    def submit(number: int) -> Submitted:
        new = NewWork(engine.queue_id, b"%d" % number, unique_key="one")
        together.wait(timeout=30)
        return engine.submit_all([new])[0]

    with ThreadPoolExecutor(parties) as threads:
        answers = list(threads.map(submit, range(parties)))
    assert len({answer.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert engine.rows()["works"] == 1


def test_the_caller_may_choose_the_id(engine: Engine) -> None:
    chosen = ids.new(ids.WORK)
    assert engine.submit(id=chosen) == chosen


def test_a_group_is_listed_in_the_order_of_submission(engine: Engine) -> None:
    group_id = ids.new(ids.GROUP)
    members = engine.submit_many(5, group_id=group_id)
    engine.submit_many(2)
    found = engine.see(works.of_group, group_id)
    assert [work.id for work in found] == members


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"priority": 1_000_000_001}, InvalidRequest, "Priority 1000000001"),
        ({"priority": -1_000_000_001}, InvalidRequest, "Priority -1000000001"),
        ({"attempts_max": 0}, InvalidRequest, "attempts_max is 0"),
        ({"attempts_max": ATTEMPTS + 1}, InvalidRequest, f"1 to {ATTEMPTS}"),
        ({"timeout_s": 0.0}, InvalidRequest, "timeout_s"),
        ({"delay_s": -1.0}, InvalidRequest, "delay_s"),
        ({"delay_s": float("nan")}, InvalidRequest, "delay_s"),
        ({"delay_s": float("inf")}, InvalidRequest, "delay_s"),
        ({"requires": ("wk_x",) * (DEPENDENCIES_PER_WORK + 1)}, TooLarge, "at most"),
        ({"requires": ("wk_missing",)}, InvalidRequest, "wk_missing"),
        ({"queue_id": 987_654}, NotFound, "queue 987654"),
    ],
)
def test_a_value_outside_its_limits_is_refused_and_nothing_is_submitted(
    engine: Engine, settings: dict[str, Any], error: type[Exception], told: str
) -> None:
    good = NewWork(engine.queue_id, b"{}")
    bad = NewWork(**{"queue_id": engine.queue_id, "payload": b"{}", **settings})
    with pytest.raises(error, match=told):
        engine.submit_all([good, bad])
    assert set(engine.rows().values()) == {0}


def test_a_submission_is_whole_or_not_at_all(database: Database, engine: Engine) -> None:
    def submit_and_fail(connection: Connection) -> None:
        works.submit(connection, [NewWork(engine.queue_id, b"{}")] * 10, actor="ann")
        raise LookupError("the rest of the transaction")

    with pytest.raises(LookupError):
        database.write_blocking(submit_and_fail)
    assert set(engine.rows().values()) == {0}


def test_submitting_wakes_who_waits_for_the_queue(database: Database, engine: Engine) -> None:
    other = engine.queue("second")
    topics, _ = heard_by(database)
    engine.submit()
    until(lambda: f"queue:{engine.queue_id}" in topics)
    assert f"queue:{other}" not in topics

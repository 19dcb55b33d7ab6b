from __future__ import annotations

import itertools
from typing import Any

import pytest

from longshore.engine import endings, works
from longshore.engine.states import TRANSITIONS
from longshore.engine.works import Ending, Outcome
from longshore.errors import InvalidRequest
from tests.storage.driving import Engine

ERROR = b'{"type":"ValueError","message":"no total found","traceback":""}'


def pause_s(engine: Engine, work_id: str) -> float:
    """Return how long after now the next attempt of a work is due, in seconds."""
    retry_us = engine.work(work_id).retry_us
    assert retry_us is not None
    return (retry_us - engine.clock.now_us()) / 1_000_000


def test_a_success_keeps_its_result_and_is_final(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(3)
    assert engine.finish(work_id, result=b'{"total": "12.50"}') == []
    work = engine.work(work_id)
    assert (work.state, work.reason, work.final) == ("success", "done", True)
    assert (work.finished_us, work.lease_until_us) == (engine.clock.now_us(), None)
    output = engine.see(works.outputs, [work_id])[work_id]
    assert (output.result, output.error, output.attempt) == (b'{"total": "12.50"}', None, 1)


def test_a_success_without_a_result_has_null(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.finish(work_id)
    assert engine.see(works.outputs, [work_id])[work_id].result == b"null"


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.FAILURE, "failed"), (Outcome.TIMED_OUT, "timed_out")]
)
def test_a_failed_attempt_is_tried_again_after_its_pause(
    engine: Engine, outcome: Outcome, reason: str
) -> None:
    work_id = engine.at("running")
    assert engine.finish(work_id, outcome, error=ERROR) == []
    work = engine.work(work_id)
    assert (work.state, work.reason, work.final) == ("failure", reason, False)
    assert engine.see(works.outputs, [work_id])[work_id].error == ERROR
    assert engine.tidy().retried == 0
    engine.clock.advance(pause_s(engine, work_id))
    assert engine.tidy().retried == 1
    lease = engine.claim()[0]
    assert (lease.id, lease.attempt) == (work_id, 2)
    assert engine.finish(work_id, attempt=2, result=b"1") == []
    output = engine.see(works.outputs, [work_id])[work_id]
    assert (output.attempt, output.result, output.error) == (2, b"1", None)


def test_a_rejected_work_is_never_tried_again(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.finish(work_id, Outcome.REJECTED, error=ERROR)
    work = engine.work(work_id)
    assert (work.state, work.reason, work.retry_us, work.final) == (
        "failure", "rejected", None, True,
    )  # fmt: skip
    engine.clock.advance(1_000_000)
    assert engine.tidy().retried == 0
    assert engine.state(work_id) == "failure"


def test_a_work_is_tried_as_often_as_it_may_and_then_fails(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=3)
    for attempt in (1, 2, 3):
        assert engine.claim()[0].attempt == attempt
        engine.finish(work_id, Outcome.FAILURE, attempt=attempt, error=ERROR)
        engine.clock.advance(600)
        engine.tidy()
    work = engine.work(work_id)
    assert (work.state, work.attempt, work.final) == ("failure", 3, True)
    assert engine.claim() == []


def test_a_work_that_is_handed_back_is_not_charged_for_the_attempt(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=1)
    for attempt in (1, 2, 3):
        assert engine.claim()[0].attempt == attempt
        assert engine.finish(work_id, Outcome.HANDED_BACK, attempt=attempt) == []
        work = engine.work(work_id)
        assert (work.state, work.reason, work.worker_id) == ("queued", "handed_back", None)
        assert work.attempts_max - work.attempt == 1
    engine.claim()
    engine.finish(work_id, Outcome.FAILURE, attempt=4)
    assert engine.work(work_id).final


def test_the_pause_doubles_with_each_attempt_up_to_the_longest_and_is_jittered(
    engine: Engine,
) -> None:
    queue_id = engine.queue("patient", backoff_s=8.0, backoff_max_s=30.0, attempts_max=6)
    submitted = engine.submit_many(40, queue_id=queue_id)
    for attempt, full_s in ((1, 8.0), (2, 16.0), (3, 30.0), (4, 30.0)):
        engine.claim(40, queue_ids=[queue_id])
        reports = [Ending(work_id, attempt, Outcome.FAILURE) for work_id in submitted]
        assert engine.do(works.finish, reports, holder="w1") == []
        pauses = [pause_s(engine, work_id) for work_id in submitted]
        assert all(full_s / 2 <= pause <= full_s for pause in pauses)
        assert len(set(pauses)) > 20, "works that failed together do not return together"
        engine.clock.advance(full_s)
        assert engine.tidy().retried == 40


def test_the_pause_never_overflows() -> None:
    for attempt in (1, 2, 63, 64, 65, 1_000, 10**9):
        assert 0 < endings.backoff_s(attempt, base_s=2.0, max_s=300.0) <= 300.0


def test_user_code_may_ask_for_a_pause_of_its_own(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.finish(work_id, Outcome.FAILURE, retry_delay_s=1234.5)
    assert pause_s(engine, work_id) == 1234.5


def test_user_code_may_ask_for_no_pause(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.finish(work_id, Outcome.FAILURE, retry_delay_s=0.0)
    assert engine.tidy().retried == 1
    assert engine.claimed() == [work_id]


@pytest.mark.parametrize("delay_s", [-1.0, float("nan"), float("inf")])
def test_a_pause_that_is_none_is_refused(engine: Engine, delay_s: float) -> None:
    work_id = engine.at("running")
    with pytest.raises(InvalidRequest, match="retry_delay_s"):
        engine.finish(work_id, Outcome.FAILURE, retry_delay_s=delay_s)
    assert engine.state(work_id) == "running"


def test_a_retried_work_keeps_its_place_in_the_queue(engine: Engine) -> None:
    first = engine.at("running")
    engine.submit_many(3, priority=9)
    engine.finish(first, Outcome.FAILURE, retry_delay_s=0.0)
    engine.tidy()
    assert engine.claimed() == [first]


def test_the_result_of_a_reopened_work_replaces_the_earlier_one(engine: Engine) -> None:
    work_id = engine.at("success")
    engine.reopen(work_id)
    engine.claim()
    engine.finish(work_id, attempt=2, result=b'"better"')
    assert engine.see(works.outputs, [work_id])[work_id].result == b'"better"'
    assert engine.rows()["results"] == 1


def test_a_reopened_work_that_fails_shows_the_error_and_not_the_earlier_result(
    engine: Engine,
) -> None:
    work_id = engine.at("success")
    engine.reopen(work_id)
    engine.claim()
    engine.finish(work_id, Outcome.REJECTED, attempt=2, error=ERROR)
    output = engine.see(works.outputs, [work_id])[work_id]
    assert (output.result, output.error, output.attempt) == (None, ERROR, 2)


def test_the_last_report_of_a_bulk_counts_where_one_attempt_is_named_twice(
    engine: Engine,
) -> None:
    work_id = engine.at("running")
    reports = [
        Ending(work_id, 1, Outcome.FAILURE, error=ERROR),
        Ending(work_id, 1, Outcome.SUCCESS, result=b"1"),
    ]
    assert engine.do(works.finish, reports, holder="w1") == []
    assert engine.reasons(work_id) == ["submitted", "claimed", "done"]


def replayed(engine: Engine, work_id: str) -> tuple[Any, Any, int]:
    """Follow the events of a work; each must leave the state that the one before led to."""
    state: str | None = None
    attempt = 0
    for event in engine.events(work_id):
        assert event.from_state == state, event
        assert event.attempt >= attempt, event
        assert event.attempt - attempt == (1 if event.reason == "claimed" else 0), event
        change = works.Reason(event.reason)
        target = TRANSITIONS[change].target
        assert event.to_state == target, event
        state, attempt = event.to_state, event.attempt
    return state, engine.events(work_id)[-1].reason, attempt


def test_events_say_what_moved_from_where_to_where_why_and_by_whom(engine: Engine) -> None:
    work_id = engine.submit(delay_s=5, attempts_max=2)
    engine.clock.advance(5)
    engine.tidy()
    engine.claim()
    engine.finish(work_id, Outcome.FAILURE, error=ERROR, retry_delay_s=1.0)
    engine.clock.advance(1)
    engine.tidy()
    engine.claim(holder="w2")
    engine.cancel(work_id)
    engine.finish(work_id, Outcome.CANCELLED, attempt=2, holder="w2")
    engine.reopen(work_id)
    told = [
        (event.attempt, event.from_state, event.to_state, event.reason, event.actor)
        for event in engine.events(work_id)
    ]
    assert told == [
        (0, None, "waiting", "delayed", "ann"),
        (0, "waiting", "queued", "released", "janitor"),
        (1, "queued", "running", "claimed", "w1"),
        (1, "running", "failure", "failed", "w1"),
        (1, "failure", "queued", "retried", "janitor"),
        (2, "queued", "running", "claimed", "w2"),
        (2, "running", "running", "cancel_requested", "ann"),
        (2, "running", "cancelled", "cancel_confirmed", "w2"),
        (2, "cancelled", "queued", "reopened", "ann"),
    ]
    events = engine.events(work_id)
    assert [event.detail_object for event in events if event.detail] == [
        {"type": "ValueError", "message": "no total found", "traceback": ""},
        {"message": "no longer needed"},
        {"message": "once more"},
    ]
    assert all(one.seq < two.seq for one, two in itertools.pairwise(events))
    assert all(one.at_us <= two.at_us for one, two in itertools.pairwise(events))


def test_replaying_the_events_gives_the_state_of_the_row(engine: Engine) -> None:
    for place in ("waiting", "queued", "running", "success", "retrying", "failure", "cancelled"):
        work_id = engine.at(place)
        work = engine.work(work_id)
        assert replayed(engine, work_id) == (work.state, work.reason, work.attempt)

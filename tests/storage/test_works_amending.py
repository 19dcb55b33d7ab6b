"""What the buckets asked of the engine: leases of a work's own length, amendments, notices."""

from __future__ import annotations

import pytest

from longshore.engine import notices, queues, works
from longshore.engine.notices import Notice
from longshore.engine.works import Amendment, NewWork, Outcome, State
from longshore.storage import now_us
from tests.storage.driving import Engine


def told(engine: Engine, surface: str = "apps") -> list[Notice]:
    return list(engine.do(notices.read, surface=surface, limit=100))


def test_a_claim_without_a_length_gives_each_work_a_lease_of_its_own_time_limit(
    engine: Engine,
) -> None:
    engine.submit(timeout_s=5.0)
    engine.submit(timeout_s=72 * 3600.0)
    leases = engine.do(
        works.claim, [engine.queue_id], limit=2, holder="w1", lease_s=None, grace_s=10.0
    )
    at_us = engine.clock.now_us()
    assert [lease.lease_until_us - at_us for lease in leases] == [15_000_000, 259_210_000_000]
    assert [lease.started_us for lease in leases] == [at_us, at_us]


def test_a_claim_among_given_works_takes_those_that_are_still_queued_in_order(
    engine: Engine,
) -> None:
    first, second, third = engine.submit_many(3)
    urgent = engine.submit(priority=5)
    engine.cancel(second)
    leases = engine.do(
        works.claim,
        [engine.queue_id],
        limit=2,
        holder="w1",
        lease_s=60,
        among=[third, second, first, urgent, "wk_unknown"],
    )
    assert [lease.id for lease in leases] == [urgent, first]


def test_a_claim_among_given_works_leaves_other_queues_and_limits_alone(engine: Engine) -> None:
    other = engine.submit(queue_id=engine.queue("second"))
    works_ids = engine.submit_many(3)
    engine.do(queues.configure, engine.queue_id, concurrency_max=2)
    leases = engine.do(
        works.claim,
        [engine.queue_id],
        limit=9,
        holder="w1",
        lease_s=60,
        among=[other, *works_ids],
    )
    assert [lease.id for lease in leases] == works_ids[:2]


def test_a_work_without_a_payload_has_no_row_and_is_claimed_with_null(engine: Engine) -> None:
    engine.do(works.submit, [NewWork(engine.queue_id, None)], actor="ann")
    assert engine.rows()["payloads"] == 0
    assert engine.claim()[0].payload == b"null"


def test_a_success_can_leave_its_result_to_the_surface(engine: Engine) -> None:
    work_id = engine.at("running")
    assert engine.finish(work_id, result=None) == []
    assert engine.rows()["results"] == 0
    assert engine.state(work_id) is State.SUCCESS


def test_an_amendment_changes_what_it_names_and_nothing_else(engine: Engine) -> None:
    work_id = engine.at("running")
    before = engine.work(work_id)
    engine.do(works.amend, [Amendment(work_id=work_id, priority=4, timeout_s=9.0, attempts_max=7)])
    after = engine.work(work_id)
    assert (after.priority, after.timeout_s, after.attempts_max) == (4, 9.0, 7)
    assert (after.lease_until_us, after.started_us) == (before.lease_until_us, before.started_us)
    engine.do(works.amend, [Amendment(work_id=work_id, started_us=7, lease_until_us=11)])
    assert (engine.work(work_id).started_us, engine.work(work_id).lease_until_us) == (7, 11)


def test_an_amendment_gives_no_lease_to_a_work_that_does_not_run(engine: Engine) -> None:
    work_id = engine.at("queued")
    engine.do(works.amend, [Amendment(work_id=work_id, lease_until_us=11)])
    assert engine.work(work_id).lease_until_us is None


@pytest.mark.parametrize(
    "place", ["waiting", "queued", "running", "cancelling", "retrying", "success", "cancelled"]
)
def test_a_work_is_discarded_in_whatever_state_it_is(engine: Engine, place: str) -> None:
    kept = engine.submit()
    work_id = engine.at(place)
    counts = engine.do(works.discard, [work_id], actor="ann", why="not wanted")
    assert counts["works"] == 1
    assert work_id not in engine.see(works.get_many, [work_id, kept])
    assert kept in engine.see(works.get_many, [work_id, kept])


def test_the_holder_of_a_discarded_work_learns_that_it_is_gone(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.do(works.discard, [work_id], actor="ann", why="not wanted")
    (lost,) = engine.finish(work_id)
    assert "does not exist" in lost.reason


def test_what_needed_a_discarded_work_is_cancelled(engine: Engine) -> None:
    work_id = engine.at("running")
    needs = engine.submit(requires=(work_id,))
    engine.do(works.discard, [work_id], actor="ann", why="not wanted")
    assert engine.state(needs) is State.CANCELLED


def test_given_works_expire_whatever_their_lease_says(engine: Engine) -> None:
    work_id, queued = engine.at("running"), engine.submit()
    assert engine.do(works.expire_given, [work_id, queued], actor="auditor") == 1
    assert engine.states(work_id, queued) == ["failure", "queued"]
    assert engine.reasons(work_id)[-1] == "lease_expired"


def test_given_failures_with_attempts_left_are_retried_before_they_are_due(engine: Engine) -> None:
    engine.do(queues.configure, engine.queue_id, backoff_s=500.0, backoff_max_s=500.0)
    failed = engine.at("running")
    engine.finish(failed, Outcome.FAILURE)
    final = engine.submit(attempts_max=1)
    engine.claim()
    engine.finish(final, Outcome.FAILURE)
    assert engine.do(works.retry_given, [failed, final], actor="auditor") == 1
    assert engine.states(failed, final) == ["queued", "failure"]


def test_a_queue_can_ask_for_a_pause_after_a_lease_that_ended_by_itself(engine: Engine) -> None:
    engine.do(queues.configure, engine.queue_id, expired_pause_s=20.0)
    work_id = engine.at("running")
    engine.clock.advance(3_600)
    engine.tidy()
    assert engine.state(work_id) is State.FAILURE
    assert engine.work(work_id).retry_us == engine.clock.now_us() + 20_000_000
    engine.clock.advance(20)
    engine.tidy()
    assert engine.state(work_id) is State.QUEUED


def test_each_end_of_an_attempt_is_told_once_where_the_queue_asks_for_it(engine: Engine) -> None:
    engine.at("running")
    engine.do(queues.configure, engine.queue_id, notices=True)
    silent = engine.submit(queue_id=engine.queue("second"))
    engine.claim(queue_ids=[engine.queue("second")])
    engine.finish(silent)
    done = engine.submit()
    engine.claim()
    engine.finish(done)
    engine.finish(done)
    failed = engine.submit(attempts_max=2)
    engine.claim()
    engine.finish(failed, Outcome.FAILURE)
    engine.do(works.retry_given, [failed], actor="auditor")
    engine.claim()
    engine.finish(failed, Outcome.FAILURE, attempt=2)
    heard = [
        (notice.work_id, notice.attempt, notice.reason, notice.final) for notice in told(engine)
    ]
    assert heard == [
        (done, 1, "done", True),
        (failed, 1, "failed", False),
        (failed, 2, "failed", True),
    ]


def test_a_lease_that_runs_out_is_told(engine: Engine) -> None:
    engine.do(queues.configure, engine.queue_id, notices=True)
    work_id = engine.at("running")
    engine.clock.advance(3_600)
    engine.tidy()
    assert [(notice.work_id, notice.reason) for notice in told(engine)] == [
        (work_id, "lease_expired")
    ]


def test_a_notice_that_was_followed_is_gone_and_one_whose_follower_failed_stays(
    engine: Engine,
) -> None:
    engine.do(queues.configure, engine.queue_id, notices=True)
    engine.finish(engine.at("running"))
    (notice,) = told(engine)
    assert notice.at_us == engine.see(now_us)
    assert told(engine, "buckets") == []

    def follow_and_fail(connection: object) -> None:
        notices.erase(connection, [notice.seq])  # type: ignore[arg-type]
        raise RuntimeError("the follower died")

    with pytest.raises(RuntimeError):
        engine.do(follow_and_fail)
    assert told(engine) == [notice]
    engine.do(notices.erase, [notice.seq])
    assert told(engine) == []

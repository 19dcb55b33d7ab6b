from __future__ import annotations

import pytest
from sqlalchemy import Connection

from longshore.engine import janitor, workers, works
from longshore.engine.works import Ending, Lost, Outcome
from longshore.storage import Database
from tests.storage.driving import ORGANISATION, Engine


def test_a_renewed_lease_runs_from_the_moment_of_the_renewal(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(50)
    assert engine.renew(work_id, lease_s=60) == []
    assert engine.work(work_id).lease_until_us == engine.clock.now_us() + 60_000_000
    engine.clock.advance(59)
    assert engine.tidy().expired == 0
    assert engine.state(work_id) == "running"


def test_a_work_is_never_given_up_while_its_heartbeats_arrive(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    for _ in range(100):  # far longer than any lease
        engine.clock.advance(9)
        assert engine.renew(work_id, lease_s=10) == []
        assert engine.tidy().expired == 0
    assert engine.finish(work_id) == []
    assert engine.reasons(work_id) == ["submitted", "claimed", "done"]


def test_a_lease_that_is_over_ends_the_attempt_and_the_next_one_may_begin(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    engine.clock.advance(10)
    assert engine.tidy().expired == 1
    assert engine.tidy().expired == 0
    assert engine.claim(holder="w2")[0].attempt == 2
    assert engine.reasons(work_id) == [
        "submitted", "claimed", "lease_expired", "retried", "claimed",
    ]  # fmt: skip
    expiry = engine.events(work_id)[2]
    assert expiry.actor == "janitor"
    assert expiry.detail_object["worker"] == "w1"


def test_a_lease_that_is_over_after_the_last_attempt_is_a_failure(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=1)
    engine.claim(lease_s=10)
    engine.clock.advance(11)
    engine.tidy()
    work = engine.work(work_id)
    assert (work.state, work.reason, work.final) == ("failure", "lease_expired", True)


def test_a_late_heartbeat_before_anyone_looked_keeps_the_work(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    engine.clock.advance(15)
    assert engine.renew(work_id) == []
    assert engine.tidy().expired == 0
    assert engine.finish(work_id) == []


def test_a_late_report_before_anyone_looked_is_accepted(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    engine.clock.advance(15)
    assert engine.finish(work_id) == []
    engine.tidy()
    assert engine.reasons(work_id) == ["submitted", "claimed", "done"]


def test_a_late_report_is_refused_and_says_who_holds_the_work_now(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    engine.clock.advance(11)
    engine.tidy()
    engine.claim(holder="w2")
    before = engine.events(work_id)
    refused = [Lost(work_id, 1, "attempt 2 has begun since (state running, held by w2)")]
    for outcome in Outcome:
        assert engine.finish(work_id, outcome) == refused, outcome
    assert engine.renew(work_id) == refused
    assert engine.events(work_id) == before
    assert engine.finish(work_id, attempt=2, holder="w2", result=b'"second"') == []
    assert engine.see(works.outputs, [work_id])[work_id].result == b'"second"'


def test_a_late_report_is_refused_and_says_how_the_work_ended(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=1)
    engine.claim(lease_s=10)
    engine.clock.advance(11)
    engine.tidy()
    assert engine.finish(work_id) == [
        Lost(work_id, 1, "the attempt is over: state failure, because lease_expired")
    ]
    assert engine.see(works.outputs, [work_id])[work_id].result is None


def test_nobody_but_the_holder_can_renew_or_end_an_attempt(engine: Engine) -> None:
    work_id = engine.at("running")
    refused = [Lost(work_id, 1, "attempt 1 is running and held by w1")]
    for outcome in Outcome:
        assert engine.finish(work_id, outcome, holder="w2") == refused, outcome
    assert engine.renew(work_id, holder="w2") == refused
    assert engine.reasons(work_id) == ["submitted", "claimed"]


def test_nobody_but_the_holder_can_confirm_a_cancellation(engine: Engine) -> None:
    work_id = engine.at("cancelling")
    for outcome in Outcome:
        lost = engine.finish(work_id, outcome, holder="w2")
        assert [one.cancelled for one in lost] == [False], outcome
    assert engine.state(work_id) == "running"


def test_an_attempt_that_has_not_begun_cannot_be_ended(engine: Engine) -> None:
    queued = engine.submit()
    running = engine.at("running")
    assert engine.finish(queued, attempt=0)
    assert engine.finish(queued, attempt=1)
    assert engine.finish(running, attempt=2)
    assert engine.states(queued, running) == ["queued", "running"]


def test_a_report_on_a_work_that_is_not_there_is_refused(engine: Engine) -> None:
    gone = [Lost("wk_gone", 1, "the work does not exist (any more)")]
    assert engine.finish("wk_gone") == gone
    assert engine.renew("wk_gone") == gone


def test_one_refused_report_leaves_the_others_of_the_bulk_alone(engine: Engine) -> None:
    engine.submit_many(3)
    leases = engine.claim(3)
    endings = [
        Ending(leases[0].id, 1, Outcome.SUCCESS, result=b"1"),
        Ending(leases[1].id, 7, Outcome.SUCCESS, result=b"2"),
        Ending(leases[2].id, 1, Outcome.REJECTED, error=b'{"type":"Reject","message":"no"}'),
        Ending("wk_gone", 1, Outcome.SUCCESS),
    ]
    lost = engine.do(works.finish, endings, holder="w1")
    assert {one.work_id for one in lost} == {leases[1].id, "wk_gone"}
    assert engine.states(*[lease.id for lease in leases]) == ["success", "running", "failure"]


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.CANCELLED])
def test_an_accepted_report_is_accepted_again_whatever_happened_since(
    engine: Engine, outcome: Outcome
) -> None:
    work_id = engine.at("running")
    assert engine.finish(work_id, outcome, result=b'"once"') == []
    first = engine.events(work_id)
    assert engine.finish(work_id, outcome, result=b'"twice"') == []
    assert engine.events(work_id) == first
    engine.clock.advance(600)
    engine.tidy()
    engine.claim(holder="w2")
    then = engine.events(work_id)
    assert engine.finish(work_id, outcome) == []
    assert engine.events(work_id) == then
    if outcome is Outcome.SUCCESS:
        assert engine.see(works.outputs, [work_id])[work_id].result == b'"once"'


def test_a_second_report_that_says_something_else_is_refused(engine: Engine) -> None:
    work_id = engine.at("success")
    lost = engine.finish(work_id, Outcome.FAILURE)
    assert lost == [Lost(work_id, 1, "the attempt is over: state success, because done")]
    assert engine.state(work_id) == "success"


def test_attempts_only_grow(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=9)
    seen = [0]
    for outcome in (Outcome.FAILURE, Outcome.HANDED_BACK, Outcome.TIMED_OUT, Outcome.SUCCESS):
        seen.append(engine.claim()[0].attempt)
        engine.finish(work_id, outcome, attempt=seen[-1])
        engine.clock.advance(600)
        engine.tidy()
    engine.reopen(work_id)
    seen.append(engine.claim()[0].attempt)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_the_attempts_of_a_lost_worker_end_at_once_and_those_of_others_go_on(
    engine: Engine,
) -> None:
    worker_id = engine.do(
        workers.register, organisation_id=ORGANISATION, name="box", incarnation="i1", slots=4,
        queue_ids=[engine.queue_id],
    )  # fmt: skip
    mine = engine.submit_many(2)
    engine.claim(2, holder=worker_id)
    other = engine.at("running")
    stopping = mine[1]
    engine.cancel(stopping)
    assert engine.do(workers.lost, worker_id, actor="w1", why="killed by signal 9") == 2
    assert engine.states(*mine, other) == ["failure", "cancelled", "running"]
    assert engine.events(mine[0])[-1].detail_object["message"] == "killed by signal 9"
    engine.tidy()
    assert engine.claimed() == [mine[0]]
    assert engine.do(workers.lost, worker_id, actor="w1", why="again") == 0
    assert engine.see(workers.online, engine.queue_id) == 0


def test_the_clock_may_be_set_back_without_ending_a_lease(engine: Engine) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    engine.clock.advance(-3600)
    assert engine.tidy().expired == 0
    assert engine.renew(work_id, lease_s=10) == []
    engine.clock.advance(9)
    assert engine.tidy().expired == 0
    assert engine.finish(work_id) == []


def test_nothing_of_a_bulk_report_is_kept_when_its_transaction_fails(
    database: Database, engine: Engine
) -> None:
    work_id = engine.at("running")

    def finish_and_fail(connection: Connection) -> None:
        works.finish(connection, [Ending(work_id, 1, Outcome.SUCCESS)], holder="w1")
        raise LookupError

    with pytest.raises(LookupError):
        database.write_blocking(finish_and_fail)
    assert engine.state(work_id) == "running"
    assert engine.rows()["results"] == 0


def test_leases_get_a_grace_after_a_time_in_which_nobody_could_renew(engine: Engine) -> None:
    short, long = engine.submit_many(2)
    assert engine.claimed(lease_s=10) == [short]
    assert engine.claimed(lease_s=7200) == [long]
    engine.clock.advance(3600)  # the server was down
    assert engine.do(janitor.resume, lease_s=60.0) == 1
    assert engine.tidy().expired == 0
    assert engine.renew(short) == []
    until_us = engine.work(long).lease_until_us
    assert until_us == engine.clock.now_us() + 3600 * 1_000_000, "a longer one is left alone"
    engine.clock.advance(61)
    assert engine.tidy().expired == 1

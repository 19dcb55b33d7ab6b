from __future__ import annotations

import pytest

from longshore import ids
from longshore.engine import activity_census, insights, measures, queues, workers, works
from longshore.engine.works import Outcome
from longshore.errors import NotFound
from tests.storage.driving import LEASE_S, ORGANISATION, Engine


def register(engine: Engine, *queue_ids: int, incarnation: str = "i1") -> str:
    worker_id: str = engine.do(
        workers.register,
        organisation_id=ORGANISATION,
        name="box",
        incarnation=incarnation,
        slots=2,
        queue_ids=queue_ids or [engine.queue_id],
    )
    return worker_id


def test_why_a_work_is_queued_behind_others(engine: Engine) -> None:
    register(engine)
    engine.at("running")
    engine.submit_many(2)
    engine.submit(priority=7)
    why = engine.why(engine.submit())
    assert why.text == "queued: 3 works are ahead of it, 1 worker online, 1 running"
    assert (why.facts["ahead"], why.facts["workers_online"]) == (3, 1)


def test_why_a_work_is_queued_although_nothing_is_ahead_no_worker_offers_its_queue(
    engine: Engine,
) -> None:
    other = engine.queue("second")
    register(engine, other)
    why = engine.why(engine.submit())
    assert why.text == "queued: no worker that offers 'first' is online (0 online)"
    assert why.facts["workers_online"] == 0


def test_why_a_system_job_is_queued_asks_for_no_worker(engine: Engine) -> None:
    work_id = engine.submit(queue_id=engine.queue("system", surface="system"))
    assert "no works are ahead" in engine.why(work_id).text


def test_a_worker_that_fell_silent_is_not_online(engine: Engine) -> None:
    worker_id = register(engine)
    work_id = engine.submit()
    engine.clock.advance(workers.ONLINE_S - 1)
    assert "1 worker online" in engine.why(work_id).text
    engine.clock.advance(1)
    assert "(0 online)" in engine.why(work_id).text
    engine.do(workers.seen, worker_id)
    assert "1 worker online" in engine.why(work_id).text
    engine.do(workers.leave, worker_id)
    assert "(0 online)" in engine.why(work_id).text


def test_why_a_work_is_queued_in_a_held_queue(engine: Engine) -> None:
    work_id = engine.submit()
    engine.do(queues.hold, engine.queue_id, actor="ann", why="repairs")
    why = engine.why(work_id)
    assert (
        why.text
        == "queued: the queue 'first' is held since 2023-11-14T22:13:20.000Z by ann: repairs"
    )
    assert (why.facts["held_by"], why.facts["held_why"]) == ("ann", "repairs")


def test_why_a_work_is_queued_at_the_limit_of_its_queue(engine: Engine) -> None:
    engine.queue_id = engine.queue("narrow", concurrency_max=1)
    engine.at("running")
    why = engine.why(engine.submit())
    assert why.text == "queued: the limit of 1 running works of 'narrow' is reached"
    assert (why.facts["limit"], why.facts["running"]) == (1, 1)


def test_why_a_work_is_queued_at_the_limit_of_its_key(engine: Engine) -> None:
    engine.queue_id = engine.queue("keyed", key_concurrency_max=1)
    engine.at("running", concurrency_key="acme")
    why = engine.why(engine.submit(concurrency_key="acme"))
    assert why.text == "queued: the limit acme=1 is reached"
    assert (why.facts["key"], why.facts["limit"], why.facts["running"]) == ("acme", 1, 1)
    assert "limit" not in engine.why(engine.submit(concurrency_key="bolt")).text


def test_a_lease_that_is_over_counts_against_no_limit(engine: Engine) -> None:
    engine.queue_id = engine.queue("narrow", concurrency_max=1)
    engine.at("running")
    work_id = engine.submit()
    engine.clock.advance(LEASE_S)
    assert "limit" not in engine.why(work_id).text


def test_why_a_queued_work_was_tried_before_says_which_attempt_comes_next(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.finish(work_id, Outcome.FAILURE, retry_delay_s=0.0)
    engine.tidy()
    assert engine.why(work_id).text.endswith("(attempt 2 of 3 comes next)")


def test_why_a_work_is_running(engine: Engine) -> None:
    work_id = engine.at("running")
    engine.clock.advance(20)
    why = engine.why(work_id)
    assert why.text == (
        "running: attempt 1 of 3 is held by w1 since 2023-11-14T22:13:20.000Z; "
        "the lease ends in 40 s unless it is renewed"
    )
    assert why.facts["worker"] == "w1"
    engine.clock.advance(41)
    assert "the lease is over" in engine.why(work_id).text


def test_why_a_work_is_still_running_although_it_was_cancelled(engine: Engine) -> None:
    why = engine.why(engine.at("cancelling"))
    assert why.reason == "cancel_requested"
    assert why.text.startswith("running: it is to be cancelled; attempt 1")


def test_why_a_work_failed_and_when_it_is_tried_again(engine: Engine) -> None:
    work_id = engine.at("running")
    error = b'{"type": "ValueError", "message": "no total"}'
    engine.finish(work_id, Outcome.FAILURE, error=error, retry_delay_s=90.0)
    why = engine.why(work_id)
    assert why.text == (
        "failure: Its holder reported that the attempt failed. (ValueError: no total) "
        "Attempt 2 of 3 is due at 2023-11-14T22:14:50.000Z"
    )
    assert why.facts["error"]["type"] == "ValueError"


def test_why_a_work_whose_lease_expired_failed(engine: Engine) -> None:
    work_id = engine.at("running", attempts_max=1)
    engine.clock.advance(LEASE_S)
    engine.tidy()
    assert engine.why(work_id).text == (
        "failure: The lease ended without a word from its holder. "
        "(LeaseLost: the lease ended without a renewal) Its only attempt is used up"
    )


def test_why_a_work_failed_for_good(engine: Engine) -> None:
    used_up = engine.at("running", attempts_max=1)
    engine.finish(used_up, Outcome.TIMED_OUT)
    assert engine.why(used_up).text == (
        "failure: The attempt passed its time limit and was stopped. Its only attempt is used up"
    )
    rejected = engine.at("failure")
    assert engine.why(rejected).text == (
        "failure: Its holder reported that no further attempt can help."
    )


def test_why_a_reopened_work_failed_names_the_new_error(engine: Engine) -> None:
    work_id = engine.at("success")
    engine.reopen(work_id)
    engine.claim()
    error = b'{"type": "OSError", "message": "gone"}'
    engine.finish(work_id, Outcome.REJECTED, attempt=2, error=error)
    assert "(OSError: gone)" in engine.why(work_id).text


def test_why_a_work_waits_for_others_names_those_that_are_not_over(engine: Engine) -> None:
    done, failed = engine.at("success"), engine.at("failure")
    retrying, queued = engine.at("retrying"), engine.submit()
    needed = (done, failed, retrying, queued)
    why = engine.why(engine.submit(requires=needed, requires_success=False))
    assert why.text == (
        f"waiting: waits for other works to end: {retrying} (failure), {queued} (queued)"
    )
    assert [entry["id"] for entry in why.facts["requires"]] == [retrying, queued]


def test_why_a_work_that_waits_for_many_names_five(engine: Engine) -> None:
    many = engine.submit_many(8)
    why = engine.why(engine.submit(requires=tuple(many)))
    assert why.text.endswith("and more")
    assert sum(work_id in why.text for work_id in many) == 5


def test_why_a_delayed_work_waits(engine: Engine) -> None:
    work_id = engine.submit(delay_s=3600)
    why = engine.why(work_id)
    assert why.text == "waiting: due at 2023-11-14T23:13:20.000Z, 60 min from now"
    assert why.facts["due"] == "2023-11-14T23:13:20.000Z"


def test_why_a_work_is_over(engine: Engine) -> None:
    done = engine.why(engine.at("success"))
    assert done.text.startswith("success: Its holder reported success. By w1 at 2023-")
    cancelled = engine.why(engine.at("cancelled"))
    assert "(no longer needed) By ann at" in cancelled.text
    assert cancelled.facts["by"] == "ann"


def test_why_a_dependent_was_cancelled(engine: Engine) -> None:
    work_id = engine.submit(requires=(engine.at("failure"),))
    assert "A work whose success it needed did not succeed." in engine.why(work_id).text


def test_why_knows_nothing_of_a_work_that_is_not_there(engine: Engine) -> None:
    with pytest.raises(NotFound, match="wk_gone"):
        engine.why("wk_gone")
    for look in (works.get, works.payload, works.organisation_of):
        with pytest.raises(NotFound, match="wk_gone"):
            engine.see(look, "wk_gone")


def test_queue_counts_say_how_long_the_oldest_waits(engine: Engine) -> None:
    register(engine)
    second = engine.queue("second")
    since_us = engine.clock.now_us()
    engine.submit()
    engine.clock.advance(30)
    engine.submit()
    engine.at("running")
    counts = engine.see(insights.queue_counts, ORGANISATION)
    assert [entry.queue.id for entry in counts] == [engine.queue_id, second]
    assert counts[0].oldest_us == since_us
    assert counts[0].counts.by_state == {"queued": 2, "running": 1}
    assert (counts[0].workers_online, counts[1].workers_online) == (1, 0)
    assert counts[1].counts.submitted == 0
    assert engine.see(insights.queue_counts, "og_other") == []


def test_state_counts_are_by_surface(engine: Engine) -> None:
    engine.submit_many(2)
    engine.submit(queue_id=engine.queue("system", surface="system"))
    assert engine.see(insights.state_counts) == {("apps", "queued"): 2, ("system", "queued"): 1}


def test_rates_count_the_changes_of_the_window(engine: Engine) -> None:
    engine.submit_many(5)
    engine.clock.advance(200)
    engine.at("success")
    rates = engine.see(insights.rates, ORGANISATION, window_s=100.0)
    assert rates == {"submitted": 0.01, "claimed": 0.01, "done": 0.01}
    assert engine.see(insights.rates, "og_other") == {}


def test_counts_of_a_group_that_is_not_there_are_zero(engine: Engine) -> None:
    counts = engine.counts(ids.new(ids.GROUP))
    assert (counts.submitted, counts.pending, counts.by_state) == (0, 0, {})


def test_the_census_counts_as_the_works_do_as_of_its_time(engine: Engine) -> None:
    register(engine)
    engine.at("running")
    engine.submit_many(2)
    engine.at("success")
    engine.at("failure")

    def both() -> tuple[list[insights.QueueCounts], tuple[list[insights.QueueCounts], int]]:
        read = engine.database.read_blocking
        return read(insights.queue_counts, ORGANISATION), read(measures.census_counts, ORGANISATION)

    exact, (census, counted_us) = both()
    assert census == exact, "where nobody has counted yet, it counts"
    taken = engine.database.read_blocking(activity_census.take)
    engine.database.write_blocking(activity_census.keep, taken, took_us=1)
    engine.clock.advance(5)
    engine.submit()
    later, (census, counted_us) = both()
    assert (census, counted_us) == (exact, taken.at_us)
    assert later[0].counts.submitted == exact[0].counts.submitted + 1
    assert engine.database.read_blocking(measures.census_counts, "og_other")[0] == []

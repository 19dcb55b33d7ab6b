"""What needs a person, of the engine: found through the census, each with its queue."""

from __future__ import annotations

from longshore.clock import ManualClock
from longshore.engine import activity_attention, activity_census, queues, workers
from longshore.engine.works import Outcome
from tests.storage.driving import ORGANISATION, Engine


def census(engine: Engine) -> None:
    found = engine.see(activity_census.take)
    engine.do(activity_census.keep, found, took_us=5)


def attention(engine: Engine, **more: object) -> activity_attention.Attention:
    found: activity_attention.Attention = engine.see(activity_attention.find, ORGANISATION, **more)
    return found


def names(found: list[activity_attention.QueueActivity]) -> list[str]:
    return [one.queue.name for one in found]


def fail(engine: Engine, queue_id: int) -> None:
    work_id = engine.submit(queue_id=queue_id, attempts_max=1)
    engine.claim(queue_ids=[queue_id])
    engine.finish(work_id, Outcome.FAILURE)


def join(engine: Engine, queue_id: int) -> None:
    engine.do(
        workers.register,
        organisation_id=ORGANISATION,
        name="ann's",
        incarnation="1",
        slots=4,
        queue_ids=[queue_id],
    )


def test_failures_for_good_are_told_the_newest_first(engine: Engine, clock: ManualClock) -> None:
    second = engine.queue("second")
    fail(engine, engine.queue_id)
    fail(engine, engine.queue_id)
    clock.advance(5)
    fail(engine, second)
    third = engine.queue("third")
    retrying = engine.submit(queue_id=third)
    engine.claim(queue_ids=[third])
    engine.finish(retrying, Outcome.FAILURE)
    census(engine)
    dead = attention(engine).dead
    assert [(one.queue.name, one.counts.by_state["failure"]) for one in dead] == [
        ("second", 1),
        ("first", 2),
    ]


def test_queues_that_are_held_say_who_and_why_at_once(engine: Engine) -> None:
    engine.do(queues.hold, engine.queue_id, actor="ky_ann", why="repairs")
    (held,) = attention(engine).held
    assert (held.queue.held_by, held.queue.held_why) == ("ky_ann", "repairs")
    engine.do(queues.release, engine.queue_id)
    assert attention(engine).held == []


def test_a_queue_needs_a_worker_while_works_wait_and_none_is_online(
    engine: Engine, clock: ManualClock
) -> None:
    engine.submit()
    census(engine)
    assert names(attention(engine).unserved) == ["first"]
    join(engine, engine.queue_id)
    assert names(attention(engine).unserved) == []
    clock.advance(90)
    assert names(attention(engine).unserved) == ["first"]
    engine.claim()
    # The census does not know of it yet.
    assert names(attention(engine).unserved) == []


def test_a_child_queue_is_served_by_the_workers_of_its_parent(engine: Engine) -> None:
    child = engine.queue("child", surface="pipelines", parent_id=engine.queue_id)
    engine.submit(queue_id=child)
    census(engine)
    assert names(attention(engine).unserved) == ["child"]
    join(engine, engine.queue_id)
    assert names(attention(engine).unserved) == []


def test_buckets_may_be_emptied_by_clients_and_are_told_of_later(
    engine: Engine, clock: ManualClock
) -> None:
    bucket = engine.queue("bucket", surface="buckets")
    engine.submit(queue_id=bucket)
    census(engine)
    assert names(attention(engine).unserved) == []
    clock.advance(1_000)
    assert names(attention(engine).unserved) == ["bucket"]


def test_held_and_set_aside_queues_need_no_worker(engine: Engine) -> None:
    aside = engine.queue("node", surface="scripts held")
    engine.submit(queue_id=aside)
    engine.submit()
    engine.do(queues.hold, engine.queue_id, actor="ky_ann", why="repairs")
    census(engine)
    found = attention(engine, aside=("scripts held",))
    assert (names(found.unserved), names(found.aside)) == ([], ["node"])


def test_leases_that_nobody_takes_back_are_told_of(engine: Engine, clock: ManualClock) -> None:
    work_id = engine.submit()
    engine.claim(lease_s=10)
    clock.advance(20)
    assert attention(engine).overdue == []
    clock.advance(30)
    (overdue,) = attention(engine).overdue
    assert (overdue.work_id, overdue.queue) == (work_id, "first")
    engine.tidy()
    assert attention(engine).overdue == []


def test_nothing_of_another_organisation_is_told(engine: Engine) -> None:
    fail(engine, engine.queue_id)
    engine.do(queues.hold, engine.queue_id, actor="ky_ann", why="repairs")
    census(engine)
    found = engine.see(activity_attention.find, "og_other")
    assert (found.dead, found.held, found.unserved, found.overdue) == ([], [], [], [])
    assert engine.see(activity_attention.is_new, "og_other")
    assert not engine.see(activity_attention.is_new, ORGANISATION)


def test_the_crew_is_who_is_online_and_how_much_of_it_works(
    engine: Engine, clock: ManualClock
) -> None:
    join(engine, engine.queue_id)
    engine.submit_many(3)
    (worker,) = engine.see(workers.listing, ORGANISATION)
    engine.claim(2, holder=worker.id)
    assert engine.see(activity_attention.crew, ORGANISATION) == activity_attention.Crew(1, 0, 4, 2)
    clock.advance(workers.ONLINE_S + 1)
    assert engine.see(activity_attention.crew, ORGANISATION) == activity_attention.Crew(0, 1, 0, 0)

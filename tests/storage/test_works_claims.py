from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from longshore.engine import queues, works
from longshore.engine.choosing import QUEUES_PER_STATEMENT
from longshore.engine.works import Lease, Outcome
from longshore.errors import InvalidRequest, NotFound
from longshore.limits import CLAIM_WORKS, LEASE_S
from tests.storage.driving import Engine

CLAIMERS = 4


def claim_together(claim: Callable[[str], list[Lease]]) -> list[Lease]:
    """Let several holders claim at the same time; return all that they got."""
    together = threading.Barrier(CLAIMERS)

    def run(number: int) -> list[Lease]:
        together.wait(timeout=30)
        return claim(f"w{number}")

    with ThreadPoolExecutor(CLAIMERS) as threads:
        return [lease for leases in threads.map(run, range(CLAIMERS)) for lease in leases]


def test_a_claim_leases_the_work_and_raises_its_attempt(engine: Engine) -> None:
    work_id = engine.submit(b'{"a":1}', timeout_s=5.0)
    lease = engine.claim(lease_s=20)[0]
    until_us = engine.clock.now_us() + 20_000_000
    at_us = engine.clock.now_us()
    assert lease == Lease(work_id, 1, engine.queue_id, "apps", b'{"a":1}', at_us, until_us, 5.0)
    work = engine.work(work_id)
    assert (work.state, work.reason, work.worker_id) == ("running", "claimed", "w1")
    assert (work.lease_until_us, work.started_us) == (until_us, engine.clock.now_us())


def test_a_claim_takes_no_more_than_its_limit(engine: Engine) -> None:
    submitted = engine.submit_many(5)
    assert engine.claimed(2) == submitted[:2]
    assert engine.claimed(CLAIM_WORKS) == submitted[2:]
    assert engine.claim() == []


def test_a_claim_over_many_queues_takes_the_highest_and_then_the_oldest_of_all(
    engine: Engine,
) -> None:
    queue_ids = [engine.queue_id, engine.queue("second"), engine.queue("third")]
    order = []
    for position in range(6):
        order.append(engine.submit(queue_id=queue_ids[position % 3]))
        engine.clock.advance(1)
    urgent = engine.submit(queue_id=queue_ids[2], priority=1)
    other = engine.submit(queue_id=engine.queue("not served"), priority=5)
    assert engine.claimed(4, queue_ids=queue_ids) == [urgent, *order[:3]]
    assert engine.claimed(9, queue_ids=queue_ids) == order[3:]
    assert engine.state(other) == "queued"


def test_a_claim_may_be_over_more_queues_than_a_statement_can_name(engine: Engine) -> None:
    count = 2 * QUEUES_PER_STATEMENT + 10
    queue_ids = [engine.queue(f"queue {number}") for number in range(count)]
    assert not engine.see(works.claimable, queue_ids)
    assert engine.claim(9, queue_ids=queue_ids) == []
    submitted = []
    for queue_id in reversed(queue_ids):
        submitted.append(engine.submit(queue_id=queue_id))
        engine.clock.advance(1)
    urgent = engine.submit(queue_id=queue_ids[5], priority=1)
    assert engine.see(works.claimable, queue_ids)
    assert engine.claimed(5, queue_ids=queue_ids) == [urgent, *submitted[:4]]
    rest = [work_id for _ in range(3) for work_id in engine.claimed(1000, queue_ids=queue_ids)]
    assert rest == submitted[4:]


def test_limits_of_one_queue_do_not_hold_up_another(engine: Engine) -> None:
    narrow = engine.queue("narrow", concurrency_max=1)
    first = engine.submit(queue_id=narrow, priority=5)
    second = engine.submit(queue_id=narrow, priority=5)
    free = engine.submit()
    both = [narrow, engine.queue_id]
    assert engine.claimed(3, queue_ids=both) == [first, free]
    assert engine.state(second) == "queued"


@pytest.mark.parametrize(
    ("limit", "lease_s"),
    [(0, 60), (CLAIM_WORKS + 1, 60), (1, 0), (1, -1), (1, LEASE_S + 1), (1, float("nan"))],
)
def test_a_claim_outside_its_limits_is_refused(engine: Engine, limit: int, lease_s: float) -> None:
    work_id = engine.submit()
    with pytest.raises(InvalidRequest):
        engine.claim(limit, lease_s=lease_s)
    assert engine.state(work_id) == "queued"


def test_a_claim_from_an_unknown_queue_is_refused(engine: Engine) -> None:
    with pytest.raises(NotFound, match="4711"):
        engine.claim(queue_ids=[4711])


def test_nothing_is_claimed_from_a_held_queue_until_it_is_released(engine: Engine) -> None:
    running = engine.at("running")
    waiting = engine.submit()
    held = engine.do(queues.hold, engine.queue_id, actor="ann", why="repairs")
    assert (held.held_by, held.held_why) == ("ann", "repairs")
    assert engine.claim() == []
    assert not engine.see(works.claimable, [engine.queue_id])
    assert engine.finish(running) == []  # what runs goes on
    again = engine.do(queues.hold, engine.queue_id, actor="bob", why="the same")
    assert again.held_by == "ann"
    engine.do(queues.release, engine.queue_id)
    assert engine.see(works.claimable, [engine.queue_id])
    assert engine.claimed() == [waiting]


def test_claimable_tells_whether_a_claim_may_find_something(engine: Engine) -> None:
    assert not engine.see(works.claimable, [engine.queue_id])
    assert not engine.see(works.claimable, [])
    engine.submit(delay_s=10)
    assert not engine.see(works.claimable, [engine.queue_id])
    engine.submit()
    assert engine.see(works.claimable, [engine.queue_id])
    engine.claim()
    assert not engine.see(works.claimable, [engine.queue_id])


def test_no_more_works_run_than_the_queue_allows(engine: Engine) -> None:
    queue_id = engine.queue("narrow", concurrency_max=2)
    submitted = engine.submit_many(5, queue_id=queue_id)
    assert engine.claimed(5, queue_ids=[queue_id]) == submitted[:2]
    assert engine.claim(5, queue_ids=[queue_id]) == []
    engine.finish(submitted[0])
    assert engine.claimed(5, queue_ids=[queue_id]) == submitted[2:3]
    engine.finish(submitted[1], Outcome.FAILURE)
    engine.finish(submitted[2], Outcome.HANDED_BACK)
    assert engine.claimed(5, queue_ids=[queue_id]) == submitted[2:4]


def test_no_more_works_of_one_key_run_than_the_queue_allows(engine: Engine) -> None:
    queue_id = engine.queue("keyed", key_concurrency_max=2)
    acme = engine.submit_many(4, queue_id=queue_id, concurrency_key="acme")
    bolt = engine.submit_many(1, queue_id=queue_id, concurrency_key="bolt")
    free = engine.submit_many(3, queue_id=queue_id)
    assert engine.claimed(9, queue_ids=[queue_id]) == [*acme[:2], *bolt, *free]
    assert engine.claim(9, queue_ids=[queue_id]) == []
    engine.finish(acme[1])
    assert engine.claimed(9, queue_ids=[queue_id]) == acme[2:3]


def test_a_full_key_does_not_hide_what_lies_behind_it(engine: Engine) -> None:
    queue_id = engine.queue("keyed", key_concurrency_max=1)
    crowd = engine.submit_many(1_200, queue_id=queue_id, concurrency_key="crowd")
    behind = engine.submit(queue_id=queue_id, concurrency_key="behind")
    assert engine.claimed(2, queue_ids=[queue_id]) == crowd[:1]
    assert engine.claimed(2, queue_ids=[queue_id]) == [behind]


def test_both_limits_hold_together(engine: Engine) -> None:
    queue_id = engine.queue("both", concurrency_max=3, key_concurrency_max=2)
    engine.submit_many(5, queue_id=queue_id, concurrency_key="a")
    engine.submit_many(5, queue_id=queue_id, concurrency_key="b")
    claimed = engine.claimed(9, queue_ids=[queue_id])
    keys = Counter(engine.work(work_id).concurrency_key for work_id in claimed)
    assert keys == {"a": 2, "b": 1}


def test_a_slot_is_free_again_when_the_lease_of_its_holder_is_over(engine: Engine) -> None:
    """A dead worker cannot keep a slot, even before the janitor has looked."""
    queue_id = engine.queue("narrow", concurrency_max=1)
    dead, next_one = engine.submit_many(2, queue_id=queue_id)
    assert engine.claimed(queue_ids=[queue_id], lease_s=30) == [dead]
    engine.clock.advance(29)
    assert engine.claim(queue_ids=[queue_id]) == []
    engine.clock.advance(1)
    assert engine.claimed(queue_ids=[queue_id]) == [next_one]


def test_a_limit_of_zero_lets_nothing_run(engine: Engine) -> None:
    queue_id = engine.queue("shut", concurrency_max=0)
    engine.submit(queue_id=queue_id)
    assert engine.claim(queue_ids=[queue_id]) == []


def test_claimers_at_the_same_time_never_get_the_same_work(engine: Engine) -> None:
    submitted = engine.submit_many(200)
    queue_ids = [engine.queue_id, engine.queue("second")]
    leases = claim_together(
        lambda holder: [
            lease
            for _ in range(10)
            for lease in engine.claim(5, holder=holder, queue_ids=queue_ids)
        ]
    )
    assert len(leases) == 200
    assert sorted(lease.id for lease in leases) == sorted(submitted)
    assert {lease.attempt for lease in leases} == {1}


def test_claimers_at_the_same_time_stay_under_the_limit_of_the_queue(engine: Engine) -> None:
    queue_id = engine.queue("narrow", concurrency_max=7)
    engine.submit_many(40, queue_id=queue_id)
    leases = claim_together(lambda holder: engine.claim(5, holder=holder, queue_ids=[queue_id]))
    assert len(leases) == 7
    assert len({lease.id for lease in leases}) == 7


def test_claimers_at_the_same_time_stay_under_the_limit_of_a_key(engine: Engine) -> None:
    queue_id = engine.queue("keyed", key_concurrency_max=3)
    engine.submit_many(20, queue_id=queue_id, concurrency_key="a")
    engine.submit_many(20, queue_id=queue_id, concurrency_key="b")
    leases = claim_together(lambda holder: engine.claim(5, holder=holder, queue_ids=[queue_id]))
    keys = Counter(engine.work(lease.id).concurrency_key for lease in leases)
    assert keys == {"a": 3, "b": 3}

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from longshore import ids
from longshore.engine.works import Lost, NewWork, Outcome
from longshore.errors import InvalidRequest
from tests.storage.driving import Engine


def test_a_work_waits_for_those_that_it_requires(engine: Engine) -> None:
    first, second = engine.submit_many(2)
    last = engine.submit(requires=(first, second))
    assert engine.work(last).reason == "blocked"
    assert engine.claimed(9) == [first, second]
    engine.finish(first)
    assert engine.state(last) == "waiting"
    engine.finish(second)
    assert engine.state(last) == "queued"
    assert engine.claimed() == [last]
    assert engine.reasons(last) == ["blocked", "released", "claimed"]


def test_a_work_whose_requirement_is_to_be_tried_again_goes_on_waiting(engine: Engine) -> None:
    first = engine.submit(attempts_max=2)
    last = engine.submit(requires=(first,))
    engine.claim()
    engine.finish(first, Outcome.FAILURE, retry_delay_s=0.0)
    assert engine.state(last) == "waiting"
    engine.tidy()
    engine.claim()
    engine.finish(first, attempt=2)
    assert engine.state(last) == "queued"


@pytest.mark.parametrize("end", ["rejected", "used up", "expired", "cancelled", "stopped"])
def test_a_work_is_cancelled_when_one_that_must_succeed_does_not(engine: Engine, end: str) -> None:
    first = engine.submit(attempts_max=1)
    other = engine.submit(delay_s=3600)
    last = engine.submit(requires=(other, first))
    end_without_success(engine, first, end)
    work = engine.work(last)
    assert (work.state, work.reason, work.final) == ("cancelled", "dependency_failed", True)
    assert engine.state(other) == "waiting"


@pytest.mark.parametrize("end", ["rejected", "used up", "expired", "cancelled", "stopped"])
def test_a_work_that_needs_only_the_end_runs_however_the_others_ended(
    engine: Engine, end: str
) -> None:
    first = engine.submit(attempts_max=1)
    last = engine.submit(requires=(first,), requires_success=False)
    end_without_success(engine, first, end)
    assert engine.state(last) == "queued"


def end_without_success(engine: Engine, work_id: str, end: str) -> None:
    if end == "cancelled":
        engine.cancel(work_id)
        return
    assert engine.claimed() == [work_id]
    if end == "rejected":
        engine.finish(work_id, Outcome.REJECTED)
    elif end == "used up":
        engine.finish(work_id, Outcome.FAILURE)
    elif end == "expired":
        engine.clock.advance(61)
        engine.tidy()
    else:
        engine.cancel(work_id)
        assert engine.finish(work_id)[0].cancelled


def test_a_chain_runs_link_by_link(engine: Engine) -> None:
    chain = [engine.submit()]
    for _ in range(4):
        chain.append(engine.submit(requires=(chain[-1],)))
    for work_id in chain:
        assert engine.claimed(9) == [work_id]
        engine.finish(work_id)
    assert engine.claim() == []


def test_cancelling_the_head_of_a_long_chain_cancels_all_of_it(engine: Engine) -> None:
    """Longer than Python nests calls."""
    length = 600
    chain = [ids.new(ids.WORK) for _ in range(length)]
    requires = [(), *((work_id,) for work_id in chain)]
    new = [
        NewWork(engine.queue_id, b"{}", id=work_id, requires=needs)
        for work_id, needs in zip(chain, requires, strict=False)
    ]
    engine.submit_all(new)
    assert engine.cancel(chain[0]).cancelled == [chain[0]]
    assert engine.state(chain[-1]) == "cancelled"
    assert engine.reasons(chain[-1]) == ["blocked", "dependency_failed"]


def test_what_is_required_may_be_over_already(engine: Engine) -> None:
    done = engine.at("success")
    failed = engine.at("failure")
    assert engine.state(engine.submit(requires=(done,))) == "queued"
    assert engine.state(engine.submit(requires=(failed,))) == "cancelled"
    assert engine.state(engine.submit(requires=(done, failed), requires_success=False)) == "queued"


def test_works_of_one_submission_may_require_each_other_in_any_order(engine: Engine) -> None:
    one, two = ids.new(ids.WORK), ids.new(ids.WORK)
    engine.submit_all(
        [
            NewWork(engine.queue_id, b"{}", id=two, requires=(one,)),
            NewWork(engine.queue_id, b"{}", id=one),
        ]
    )
    assert engine.states(one, two) == ["queued", "waiting"]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_works_that_would_wait_for_each_other_for_ever_are_refused(
    engine: Engine, length: int
) -> None:
    circle = [ids.new(ids.WORK) for _ in range(length)]
    new = [
        NewWork(engine.queue_id, b"{}", id=work_id, requires=(circle[position - 1],))
        for position, work_id in enumerate(circle)
    ]
    with pytest.raises(InvalidRequest, match="wait for itself"):
        engine.submit_all(new)
    assert set(engine.rows().values()) == {0}


def test_a_required_work_that_is_not_there_is_named(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="wk_nowhere") as refusal:
        engine.submit(requires=(engine.submit(), "wk_nowhere"))
    assert refusal.value.details == {"missing": ["wk_nowhere"]}
    assert engine.rows()["works"] == 1


def test_a_blocked_work_with_a_delay_waits_for_both(engine: Engine) -> None:
    first = engine.submit()
    last = engine.submit(requires=(first,), delay_s=100)
    engine.claim()
    engine.finish(first)
    assert engine.work(last).reason == "delayed"
    assert engine.tidy().released == 0
    engine.clock.advance(100)
    assert engine.tidy().released == 1
    assert engine.claimed() == [last]
    assert engine.reasons(last) == ["blocked", "delayed", "released", "claimed"]


def test_the_janitor_never_releases_a_blocked_work_because_it_is_due(engine: Engine) -> None:
    last = engine.submit(requires=(engine.submit(),), delay_s=1)
    engine.clock.advance(1000)
    engine.tidy()
    assert engine.work(last).reason == "blocked"


def test_a_work_may_require_another_twice_and_many_at_once(engine: Engine) -> None:
    many = engine.submit_many(40)
    last = engine.submit(requires=(*many, *many))
    engine.claim(40)
    for work_id in many:
        assert engine.state(last) == "waiting"
        engine.finish(work_id)
    assert engine.state(last) == "queued"


def test_concurrent_ends_of_all_requirements_release_the_work_once(engine: Engine) -> None:
    """Each end alone sees the others open; whoever is last must see all."""
    parties = 4
    lasts = []
    for number in range(5):
        engine.queue_id = engine.queue(f"round {number}")
        needed = engine.submit_many(parties)
        lasts.append(engine.submit(requires=tuple(needed)))
        engine.claim(parties)
        finish_together(engine, needed)
    assert engine.states(*lasts) == ["queued"] * 5
    assert engine.reasons(lasts[0]) == ["blocked", "released"]


def finish_together(engine: Engine, work_ids: list[str]) -> None:
    together = threading.Barrier(len(work_ids))

    def finish(work_id: str) -> list[Lost]:
        together.wait(timeout=30)
        return engine.finish(work_id)

    with ThreadPoolExecutor(len(work_ids)) as threads:
        assert list(threads.map(finish, work_ids)) == [[]] * len(work_ids)


def test_a_work_submitted_while_its_requirement_ends_is_not_forgotten(engine: Engine) -> None:
    """Either the submission sees the end, or the end sees the submission."""
    lasts = []
    for _ in range(8):
        first = engine.at("running")
        together = threading.Barrier(2)

        def finish(work_id: str = first, together: threading.Barrier = together) -> list[Lost]:
            together.wait(timeout=30)
            return engine.finish(work_id)

        def submit(work_id: str = first, together: threading.Barrier = together) -> str:
            together.wait(timeout=30)
            return engine.submit(requires=(work_id,))

        with ThreadPoolExecutor(2) as threads:
            ended, last = threads.submit(finish), threads.submit(submit)
            assert ended.result() == []
            lasts.append(last.result())
    assert engine.states(*lasts) == ["queued"] * 8

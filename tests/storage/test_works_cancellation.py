from __future__ import annotations

from collections.abc import Callable

import pytest

from longshore import ids
from longshore.engine import works
from longshore.engine.works import Lost, Outcome
from longshore.errors import Conflict
from tests.storage.driving import PLACES, Engine

FINAL = {"success", "failure", "cancelled"}
HELD = {"running", "cancelling"}


def _submit(engine: Engine, work_id: str) -> str:
    answer = engine.submit_all([works.NewWork(engine.queue_id, b"{}", unique_key="the one")])[0]
    return "known" if answer.id == work_id and not answer.created else "made"


def _claim(engine: Engine, work_id: str) -> str:
    return "claimed" if work_id in engine.claimed(10, holder="w2") else "not offered"


def _renew(engine: Engine, work_id: str) -> str:
    lost = engine.renew(work_id)
    return "renewed" if not lost else "stop" if lost[0].cancelled else "lost"


def _finish(engine: Engine, work_id: str) -> str:
    lost = engine.finish(work_id, result=b'"late"')
    return "accepted" if not lost else "stop" if lost[0].cancelled else "lost"


def _cancel(engine: Engine, work_id: str) -> str:
    answer = engine.cancel(work_id)
    places = [
        name for name in ("cancelled", "stopping", "final") if work_id in getattr(answer, name)
    ]
    return " and ".join(places)


def _reopen(engine: Engine, work_id: str) -> str:
    return "reopened" if engine.reopen(work_id) == [work_id] else "left alone"


def _forget(engine: Engine, work_id: str) -> str:
    try:
        return f"deleted {engine.forget(work_id)['works']}"
    except Conflict:
        return "refused"


ACTIONS: dict[str, Callable[[Engine, str], str]] = {
    "submit": _submit,
    "claim": _claim,
    "renew": _renew,
    "finish": _finish,
    "cancel": _cancel,
    "reopen": _reopen,
    "forget": _forget,
}

# Place -> action -> (what the caller is told, state and reason afterwards).
TABLE: dict[str, dict[str, tuple[str, str]]] = {
    "waiting": {
        "submit": ("known", "waiting delayed"),
        "claim": ("not offered", "waiting delayed"),
        "renew": ("lost", "waiting delayed"),
        "finish": ("lost", "waiting delayed"),
        "cancel": ("cancelled", "cancelled cancelled"),
        "reopen": ("left alone", "waiting delayed"),
        "forget": ("refused", "waiting delayed"),
    },
    "blocked": {
        "submit": ("known", "waiting blocked"),
        "claim": ("not offered", "waiting blocked"),
        "renew": ("lost", "waiting blocked"),
        "finish": ("lost", "waiting blocked"),
        "cancel": ("cancelled", "cancelled cancelled"),
        "reopen": ("left alone", "waiting blocked"),
        "forget": ("refused", "waiting blocked"),
    },
    "queued": {
        "submit": ("known", "queued submitted"),
        "claim": ("claimed", "running claimed"),
        "renew": ("lost", "queued submitted"),
        "finish": ("lost", "queued submitted"),
        "cancel": ("cancelled", "cancelled cancelled"),
        "reopen": ("left alone", "queued submitted"),
        "forget": ("refused", "queued submitted"),
    },
    "running": {
        "submit": ("known", "running claimed"),
        "claim": ("not offered", "running claimed"),
        "renew": ("renewed", "running claimed"),
        "finish": ("accepted", "success done"),
        "cancel": ("stopping", "running cancel_requested"),
        "reopen": ("left alone", "running claimed"),
        "forget": ("refused", "running claimed"),
    },
    "cancelling": {
        "submit": ("known", "running cancel_requested"),
        "claim": ("not offered", "running cancel_requested"),
        "renew": ("stop", "running cancel_requested"),
        "finish": ("stop", "cancelled cancel_confirmed"),
        "cancel": ("stopping", "running cancel_requested"),
        "reopen": ("left alone", "running cancel_requested"),
        "forget": ("refused", "running cancel_requested"),
    },
    "success": {
        "submit": ("known", "success done"),
        "claim": ("not offered", "success done"),
        "renew": ("lost", "success done"),
        "finish": ("accepted", "success done"),
        "cancel": ("final", "success done"),
        "reopen": ("reopened", "queued reopened"),
        "forget": ("deleted 1", "gone"),
    },
    "retrying": {
        "submit": ("known", "failure failed"),
        "claim": ("not offered", "failure failed"),
        "renew": ("lost", "failure failed"),
        "finish": ("lost", "failure failed"),
        "cancel": ("cancelled", "cancelled cancelled"),
        "reopen": ("left alone", "failure failed"),
        "forget": ("refused", "failure failed"),
    },
    "failure": {
        "submit": ("known", "failure rejected"),
        "claim": ("not offered", "failure rejected"),
        "renew": ("lost", "failure rejected"),
        "finish": ("lost", "failure rejected"),
        "cancel": ("final", "failure rejected"),
        "reopen": ("reopened", "queued reopened"),
        "forget": ("deleted 1", "gone"),
    },
    "cancelled": {
        "submit": ("known", "cancelled cancelled"),
        "claim": ("not offered", "cancelled cancelled"),
        "renew": ("lost", "cancelled cancelled"),
        "finish": ("lost", "cancelled cancelled"),
        "cancel": ("final", "cancelled cancelled"),
        "reopen": ("reopened", "queued reopened"),
        "forget": ("deleted 1", "gone"),
    },
}


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(PLACES)
    assert all(set(actions) == set(ACTIONS) for actions in TABLE.values())


@pytest.mark.parametrize("place", PLACES)
def test_each_action_on_a_work_in_each_place(engine: Engine, place: str) -> None:
    for action, (answer, after) in TABLE[place].items():
        work_id = engine.at(place, unique_key="the one")
        before = engine.events(work_id)
        assert ACTIONS[action](engine, work_id) == answer, action
        found = engine.see(works.get_many, [work_id]).get(work_id)
        assert (f"{found.state} {found.reason}" if found else "gone") == after, action
        # Nothing is recorded where nothing changed, and nothing changes unrecorded.
        events = engine.events(work_id)
        last = f"{before[-1].to_state} {before[-1].reason}"
        assert (len(events) > len(before)) == (last != after and found is not None), action
        if found is not None:
            engine.settle(work_id)


def test_a_cancelled_work_leaves_nothing_to_retry_or_to_hold(engine: Engine) -> None:
    for place in ("waiting", "blocked", "queued", "retrying"):
        work_id = engine.at(place)
        engine.cancel(work_id)
        work = engine.work(work_id)
        assert (work.retry_us, work.lease_until_us, work.final) == (None, None, True), place
        assert work.finished_us == engine.clock.now_us()


def test_the_holder_of_a_cancelled_work_is_told_at_each_renewal_until_it_lets_go(
    engine: Engine,
) -> None:
    work_id = engine.at("cancelling")
    told = [Lost(work_id, 1, "cancel_requested", cancelled=True)]
    assert engine.renew(work_id) == told
    assert engine.renew(work_id) == told
    assert engine.work(work_id).lease_until_us is not None
    assert engine.finish(work_id, Outcome.CANCELLED) == []
    assert engine.state(work_id) == "cancelled"
    assert engine.finish(work_id, Outcome.CANCELLED) == []


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.CANCELLED])
def test_whatever_a_cancelled_work_still_reports_it_ends_cancelled_without_a_result(
    engine: Engine, outcome: Outcome
) -> None:
    work_id = engine.at("cancelling")
    told = [Lost(work_id, 1, "cancel_requested", cancelled=True)]
    assert engine.finish(work_id, outcome, result=b'"too late"') == told
    work = engine.work(work_id)
    assert (work.state, work.reason, work.retry_us) == ("cancelled", "cancel_confirmed", None)
    assert engine.see(works.outputs, [work_id]) == {}
    assert engine.claim() == []


def test_a_holder_cannot_cancel_what_nobody_asked_it_to(engine: Engine) -> None:
    work_id = engine.at("running")
    assert engine.finish(work_id, Outcome.CANCELLED) != []
    assert engine.work(work_id).reason == "claimed"


def test_a_cancelled_work_whose_holder_died_ends_with_its_lease(engine: Engine) -> None:
    work_id = engine.at("cancelling")
    engine.clock.advance(61)
    assert engine.tidy().expired == 1
    work = engine.work(work_id)
    assert (work.state, work.reason) == ("cancelled", "cancel_confirmed")
    engine.clock.advance(600)
    engine.tidy()
    assert engine.claim() == []


def test_cancelling_frees_the_only_slot_of_a_queue(engine: Engine) -> None:
    """In every place that a work of a queue with limit 1 can be, the next work starts."""
    for number, place in enumerate(("queued", "running", "retrying")):
        engine.queue_id = engine.queue(f"narrow {number}", concurrency_max=1)
        work_id = engine.at(place)
        next_one = engine.submit()
        engine.cancel(work_id)
        if place == "running":
            assert engine.claim() == [], "its holder has not let go yet"
            assert engine.finish(work_id, Outcome.CANCELLED) == []
        assert engine.claimed() == [next_one], place


def test_a_work_that_never_lets_go_frees_its_slot_within_a_lease(engine: Engine) -> None:
    engine.queue_id = engine.queue("narrow", concurrency_max=1)
    engine.at("cancelling")
    next_one = engine.submit()
    engine.clock.advance(61)
    assert engine.claimed() == [next_one]


def test_cancelling_a_group_says_what_became_of_each_work(engine: Engine) -> None:
    group_id = ids.new(ids.GROUP)
    done, running, queued = engine.submit_many(3, group_id=group_id)
    waiting = engine.submit(group_id=group_id, delay_s=60)
    bystander = engine.submit()
    engine.claim(2)
    engine.finish(done)
    answer = engine.do(works.cancel_group, group_id, actor="ann", why="stop")
    assert answer == works.Cancelled(sorted([queued, waiting]), [running], [done])
    again = engine.do(works.cancel_group, group_id, actor="ann", why="stop")
    assert again.stopping == [running]
    assert set(again.final) == {done, queued, waiting}
    assert engine.state(bystander) == "queued"


def test_cancelling_what_is_not_there_says_nothing_of_it(engine: Engine) -> None:
    assert engine.cancel("wk_gone") == works.Cancelled([], [], [])
    assert engine.cancel() == works.Cancelled([], [], [])


def test_a_reopened_work_runs_again_and_has_an_attempt_left(engine: Engine) -> None:
    work_id = engine.submit(attempts_max=1)
    engine.claim()
    engine.finish(work_id, Outcome.FAILURE)
    assert engine.work(work_id).final
    assert engine.reopen(work_id) == [work_id]
    work = engine.work(work_id)
    assert (work.state, work.reason, work.finished_us) == ("queued", "reopened", None)
    assert (work.attempt, work.attempts_max) == (1, 2)
    assert engine.claim()[0].attempt == 2
    assert engine.finish(work_id, Outcome.SUCCESS, attempt=2) == []


def test_reopening_many_takes_those_that_are_over(engine: Engine) -> None:
    over = [engine.at(place) for place in ("success", "failure", "cancelled")]
    alive = [engine.at(place) for place in ("waiting", "running", "retrying")]
    assert sorted(engine.reopen(*over, *alive, "wk_gone")) == sorted(over)
    assert engine.states(*over) == ["queued"] * 3


def test_a_group_counts_add_up_wherever_its_works_are(engine: Engine) -> None:
    group_id = ids.new(ids.GROUP)
    for number, place in enumerate(PLACES, start=1):
        engine.at(place, group_id=group_id)
        counts = engine.counts(group_id)
        assert counts.submitted == number
        total = counts.done + counts.failed + counts.cancelled + counts.pending
        assert counts.submitted == total == sum(counts.by_state.values())
    counts = engine.counts(group_id)
    assert (counts.done, counts.failed, counts.cancelled, counts.pending) == (1, 1, 1, 6)
    assert counts.by_state["retrying"] == 1

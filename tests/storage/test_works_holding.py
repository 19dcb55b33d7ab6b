"""Holds of single works: nothing claims them, and they come back as they were."""

from __future__ import annotations

import pytest

from longshore.clock import ManualClock
from longshore.engine import holding, insights, works
from longshore.engine.states import HELD_UNTIL_US
from longshore.storage import Database
from tests.storage.driving import Engine


@pytest.fixture
def engine(database: Database, clock: ManualClock) -> Engine:
    return Engine(database, clock)


def hold(engine: Engine, *work_ids: str, why: str = "to look at it") -> list[str]:
    return list(engine.do(works.hold, work_ids, actor="ann", why=why))


def let_go(engine: Engine, *work_ids: str) -> list[str]:
    return list(engine.do(works.release, work_ids, actor="bob", why="looked at"))


def told(engine: Engine, work_id: str) -> insights.Why:
    return engine.see(insights.why, work_id)  # type: ignore[no-any-return]


def test_a_held_work_is_not_claimed_until_it_is_let_go(engine: Engine) -> None:
    first, second = engine.submit_many(2)
    assert hold(engine, first) == [first]
    assert hold(engine, first) == [], "held already"
    assert engine.claimed(5) == [second]
    engine.finish(second)
    engine.clock.advance(86_400 * 400)
    engine.tidy()
    assert engine.claimed(5) == []
    assert let_go(engine, first, second) == [first]
    assert engine.claimed(5) == [first]


def test_why_tells_who_holds_a_work_since_when_and_why(engine: Engine) -> None:
    work_id = engine.submit()
    hold(engine, work_id, why="the scanner is broken")
    why = told(engine, work_id)
    assert why.state == "waiting"
    assert "held since 2023-11-14T22:13:20.000Z by ann: the scanner is broken" in why.text
    assert why.facts["held_by"] == "ann"
    assert engine.see(holding.find, work_id).why == "the scanner is broken"
    let_go(engine, work_id)
    assert engine.see(holding.find, work_id) is None
    assert "held" not in told(engine, work_id).text


def test_a_delayed_work_gets_its_own_time_back(engine: Engine) -> None:
    early, late = engine.submit(delay_s=100.0), engine.submit(delay_s=1000.0)
    dues = {one: engine.work(one).due_us for one in (early, late)}
    hold(engine, early, late)
    assert engine.work(late).due_us == HELD_UNTIL_US
    engine.clock.advance(500)
    engine.tidy()
    let_go(engine, early, late)
    found = {one: engine.work(one) for one in (early, late)}
    assert [(work.state, work.reason) for work in found.values()] == [
        ("queued", "released"),
        ("waiting", "delayed"),
    ]
    assert {one: work.due_us for one, work in found.items()} == dues


@pytest.mark.parametrize("outcome", [works.Outcome.SUCCESS, works.Outcome.REJECTED])
def test_what_a_held_work_waits_for_may_end_meanwhile(
    engine: Engine, outcome: works.Outcome
) -> None:
    needed = engine.submit()
    blocked = engine.submit(requires=(needed,))
    hold(engine, blocked)
    engine.claim()
    engine.finish(needed, outcome)
    assert engine.work(blocked).reason == "held"
    let_go(engine, blocked)
    expected = "queued" if outcome is works.Outcome.SUCCESS else "cancelled"
    assert engine.work(blocked).state == expected


def test_what_runs_or_is_over_cannot_be_held(engine: Engine) -> None:
    running, over = engine.submit_many(2)
    engine.claim(2)
    engine.finish(over)
    assert hold(engine, running, over) == []


def test_a_held_work_that_was_cancelled_runs_at_once_when_reopened(engine: Engine) -> None:
    work_id = engine.submit()
    hold(engine, work_id)
    engine.cancel(work_id)
    assert engine.work(work_id).state == "cancelled"
    engine.clock.advance(60)
    assert engine.reopen(work_id) == [work_id]
    assert engine.work(work_id).due_us == engine.clock.now_us()
    assert engine.claimed() == [work_id]

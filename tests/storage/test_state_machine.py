"""Random sequences of everything that can happen to works, on both databases.

After each step the rows are compared with a model, and these hold: I1 nothing acknowledged is
lost; I2 at most one success is recorded for a work between two reopenings; I4 submitted = done +
failed + cancelled + pending; I6 the attempt of a work only grows; I7 nothing leaves a final state
but by a reopening. At the end of each sequence everything is driven on: I3 all works reach a
final state.

A failure prints the steps and a seed for --hypothesis-seed. LONGSHORE_TEST_EXAMPLES=5000 in the
environment makes a long run of it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, core, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from longshore.clock import SECOND_US, ManualClock
from longshore.engine import insights, queues, workers, works
from longshore.engine.states import TRANSITIONS, Reason
from longshore.engine.works import NewWork, Outcome
from longshore.errors import Conflict
from longshore.storage import Database, open_database
from tests.conftest import KINDS, PostgreSQLServer
from tests.storage.bucket_rules import BucketRules
from tests.storage.driving import Engine
from tests.storage.model import FINAL_STATES, Item, Model, Tube

HOLDERS = st.sampled_from(["w1", "w2"])
GROUPS = ("gr_one", "gr_two")
BACKOFF_S, BACKOFF_MAX_S = 2.0, 16.0
RESTARTS_MAX = 2
EXAMPLES = int(os.environ.get("LONGSHORE_TEST_EXAMPLES", "0"))


@dataclass(frozen=True)
class Plan:
    """What is to be submitted."""

    queue: int
    priority: int
    delay_s: float
    group: str | None
    unique_key: str | None
    attempts_max: int
    requires_success: bool


PLANS = st.builds(
    Plan,
    queue=st.sampled_from([0, 0, 1]),
    priority=st.integers(-1, 1),
    delay_s=st.sampled_from([0.0, 0.0, 0.0, 5.0, 100.0]),
    group=st.sampled_from([None, *GROUPS]),
    unique_key=st.sampled_from([None, None, None, "a", "b"]),
    attempts_max=st.integers(1, 3),
    requires_success=st.booleans(),
)
Held = tuple[str, int, str]
OpenAgain = Callable[[ManualClock], Database]


class EngineMachine(BucketRules):
    """The engine beside its model."""

    items = Bundle("items")
    leases = Bundle("leases")

    def __init__(self, open_again: OpenAgain) -> None:
        super().__init__()
        self.open_again = open_again
        self.clock = ManualClock()
        self.engine = Engine(open_again(self.clock), self.clock)
        self.model = Model()
        self.restarts = 0
        self.fences: dict[str, int] = {}
        for name, limit in (("free", None), ("narrow", 2)):
            given: dict[str, Any] = {"backoff_s": BACKOFF_S, "backoff_max_s": BACKOFF_MAX_S}
            if limit is not None:
                given["concurrency_max"] = limit
            queue_id = self.engine.queue(name, notices=limit is None, **given)
            self.model.tubes[queue_id] = Tube(queue_id, limit, notices=limit is None)
        self.queue_ids = list(self.model.tubes)

    @property
    def now_us(self) -> int:
        return self.clock.now_us()

    @initialize(target=items, plans=st.lists(PLANS, min_size=4, max_size=8))
    def begin(self, plans: list[Plan]) -> MultipleResults[str]:
        return multiple(*[self.submitted(plan, []) for plan in plans])

    @initialize(target=leases, _after=items, holder=HOLDERS, limit=st.integers(1, 4))
    def begin_to_work(self, holder: str, limit: int, _after: str) -> MultipleResults[Held]:
        return self.claimed(limit, holder, 60.0, (0, 1))

    @rule(target=items, plan=PLANS, requires=st.lists(items, max_size=3))
    def submit(self, plan: Plan, requires: list[str]) -> str:
        return self.submitted(plan, requires)

    def submitted(self, plan: Plan, requires: list[str]) -> str:
        queue_id = self.queue_ids[plan.queue]
        needed = tuple(dict.fromkeys(one for one in requires if one in self.model.items))
        new = NewWork(
            queue_id, b"{}", group_id=plan.group, priority=plan.priority, delay_s=plan.delay_s,
            unique_key=plan.unique_key, attempts_max=plan.attempts_max, requires=needed,
            requires_success=plan.requires_success, timeout_s=20.0,
        )  # fmt: skip
        known = self.model.known(queue_id, plan.unique_key)
        (answer,) = self.engine.submit_all([new])
        assert answer.created == (known is None)
        if known is not None:
            assert answer.id == known
            return answer.id
        item = Item(
            answer.id, queue_id, plan.priority, self.now_us + round(plan.delay_s * SECOND_US),
            plan.attempts_max, plan.group, plan.unique_key, needed, plan.requires_success,
        )  # fmt: skip
        self.model.submit(item, now_us=self.now_us)
        return answer.id

    @rule(
        target=leases,
        limit=st.integers(1, 4),
        holder=HOLDERS,
        lease_s=st.sampled_from([10.0, 60.0]),
        chosen=st.sampled_from([(0,), (1,), (0, 1)]),
    )
    def claim(
        self, limit: int, holder: str, lease_s: float, chosen: tuple[int, ...]
    ) -> MultipleResults[Held]:
        return self.claimed(limit, holder, lease_s, chosen)

    def claimed(
        self, limit: int, holder: str, lease_s: float, chosen: tuple[int, ...]
    ) -> MultipleResults[Held]:
        queue_ids = [self.queue_ids[position] for position in chosen]
        expected = self.model.next_of(queue_ids, limit, now_us=self.now_us)
        order = [item.id for item in expected]
        got = self.engine.claim(limit, holder=holder, lease_s=lease_s, queue_ids=queue_ids)
        assert [lease.id for lease in got] == order
        for item, lease in zip(expected, got, strict=True):
            self.model.claim(item, holder, self.now_us + round(lease_s * SECOND_US))
            assert (lease.attempt, lease.lease_until_us) == (item.attempt, item.lease_until_us)
        return multiple(*[(item.id, item.attempt, holder) for item in expected])

    @rule(lease=leases, outcome=st.sampled_from(Outcome), pause_s=st.sampled_from([None, 0.0, 7.0]))
    def report(self, lease: Held, outcome: Outcome, pause_s: float | None) -> None:
        """Report on any lease there ever was: of now, of long ago, or for the second time."""
        self.reported(lease, outcome, pause_s)

    @rule(target=leases, outcome=st.sampled_from(Outcome), holder=HOLDERS, twice=st.booleans())
    def work(self, outcome: Outcome, holder: str, twice: bool) -> MultipleResults[Held]:
        """Claim and report at once, as a worker does; once more, where the answer was lost."""
        leases = self.claimed(2, holder, 60.0, (0, 1))
        for lease in leases.values * (2 if twice else 1):
            self.reported(lease, outcome, None)
        return leases

    @rule(target=leases, lease=leases, outcome=st.sampled_from(Outcome))
    def report_late(self, lease: Held, outcome: Outcome) -> MultipleResults[Held]:
        """Sleep through the lease, take up work again, and then report on what was held before."""
        self.time_passes_and_the_janitor_comes(61.0)
        again = self.claimed(4, lease[2], 60.0, (0, 1))
        self.reported(lease, outcome, None)
        return again

    @rule(lease=leases, outcome=st.sampled_from(Outcome))
    def report_on_a_cancelled_work(self, lease: Held, outcome: Outcome) -> None:
        self.cancel([lease[0]])
        self.reported(lease, outcome, None)

    def reported(self, lease: Held, outcome: Outcome, pause_s: float | None) -> None:
        work_id, attempt, holder = lease
        result = b'"%s attempt %d"' % (work_id.encode(), attempt)
        before = self.model.holds(*lease)
        told = self.model.finish(work_id, attempt, holder, outcome, result, self.now_us)
        lost = self.engine.finish(
            work_id, outcome, attempt=attempt, holder=holder, result=result, retry_delay_s=pause_s
        )
        assert told == ("accepted" if not lost else "stop" if lost[0].cancelled else "lost")
        if before is not None and before.retry_us == -1:
            self._look_up_pause(before, pause_s)

    def _look_up_pause(self, item: Item, pause_s: float | None) -> None:
        retry_us = self.engine.work(item.id).retry_us
        assert retry_us is not None
        full_s = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (item.attempt - 1))
        least_s, most_s = (full_s / 2, full_s) if pause_s is None else (pause_s, pause_s)
        assert least_s <= (retry_us - self.now_us) / SECOND_US <= most_s
        item.retry_us = retry_us

    @rule(lease=leases, stranger=HOLDERS, outcome=st.sampled_from(Outcome))
    def meddle(self, lease: Held, stranger: str, outcome: Outcome) -> None:
        """Report on somebody else's lease."""
        work_id, attempt, holder = lease
        if stranger != holder:
            assert self.engine.finish(work_id, outcome, attempt=attempt, holder=stranger)
            assert self.engine.renew(work_id, attempt=attempt, holder=stranger)

    @rule(lease=leases, lease_s=st.sampled_from([10.0, 60.0]))
    def renew(self, lease: Held, lease_s: float) -> None:
        work_id, attempt, holder = lease
        lost = self.engine.renew(work_id, attempt=attempt, holder=holder, lease_s=lease_s)
        item = self.model.holds(*lease)
        if item is None:
            assert [one.cancelled for one in lost] == [False]
            return
        item.lease_until_us = self.now_us + round(lease_s * SECOND_US)
        assert [one.cancelled for one in lost] == [True] * item.cancelling

    @rule(seconds=st.sampled_from([0.001, 5.0, 9.0, 11.0, 61.0, 3600.0, -1.0, -30.0, -3600.0]))
    def time_passes_or_jumps(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([0.0, 5.0, 20.0, 61.0]))
    def time_passes_and_the_janitor_comes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.tidy()

    def tidy(self) -> None:
        done = self.engine.tidy()
        expected = self.model.tidy(self.now_us)
        assert (done.released, done.expired, done.retried) == expected

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def cancel(self, chosen: list[str]) -> None:
        answer = self.engine.cancel(*chosen)
        expected = self.model.cancel(dict.fromkeys(chosen), self.now_us)
        assert (set(answer.cancelled), set(answer.stopping), set(answer.final)) == expected

    @rule(chosen=st.lists(items, min_size=1, max_size=2))
    def reopen(self, chosen: list[str]) -> None:
        assert set(self.engine.reopen(*chosen)) == self.model.reopen(chosen, self.now_us)

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def hold(self, chosen: list[str]) -> None:
        held = self.engine.do(works.hold, chosen, actor="ann", why="to look at it")
        assert set(held) == self.model.hold(chosen)

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def let_go(self, chosen: list[str]) -> None:
        released = self.engine.do(works.release, chosen, actor="ann", why="looked at")
        assert set(released) == self.model.let_go(chosen, self.now_us)

    @rule(work_id=consumes(items))
    def forget(self, work_id: str) -> None:
        item = self.model.items.get(work_id)
        if item is not None and not item.final:
            with pytest.raises(Conflict):
                self.engine.forget(work_id)
            return
        assert self.engine.forget(work_id)["works"] == (item is not None)
        self.model.forget(work_id)

    @rule(queue=st.integers(0, 1), held=st.sampled_from([False, False, True]))
    def hold_or_release(self, queue: int, held: bool) -> None:
        queue_id = self.queue_ids[queue]
        if held:
            self.engine.do(queues.hold, queue_id, actor="ann", why="repairs")
        else:
            self.engine.do(queues.release, queue_id)
        self.model.tubes[queue_id].held = held

    @rule(holder=HOLDERS)
    def lose_worker(self, holder: str) -> None:
        held = [
            item
            for item in self.model.items.values()
            if item.state == "running" and item.holder == holder
        ]
        count = self.engine.do(workers.lost, holder, actor="supervisor", why="killed")
        assert count == self.model.give_up(held, "worker_lost", self.now_us)

    @precondition(lambda self: self.restarts < RESTARTS_MAX)
    @rule()
    def restart(self) -> None:
        self.restarts += 1
        self.engine.database.close()
        self.engine.database = self.open_again(self.clock)

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        """I1, I6 and the rules of each state."""
        found = self.engine.see(works.get_many, list(self.model.items))
        assert set(found) == set(self.model.items), "nothing acknowledged is lost"
        for work_id, item in self.model.items.items():
            work = found[work_id]
            assert (work.state, work.reason, work.attempt, work.attempts_max, work.retry_us) == (
                item.state, item.reason, item.attempt, item.attempts_max, item.retry_us,
            )  # fmt: skip
            assert (work.lease_until_us, work.final) == (item.lease_until_us, item.final)
            assert work.attempt <= work.attempts_max or item.amended
            assert work.state != "running" or work.worker_id == item.holder
            assert work.timeout_s == item.timeout_s
            assert work.attempt >= self.fences.get(work_id, 0), "the fence only grows"
            self.fences[work_id] = work.attempt

    @invariant()
    def groups_add_up(self) -> None:
        """I4."""
        for group in GROUPS:
            counts = self.engine.see(insights.group_counts, group)
            told = (
                counts.submitted, counts.done, counts.failed, counts.cancelled, counts.pending,
            )  # fmt: skip
            assert told == self.model.counts(group)
            assert told[0] == sum(told[1:]) == sum(counts.by_state.values())

    def teardown(self) -> None:
        try:
            self.everything_reaches_its_end()
            self.histories_are_legal()
            self.results_are_those_accepted()
        finally:
            self.engine.database.close()

    def everything_reaches_its_end(self) -> None:
        """I3: with holds released and workers that work, all works become final."""
        for queue_id in self.queue_ids:
            self.engine.do(queues.release, queue_id)
        self.let_go(list(self.model.items))
        rounds = len(self.model.items) + 5
        for _ in range(rounds):
            self.clock.advance(3700)
            self.engine.tidy()
            leases = self.engine.claim(100, holder="last", queue_ids=self.queue_ids)
            for lease in leases:
                result = b'"%s attempt %d"' % (lease.id.encode(), lease.attempt)
                self.engine.finish(lease.id, attempt=lease.attempt, holder="last", result=result)
        found = self.engine.see(works.get_many, list(self.model.items))
        assert set(found) == set(self.model.items)
        assert [work for work in found.values() if not work.final] == []
        for group in GROUPS:
            assert self.engine.see(insights.group_counts, group).pending == 0

    def histories_are_legal(self) -> None:
        """I2 and I7, from the events alone; and the events lead to the rows."""
        query = text(
            "SELECT work_id, from_state, to_state, reason, attempt FROM events ORDER BY seq"
        )
        rows = self.engine.see(lambda connection: connection.execute(query).all())
        states: dict[str, str | None] = defaultdict(lambda: None)
        successes: dict[str, int] = defaultdict(int)
        attempts: dict[str, int] = defaultdict(int)
        for work_id, source, target, reason, attempt in rows:
            assert source == states[work_id]
            assert TRANSITIONS[Reason(reason)].target == target
            if source in ("success", "cancelled"):
                assert reason == "reopened", "only a person's word leaves a final state"
            if source == "failure":
                assert reason in ("retried", "cancelled", "reopened")
            assert attempt == attempts[work_id] + (reason == "claimed")
            successes[work_id] = 0 if reason == "reopened" else successes[work_id]
            successes[work_id] += reason == "done"
            assert successes[work_id] <= 1, "one success at most"
            states[work_id], attempts[work_id] = target, attempt
        found = self.engine.see(works.get_many, list(self.model.items))
        assert set(states) == set(found)
        for work_id, work in found.items():
            assert (states[work_id], attempts[work_id]) == (work.state, work.attempt)
            assert work.state in FINAL_STATES

    def results_are_those_accepted(self) -> None:
        found = self.engine.see(works.get_many, list(self.model.items))
        outputs = self.engine.see(works.outputs, list(self.model.items))
        for work_id, work in found.items():
            if work.state == "success":
                expected = b'"%s attempt %d"' % (work_id.encode(), work.attempt)
                assert outputs[work_id].result == expected


def on_sqlite(template: Path, directory: Path) -> Callable[[], OpenAgain]:
    def fresh() -> OpenAgain:
        path = directory / "machine.db"
        shutil.copy(template, path)
        return lambda clock: open_database(f"sqlite:///{path}", clock=clock, migrate=False)

    return fresh


def on_postgresql(server: PostgreSQLServer) -> Callable[[], OpenAgain]:
    url = server.new_database()
    tables = (
        "works, payloads, results, dependencies, events, queues, workers, worker_queues, notices"
    )

    def fresh() -> OpenAgain:
        database = open_database(url, migrate=False)
        truncate = text(f"TRUNCATE {tables} RESTART IDENTITY")
        database.write_blocking(lambda connection: connection.execute(truncate).rowcount)
        database.close()
        return lambda clock: open_database(url, clock=clock, migrate=False)

    return fresh


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 300)
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_the_engine_keeps_its_promises(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if core.global_force_seed is None:
        monkeypatch.setattr(core, "global_force_seed", secrets.randbelow(2**32))
    print(f"to repeat this run: --hypothesis-seed={core.global_force_seed}")
    if kind == "sqlite":
        fresh = on_sqlite(request.getfixturevalue("migrated_sqlite"), tmp_path)
    else:
        fresh = on_postgresql(request.getfixturevalue("postgresql_server"))

    class Machine(EngineMachine):
        def __init__(self) -> None:
            super().__init__(fresh())

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES or {"sqlite": 60, "postgresql": 15}[kind],
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

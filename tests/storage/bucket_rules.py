"""Steps of the state machine that only buckets take: claims of some works, changes, deletions."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)
from sqlalchemy import select

from longshore.clock import SECOND_US, ManualClock
from longshore.engine import notices, tables, works
from longshore.engine.works import Amendment
from tests.storage.driving import Engine
from tests.storage.model import Model

GRACE_S = 7.0
SOME = 1_000
Held = tuple[str, int, str]
_TOLD = select(
    *(tables.notices.c[name] for name in ("work_id", "attempt", "state", "reason", "final"))
)
HOLDERS = st.sampled_from(["w1", "w2"])


class BucketRules(RuleBasedStateMachine):
    """What buckets do with works, for a machine that has an engine beside a model."""

    items: Bundle[str] = Bundle("items")
    leases: Bundle[Held] = Bundle("leases")
    engine: Engine
    model: Model
    clock: ManualClock
    queue_ids: list[int]

    @rule(
        target=leases,
        among=st.lists(items, max_size=3),
        limit=st.integers(1, 3),
        holder=HOLDERS,
        lease_s=st.sampled_from([None, None, 60.0]),
    )
    def claim_some(
        self, among: list[str], limit: int, holder: str, lease_s: float | None
    ) -> MultipleResults[Held]:
        """Claim works that a filter has found, some of which have gone meanwhile."""
        return self._claim(limit, holder, lease_s, among)

    @rule(target=leases, limit=st.integers(1, 3), holder=HOLDERS)
    def claim_for_their_own_time(self, limit: int, holder: str) -> MultipleResults[Held]:
        """Claim as a client that cannot renew: each lease is as long as its work may take."""
        return self._claim(limit, holder, None, None)

    def _claim(
        self, limit: int, holder: str, lease_s: float | None, among: list[str] | None
    ) -> MultipleResults[Held]:
        now_us = self.clock.now_us()
        expected = self.model.next_of(self.queue_ids, limit, now_us=now_us, among=among)
        got = self.engine.do(
            works.claim,
            self.queue_ids,
            limit=limit,
            holder=holder,
            lease_s=lease_s,
            grace_s=GRACE_S,
            among=among,
            with_payloads=False,
        )
        assert [lease.id for lease in got] == [item.id for item in expected]
        for item, lease in zip(expected, got, strict=True):
            length_s = item.timeout_s + GRACE_S if lease_s is None else lease_s
            self.model.claim(item, holder, now_us + round(length_s * SECOND_US))
            assert (lease.attempt, lease.lease_until_us) == (item.attempt, item.lease_until_us)
        return multiple(*[(item.id, item.attempt, holder) for item in expected])

    @rule(
        work_id=items,
        priority=st.sampled_from([None, -1, 1]),
        timeout_s=st.sampled_from([None, 5.0, 40.0]),
        attempts_max=st.sampled_from([None, 1, 4]),
        lease_s=st.sampled_from([None, -3.0, 5.0, 100.0]),
    )
    def amend(
        self,
        work_id: str,
        priority: int | None,
        timeout_s: float | None,
        attempts_max: int | None,
        lease_s: float | None,
    ) -> None:
        """Change what a work was submitted with, wherever it is; its state stays."""
        values = {"priority": priority, "timeout_s": timeout_s, "attempts_max": attempts_max}
        given = {name: value for name, value in values.items() if value is not None}
        item = self.model.items.get(work_id)
        if item is not None:
            for name, value in given.items():
                setattr(item, name, value)
            item.amended = item.amended or attempts_max is not None
        if lease_s is not None:
            until_us = self.clock.now_us() + round(lease_s * SECOND_US)
            given["lease_until_us"] = until_us
            if item is not None and item.state == "running":
                item.lease_until_us = until_us
        self.engine.do(works.amend, [Amendment(work_id=work_id, **given)])

    @rule(chosen=st.lists(items, min_size=1, max_size=2))
    def discard(self, chosen: list[str]) -> None:
        """Delete works in whatever state they are, over the heads of their holders."""
        gone = self.engine.do(works.discard, chosen, actor="ann", why="it is deleted")
        assert gone["works"] == self.model.discard(chosen, self.clock.now_us())

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def expire_given(self, chosen: list[str]) -> None:
        """Fail what has run for too long by another rule than that of its lease."""
        count = self.engine.do(works.expire_given, chosen, actor="auditor")
        running = [
            item
            for work_id in set(chosen)
            if (item := self.model.items.get(work_id)) is not None and item.state == "running"
        ]
        assert count == self.model.give_up(running, "lease_expired", self.clock.now_us())

    @rule(chosen=st.lists(items, min_size=1, max_size=3))
    def retry_given(self, chosen: list[str]) -> None:
        """Queue what has failed before its time has come."""
        count = self.engine.do(works.retry_given, chosen, actor="auditor")
        assert count == self.model.retry_given(chosen)

    @invariant()
    def each_end_is_told_once(self) -> None:
        """What was not followed yet is there, and nothing else."""
        found = self.engine.see(lambda connection: connection.execute(_TOLD).all())
        told = Counter((*row[:4], bool(row[4])) for row in found)
        assert told == self.model.told

    @rule(count=st.integers(0, 4))
    def follow(self, count: int) -> None:
        """Read what is told of the ends of attempts, and erase some of it as followed."""
        found = self.engine.do(notices.read, surface="apps", limit=SOME)
        told = [
            (each.work_id, each.attempt, str(each.state), each.reason, each.final) for each in found
        ]
        attempts: dict[str, int] = {}
        for work_id, attempt, *_ in told:
            assert attempt >= attempts.get(work_id, 0), "in the order in which it came"
            attempts[work_id] = attempt
        self.engine.do(notices.erase, [each.seq for each in found[:count]])
        self.model.told -= Counter(told[:count])

"""What the engine promises, as plain Python: the state machine compares each step with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from longshore.engine.works import Outcome

Told = tuple[str, int, str, str, bool]
"""A notice: work, attempt, state, reason, and whether nothing follows by itself."""
FINAL_STATES = ("success", "failure", "cancelled")


@dataclass
class Item:
    """A work as it should be now."""

    id: str
    queue: int
    priority: int
    due_us: int
    attempts_max: int
    group: str | None = None
    unique_key: str | None = None
    requires: tuple[str, ...] = ()
    requires_success: bool = True
    timeout_s: float = 20.0
    amended: bool = False
    state: str = "queued"
    reason: str = "submitted"
    attempt: int = 0
    holder: str | None = None
    lease_until_us: int | None = None
    retry_us: int | None = None
    result: bytes | None = None
    held: bool = False
    """Whether its own time stands aside for a hold, also once it was cancelled."""
    blocked: bool = False
    """Whether it waited for others when it was held."""

    @property
    def final(self) -> bool:
        return self.state in FINAL_STATES and self.retry_us is None

    @property
    def cancelling(self) -> bool:
        return self.state == "running" and self.reason == "cancel_requested"

    def go(self, state: str, reason: str, *, retry_us: int | None = None) -> None:
        self.state, self.reason, self.retry_us = state, reason, retry_us
        if state != "running":
            self.lease_until_us = None
        if state == "queued":
            self.holder = None


@dataclass
class Tube:
    """A queue as it should be now."""

    id: int
    limit: int | None = None
    held: bool = False
    notices: bool = False


@dataclass
class Model:
    """All works and queues, and which reports were accepted."""

    items: dict[str, Item] = field(default_factory=dict)
    tubes: dict[int, Tube] = field(default_factory=dict)
    accepted: set[tuple[str, int, str, str]] = field(default_factory=set)
    told: Counter[Told] = field(default_factory=Counter)
    """What is told of attempts that ended, and not followed yet."""

    def submit(self, item: Item, *, now_us: int) -> None:
        self.items[item.id] = item
        if item.requires:
            item.go("waiting", "blocked")
        elif item.due_us > now_us:
            item.go("waiting", "delayed")
        self.settle(now_us)

    def known(self, queue: int, unique_key: str | None) -> str | None:
        for item in self.items.values():
            if unique_key is not None and (item.queue, item.unique_key) == (queue, unique_key):
                return item.id
        return None

    def next_of(
        self, queues: Sequence[int], limit: int, *, now_us: int, among: Sequence[str] | None = None
    ) -> list[Item]:
        """Return what a claim must get, in order."""
        chosen: list[Item] = []
        for queue in queues:
            tube = self.tubes[queue]
            room = limit
            if tube.limit is not None:
                live = [
                    item
                    for item in self.items.values()
                    if item.queue == queue
                    and item.lease_until_us is not None
                    and item.lease_until_us > now_us
                ]
                room = min(limit, tube.limit - len(live))
            waiting = [
                item
                for item in self.items.values()
                if item.queue == queue
                and item.state == "queued"
                and not tube.held
                and (among is None or item.id in among)
            ]
            chosen += sorted(waiting, key=_order)[: max(room, 0)]
        return sorted(chosen, key=_order)[:limit]

    def claim(self, item: Item, holder: str, lease_until_us: int) -> None:
        item.go("running", "claimed")
        item.attempt += 1
        item.holder, item.lease_until_us = holder, lease_until_us

    def holds(self, work_id: str, attempt: int, holder: str) -> Item | None:
        """Return the work if this attempt is running and this holder has it."""
        item = self.items.get(work_id)
        if item is None or (item.state, item.attempt, item.holder) != ("running", attempt, holder):
            return None
        return item

    def finish(
        self, work_id: str, attempt: int, holder: str, outcome: Outcome, result: bytes, now_us: int
    ) -> str:
        """Do what a report does; return "accepted", "stop" or "lost"."""
        item = self.holds(work_id, attempt, holder)
        if item is None:
            there = work_id in self.items
            repeated = (work_id, attempt, holder, str(outcome)) in self.accepted
            return "accepted" if there and repeated else "lost"
        if item.cancelling:
            item.go("cancelled", "cancel_confirmed")
            self._tell(item)
            self.accepted.add((work_id, attempt, holder, str(Outcome.CANCELLED)))
            self.settle(now_us)
            return "accepted" if outcome is Outcome.CANCELLED else "stop"
        if outcome is Outcome.CANCELLED:
            return "lost"
        self._end(item, outcome, result)
        self.accepted.add((work_id, attempt, holder, str(outcome)))
        self.settle(now_us)
        return "accepted"

    def _end(self, item: Item, outcome: Outcome, result: bytes) -> None:
        if outcome is Outcome.SUCCESS:
            item.go("success", "done")
            item.result = result
        elif outcome is Outcome.HANDED_BACK:
            item.go("queued", "handed_back")
            item.attempts_max += 1
        elif outcome is Outcome.REJECTED:
            item.go("failure", "rejected")
        else:
            reason = {Outcome.FAILURE: "failed", Outcome.TIMED_OUT: "timed_out"}[outcome]
            # When the next attempt is due is random; the machine looks it up and checks its bounds.
            item.go("failure", reason, retry_us=self._retry(item, -1))
        self._tell(item)

    def _tell(self, item: Item) -> None:
        if self.tubes[item.queue].notices and item.state in FINAL_STATES:
            self.told[item.id, item.attempt, item.state, item.reason, item.final] += 1

    def _retry(self, item: Item, retry_us: int) -> int | None:
        return retry_us if item.attempt < item.attempts_max else None

    def give_up(self, items: Iterable[Item], reason: str, now_us: int) -> int:
        """End attempts whose holder is gone; return how many."""
        count = 0
        for item in list(items):
            count += 1
            if item.cancelling:
                item.go("cancelled", "cancel_confirmed")
            else:
                item.go("failure", reason, retry_us=self._retry(item, now_us))
            self._tell(item)
        self.settle(now_us)
        return count

    def tidy(self, now_us: int) -> tuple[int, int, int]:
        """Do a pass of the janitor; return how many were released, expired and retried."""
        due = [
            item
            for item in self.items.values()
            if item.reason == "delayed" and item.due_us <= now_us
        ]
        for item in due:
            item.go("queued", "released")
        over = [
            item
            for item in self.items.values()
            if item.lease_until_us is not None and item.lease_until_us <= now_us
        ]
        expired = self.give_up(over, "lease_expired", now_us)
        again = [
            item
            for item in self.items.values()
            if item.retry_us is not None and item.retry_us <= now_us
        ]
        for item in again:
            item.go("queued", "retried")
        return len(due), expired, len(again)

    def cancel(self, work_ids: Iterable[str], now_us: int) -> tuple[set[str], set[str], set[str]]:
        """Cancel works; return which were cancelled, are to be stopped, and were over."""
        cancelled, stopping, final = set(), set(), set()
        for work_id in work_ids:
            item = self.items.get(work_id)
            if item is None:
                continue
            if item.final:
                final.add(work_id)
            elif item.state == "running":
                item.reason = "cancel_requested"
                stopping.add(work_id)
            else:
                item.go("cancelled", "cancelled")
                cancelled.add(work_id)
        self.settle(now_us)
        return cancelled, stopping, final

    def discard(self, work_ids: Sequence[str], now_us: int) -> int:
        """Cancel works, whoever holds them, and forget them; return how many there were."""
        _, stopping, _ = self.cancel(work_ids, now_us)
        for work_id in stopping:
            self.items[work_id].go("cancelled", "cancel_confirmed")
        self.settle(now_us)
        there = [work_id for work_id in set(work_ids) if work_id in self.items]
        for work_id in there:
            self.forget(work_id)
        return len(there)

    def forget(self, work_id: str) -> None:
        self.items.pop(work_id, None)
        self.told = Counter({told: n for told, n in self.told.items() if told[0] != work_id})

    def hold(self, work_ids: Iterable[str]) -> set[str]:
        """Hold what is queued or waits; return what is held by this."""
        there = (self.items[one] for one in set(work_ids) if one in self.items)
        chosen = [
            item for item in there if item.state in ("queued", "waiting") and item.reason != "held"
        ]
        for item in chosen:
            item.held, item.blocked = True, item.reason == "blocked"
            item.go("waiting", "held")
        return {item.id for item in chosen}

    def let_go(self, work_ids: Iterable[str], now_us: int) -> set[str]:
        """Let go what is held; return it."""
        there = (self.items[one] for one in set(work_ids) if one in self.items)
        chosen = [item for item in there if item.reason == "held"]
        for item in chosen:
            item.held = False
            if item.blocked:
                item.go("waiting", "blocked")
            elif item.due_us > now_us:
                item.go("waiting", "delayed")
            else:
                item.go("queued", "released")
        self.settle(now_us)
        return {item.id for item in chosen}

    def retry_given(self, work_ids: Iterable[str]) -> int:
        failed = [
            item
            for work_id in set(work_ids)
            if (item := self.items.get(work_id)) is not None and item.retry_us is not None
        ]
        for item in failed:
            item.go("queued", "retried")
        return len(failed)

    def reopen(self, work_ids: Iterable[str], now_us: int) -> set[str]:
        over = {one for one in work_ids if one in self.items and self.items[one].final}
        for work_id in over:
            item = self.items[work_id]
            item.go("queued", "reopened")
            item.attempts_max = max(item.attempts_max, item.attempt + 1)
            if item.held:
                item.held, item.due_us = False, now_us
        return over

    def settle(self, now_us: int) -> None:
        """Release or cancel blocked works until nothing more follows."""
        moved = True
        while moved:
            moved = False
            for item in self.items.values():
                if item.reason != "blocked":
                    continue
                needed = [self.items[one] for one in item.requires if one in self.items]
                bad = [one for one in needed if one.final and one.state != "success"]
                if item.requires_success and bad:
                    item.go("cancelled", "dependency_failed")
                    moved = True
                elif all(one.final for one in needed):
                    due = item.due_us <= now_us
                    item.go("queued" if due else "waiting", "released" if due else "delayed")

    def counts(self, group: str) -> tuple[int, int, int, int, int]:
        """Return submitted, done, failed, cancelled and pending works of a group."""
        members = [item for item in self.items.values() if item.group == group]
        done = sum(item.state == "success" for item in members)
        failed = sum(item.state == "failure" and item.final for item in members)
        cancelled = sum(item.state == "cancelled" for item in members)
        pending = sum(not item.final for item in members)
        return len(members), done, failed, cancelled, pending


def _order(item: Item) -> tuple[int, int, str]:
    return (-item.priority, item.due_us, item.id)

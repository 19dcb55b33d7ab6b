"""A handle on the engine for tests: each call is one durable transaction on one queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from longshore.clock import ManualClock
from longshore.engine import insights, janitor, queues, tables, works
from longshore.engine.works import (
    Cancelled,
    Ending,
    Event,
    Lease,
    Lost,
    NewWork,
    Outcome,
    State,
    Submitted,
    Work,
)
from longshore.storage import Database

ORGANISATION = "og_test"
LEASE_S = 60.0

WORK_TABLES = {
    "works": tables.works.c.id,
    "payloads": tables.payloads.c.work_id,
    "results": tables.results.c.work_id,
    "dependencies": tables.dependencies.c.work_id,
    "events": tables.events.c.work_id,
    "notices": tables.notices.c.work_id,
    "logs": tables.logs.c.work_id,
    "traces": tables.traces.c.work_id,
}


class Engine:
    """The engine on one database, with a queue that the calls go to unless told otherwise."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.database = database
        self.clock = clock
        self.queue_id = self.queue("first")

    def do(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self.database.write_blocking(function, *args, **kwargs)

    def see(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self.database.read_blocking(function, *args, **kwargs)

    def queue(self, name: str, *, surface: str = "apps", **settings: Any) -> int:
        """Make a queue; settings that only `configure` knows are set afterwards."""
        limits = {
            key: settings.pop(key)
            for key in ("concurrency_max", "key_concurrency_max")
            if key in settings
        }
        queue_id = self.do(
            queues.ensure, organisation_id=ORGANISATION, surface=surface, name=name, **settings
        )
        if limits:
            self.do(queues.configure, queue_id, **limits)
        return int(queue_id)

    def submit_all(self, new: Sequence[NewWork], *, actor: str = "ann") -> list[Submitted]:
        return list(self.do(works.submit, new, actor=actor))

    def submit(self, payload: bytes = b"{}", **settings: Any) -> str:
        settings.setdefault("queue_id", self.queue_id)
        return self.submit_all([NewWork(payload=payload, **settings)])[0].id

    def submit_many(self, count: int, **settings: Any) -> list[str]:
        settings.setdefault("queue_id", self.queue_id)
        new = [NewWork(payload=b'{"position": %d}' % n, **settings) for n in range(count)]
        return [submitted.id for submitted in self.submit_all(new)]

    def claim(
        self,
        limit: int = 1,
        *,
        holder: str = "w1",
        lease_s: float = LEASE_S,
        queue_ids: Sequence[int] | None = None,
    ) -> list[Lease]:
        chosen = [self.queue_id] if queue_ids is None else queue_ids
        return list(self.do(works.claim, chosen, limit=limit, holder=holder, lease_s=lease_s))

    def claimed(self, limit: int = 1, **settings: Any) -> list[str]:
        return [lease.id for lease in self.claim(limit, **settings)]

    def finish(
        self,
        work_id: str,
        outcome: Outcome = Outcome.SUCCESS,
        *,
        attempt: int = 1,
        holder: str = "w1",
        **more: Any,
    ) -> list[Lost]:
        ending = Ending(work_id, attempt, outcome, **more)
        return list(self.do(works.finish, [ending], holder=holder))

    def renew(
        self, work_id: str, *, attempt: int = 1, holder: str = "w1", lease_s: float = LEASE_S
    ) -> list[Lost]:
        return list(self.do(works.renew, [(work_id, attempt)], holder=holder, lease_s=lease_s))

    def cancel(self, *work_ids: str) -> Cancelled:
        answer: Cancelled = self.do(works.cancel, work_ids, actor="ann", why="no longer needed")
        return answer

    def reopen(self, *work_ids: str) -> list[str]:
        return list(self.do(works.reopen, work_ids, actor="ann", why="once more"))

    def forget(self, *work_ids: str) -> dict[str, int]:
        return dict(self.do(works.forget, work_ids=work_ids))

    def tidy(self, **settings: Any) -> janitor.Tidied:
        answer: janitor.Tidied = self.do(janitor.tidy, **settings)
        return answer

    def work(self, work_id: str) -> Work:
        found: Work = self.see(works.get, work_id)
        return found

    def state(self, work_id: str) -> State:
        return self.work(work_id).state

    def states(self, *work_ids: str) -> list[str]:
        return [str(self.state(work_id)) for work_id in work_ids]

    def events(self, work_id: str) -> list[Event]:
        return list(self.see(works.events, work_id))

    def reasons(self, work_id: str) -> list[str]:
        return [event.reason for event in self.events(work_id)]

    def why(self, work_id: str) -> insights.Why:
        answer: insights.Why = self.see(insights.why, work_id)
        return answer

    def counts(self, group_id: str) -> insights.Counts:
        answer: insights.Counts = self.see(insights.group_counts, group_id)
        return answer

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has that holds rows of works."""

        def count(connection: Any) -> dict[str, int]:
            return {
                name: connection.execute(select(func.count()).select_from(column.table)).scalar()
                for name, column in WORK_TABLES.items()
            }

        return dict(self.see(count))

    def at(self, place: str, **settings: Any) -> str:
        """Return a new work at the given place; see PLACES."""
        work_id: str = getattr(self, f"_{place}")(**settings)
        return work_id

    def settle(self, work_id: str) -> None:
        """Bring a work to its end and delete it."""
        self.cancel(work_id)
        work = self.work(work_id)
        if not work.final:
            holder = work.worker_id or ""
            self.finish(work_id, Outcome.CANCELLED, attempt=work.attempt, holder=holder)
        self.forget(work_id)

    def _waiting(self, **settings: Any) -> str:
        return self.submit(delay_s=3600.0, **settings)

    def _blocked(self, **settings: Any) -> str:
        return self.submit(requires=(self.submit(delay_s=3600.0),), **settings)

    def _queued(self, **settings: Any) -> str:
        return self.submit(**settings)

    def _running(self, **settings: Any) -> str:
        work_id = self.submit(priority=9, **settings)  # ahead of what waits already
        assert self.claimed() == [work_id]
        return work_id

    def _cancelling(self, **settings: Any) -> str:
        work_id = self._running(**settings)
        assert self.cancel(work_id).stopping == [work_id]
        return work_id

    def _success(self, **settings: Any) -> str:
        work_id = self._running(**settings)
        assert self.finish(work_id, result=b'{"sum": 3}') == []
        return work_id

    def _retrying(self, **settings: Any) -> str:
        work_id = self._running(**settings)
        assert self.finish(work_id, Outcome.FAILURE) == []
        return work_id

    def _failure(self, **settings: Any) -> str:
        work_id = self._running(**settings)
        assert self.finish(work_id, Outcome.REJECTED) == []
        return work_id

    def _cancelled(self, **settings: Any) -> str:
        work_id = self._queued(**settings)
        assert self.cancel(work_id).cancelled == [work_id]
        return work_id


PLACES = (
    "waiting", "blocked", "queued", "running", "cancelling", "success", "retrying", "failure",
    "cancelled",
)  # fmt: skip
"""Where a work can be: its state, told apart where the reason makes a difference."""

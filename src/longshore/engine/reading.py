"""Looking at works: rows, payloads, outputs and histories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from longshore.engine.states import State
from longshore.engine.tables import events, payloads, queues, results, works
from longshore.errors import NotFound


@dataclass(frozen=True, slots=True)
class Work:
    """A work as it is now; times in microseconds since 1970-01-01 UTC, lengths in seconds."""

    id: str
    queue_id: int
    group_id: str | None
    state: State
    reason: str
    priority: int
    due_us: int
    attempt: int
    attempts_max: int
    timeout_s: float | None
    worker_id: str | None
    lease_until_us: int | None
    retry_us: int | None
    created_us: int
    started_us: int | None
    finished_us: int | None
    concurrency_key: str | None
    unique_key: str | None

    @property
    def final(self) -> bool:
        """Whether it is over for good (a person can still reopen it)."""
        if self.state is State.FAILURE:
            return self.retry_us is None
        return self.state in (State.SUCCESS, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Output:
    """What a work led to so far.

    Attributes:
        attempt: the attempt that the result or error is of.
        result: JSON text as UTF-8 bytes, of a work that succeeded.
        error: JSON text as UTF-8 bytes, of the last attempt that did not.
    """

    attempt: int
    result: bytes | None
    error: bytes | None


@dataclass(frozen=True, slots=True)
class Event:
    """One change of state; `detail` is JSON text or None."""

    seq: int
    work_id: str
    attempt: int
    at_us: int
    from_state: str | None
    to_state: str
    reason: str
    actor: str
    detail: str | None

    @property
    def detail_object(self) -> Any:
        """The detail as an object, or None."""
        return None if self.detail is None else json.loads(self.detail)


_COLUMNS = [works.c[name] for name in Work.__dataclass_fields__]
_EVENT_COLUMNS = [events.c[name] for name in Event.__dataclass_fields__]


def get(connection: Connection, work_id: str) -> Work:
    """Return a work; NotFound if there is none with that id."""
    row = connection.execute(select(*_COLUMNS).where(works.c.id == work_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no work {work_id!r}. It may have been deleted; check the id.")
    return _work(row)


def get_many(connection: Connection, work_ids: Sequence[str]) -> dict[str, Work]:
    """Return those works of `work_ids` that exist, by id."""
    rows = connection.execute(select(*_COLUMNS).where(works.c.id.in_(work_ids)))
    return {row.id: _work(row) for row in rows}


def of_group(connection: Connection, group_id: str) -> list[Work]:
    """Return the works of a group in the order in which they were submitted."""
    rows = connection.execute(
        select(*_COLUMNS).where(works.c.group_id == group_id).order_by(works.c.id)
    )
    return [_work(row) for row in rows]


def organisation_of(connection: Connection, work_id: str) -> str:
    """Return the id of the organisation that a work belongs to; NotFound if there is no such work."""
    found = connection.execute(
        select(queues.c.organisation_id)
        .join(works, works.c.queue_id == queues.c.id)
        .where(works.c.id == work_id)
    ).scalar()
    if found is None:
        raise NotFound(f"There is no work {work_id!r}. It may have been deleted; check the id.")
    return str(found)


def payload(connection: Connection, work_id: str) -> bytes:
    """Return the payload of a work as JSON bytes; NotFound if there is no such work."""
    found = connection.execute(
        select(payloads.c.payload).where(payloads.c.work_id == work_id)
    ).scalar()
    if found is None:
        raise NotFound(f"There is no work {work_id!r}. It may have been deleted; check the id.")
    return str(found).encode()


def outputs(connection: Connection, work_ids: Sequence[str]) -> dict[str, Output]:
    """Return results and last errors of works by id; works that have neither are left out."""
    found: dict[str, Output] = {}
    rows = connection.execute(select(results).where(results.c.work_id.in_(work_ids)))
    for row in rows:
        found[row.work_id] = Output(row.attempt, row.result.encode(), None)
    failures = connection.execute(
        select(events.c.work_id, events.c.attempt, events.c.detail)
        .where(events.c.work_id.in_(work_ids), events.c.to_state == "failure")
        .order_by(events.c.seq)
    )
    for row in failures:
        before = found.get(row.work_id)
        # A work that was reopened may have failed since it succeeded.
        if before is None or row.attempt > before.attempt:
            error = None if row.detail is None else row.detail.encode()
            found[row.work_id] = Output(row.attempt, None, error)
    return found


def history(connection: Connection, work_id: str) -> list[Event]:
    """Return all changes of a work, oldest first."""
    rows = connection.execute(
        select(*_EVENT_COLUMNS).where(events.c.work_id == work_id).order_by(events.c.seq)
    )
    return [Event(**row._asdict()) for row in rows]


def _work(row: Any) -> Work:
    return Work(**{**row._asdict(), "state": State(row.state)})

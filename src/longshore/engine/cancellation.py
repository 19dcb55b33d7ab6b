"""Cancelling works, opening them again, and forgetting them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, select

from longshore.engine import dependencies, queues
from longshore.engine.states import Reason, State
from longshore.engine.tables import dependencies as dependencies_table
from longshore.engine.tables import (
    events,
    is_final,
    logs,
    notices,
    payloads,
    results,
    traces,
    works,
)
from longshore.engine.tables import queues as queues_table
from longshore.engine.transitions import Guard, Moved, move
from longshore.errors import Conflict
from longshore.storage import now_us

_BY_WORK: Final = {
    "payloads": payloads.c.work_id,
    "results": results.c.work_id,
    "dependencies": dependencies_table.c.work_id,
    "events": events.c.work_id,
    "notices": notices.c.work_id,
    "logs": logs.c.work_id,
    "traces": traces.c.work_id,
    "works": works.c.id,
}


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a cancellation did.

    Attributes:
        cancelled: ids of works that are cancelled now.
        stopping: ids of running works whose holders will be told to stop.
        final: ids of works that were over already.
    """

    cancelled: list[str]
    stopping: list[str]
    final: list[str]


def cancel(connection: Connection, work_ids: Sequence[str], *, actor: str, why: str) -> Cancelled:
    """Cancel works in whatever state they are; final ones are left alone."""
    return _cancel(connection, works.c.id.in_(work_ids), actor=actor, why=why)


def cancel_group(connection: Connection, group_id: str, *, actor: str, why: str) -> Cancelled:
    """Cancel all works of a group; final ones are left alone."""
    return _cancel(connection, works.c.group_id == group_id, actor=actor, why=why)


def reopen(connection: Connection, work_ids: Sequence[str], *, actor: str, why: str) -> list[str]:
    """Queue works that are over once more, on a person's word; return the ids of those that were.

    Works that are not over are left alone.
    """
    rows = [row for row in _locked(connection, works.c.id.in_(work_ids)) if row.final]
    moved: list[Moved] = []
    for state in (State.SUCCESS, State.FAILURE, State.CANCELLED):
        guards = [
            Guard(row.id, row.attempt, detail=_why(why)) for row in rows if row.state == state
        ]
        moved += move(connection, Reason.REOPENED, guards, actor=actor, source=state)
    queues.wake(connection, (row.queue_id for row in moved))
    return [row.work_id for row in moved]


def forget(
    connection: Connection,
    *,
    work_ids: Sequence[str] | None = None,
    group_id: str | None = None,
    keep_logs: bool = False,
) -> dict[str, int]:
    """Delete works that are over from all tables of the engine; return the rows of each table.

    `keep_logs` leaves their log lines, which can be many, to `logs.forget` in smaller steps.

    Raises:
        Conflict: one of the works is not over; nothing was deleted.
    """
    chosen = works.c.id.in_(work_ids) if work_ids is not None else works.c.group_id == group_id
    rows = _locked(connection, chosen)
    alive = next((row.id for row in rows if not row.final), None)
    if alive is not None:
        raise Conflict(
            f"Work {alive} is not finished, so it cannot be deleted. Cancel it first, or wait for its end.",
            details={"work_id": alive},
        )
    ids = select(works.c.id).where(chosen)
    counts = {}
    for name, column in _BY_WORK.items():
        if keep_logs and name == "logs":
            continue
        # The works themselves come last: the other tables are found through them.
        counts[name] = connection.execute(delete(column.table).where(column.in_(ids))).rowcount
    return counts


def discard(
    connection: Connection, work_ids: Sequence[str], *, actor: str, why: str
) -> dict[str, int]:
    """Delete works in whatever state they are; return the rows of each table.

    What depends on them is settled as if they had been cancelled; a holder of one of them learns
    at its next word that the work does not exist any more.
    """
    halted = cancel(connection, work_ids, actor=actor, why=why).stopping
    rows = _locked(connection, works.c.id.in_(halted)) if halted else ()
    stopped = move(
        connection,
        Reason.CANCEL_CONFIRMED,
        [Guard(row.id, row.attempt) for row in rows],
        actor=actor,
    )
    dependencies.settle(connection, stopped, actor=actor)
    return forget(connection, work_ids=work_ids)


def _cancel(
    connection: Connection, chosen: ColumnElement[bool], *, actor: str, why: str
) -> Cancelled:
    rows = _locked(connection, chosen)
    detail = _why(why)
    cancelled: list[Moved] = []
    for state in (State.WAITING, State.QUEUED, State.FAILURE):
        guards = [Guard(row.id, row.attempt, detail=detail) for row in rows if row.state == state]
        cancelled += move(connection, Reason.CANCELLED, guards, actor=actor, source=state)
    running = [
        Guard(row.id, row.attempt, detail=detail) for row in rows if row.state == State.RUNNING
    ]
    stopping = move(
        connection, Reason.CANCEL_REQUESTED, running, actor=actor, except_cancelling=True
    )
    dependencies.settle(connection, cancelled, actor=actor)
    touched = {row.work_id for row in cancelled}
    halted = {row.work_id for row in stopping} | _cancelling(connection, running)
    return Cancelled(
        cancelled=sorted(touched),
        stopping=sorted(halted),
        final=[row.id for row in rows if row.id not in touched and row.id not in halted],
    )


def _locked(connection: Connection, chosen: ColumnElement[bool]) -> Sequence[Row[*tuple[Any, ...]]]:
    """Read works that nothing else may change until this transaction ends."""
    query = (
        select(works.c.id, works.c.attempt, works.c.state, is_final(works).label("final"))
        .where(chosen)
        .order_by(works.c.id)
    )
    # Without the lock, a claim in between would leave a cancelled work running. SQLite has one
    # writer at a time and needs none.
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    return connection.execute(query).all()


def _cancelling(connection: Connection, running: Sequence[Guard]) -> set[str]:
    query = select(works.c.id).where(
        works.c.id.in_([guard.work_id for guard in running]),
        works.c.state == State.RUNNING,
        works.c.reason == Reason.CANCEL_REQUESTED,
    )
    return set(connection.execute(query).scalars())


def _why(why: str) -> str:
    return json.dumps({"message": why})


def expired_ids(connection: Connection, *, limit: int) -> list[str]:
    """Return works without a group that are past the retention of their queue."""
    query = (
        select(works.c.id)
        .join(queues_table, queues_table.c.id == works.c.queue_id)
        .where(
            queues_table.c.retention_s.is_not(None),
            works.c.group_id.is_(None),
            works.c.finished_us.is_not(None),
            works.c.finished_us <= now_us(connection) - queues_table.c.retention_s * 1_000_000,
            is_final(works),
        )
        .limit(limit)
    )
    return list(connection.execute(query).scalars())

"""Holding single works back, and letting them go.

A held work waits: no claim looks at what waits, so holds cost claims nothing. What it was waiting
for before, and its own time, stand in the event of the hold, which says who holds it and why; they
count again once it is let go. Works that it waits for may have ended meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from longshore.engine import dependencies, queues
from longshore.engine.states import Reason, State
from longshore.engine.tables import events, works
from longshore.engine.transitions import Guard, Moved, move
from longshore.storage import now_us
from longshore.storage.bulk import update_rows


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a work, since when and why."""

    actor: str
    at_us: int
    why: str


def hold(connection: Connection, work_ids: Sequence[str], *, actor: str, why: str) -> list[str]:
    """Hold works that are queued or waiting; return the ids of those that are held by this.

    Works that run or are over, and those that are held already, are left alone.
    """
    pending = works.c.state.concat("").in_([State.QUEUED.value, State.WAITING.value])
    rows = _locked(connection, work_ids, pending & (works.c.reason != Reason.HELD.value))
    moved: list[Moved] = []
    for state in (State.QUEUED, State.WAITING):
        guards = [
            Guard(row.id, row.attempt, detail=_detail(row, why))
            for row in rows
            if row.state == state
        ]
        moved += move(connection, Reason.HELD, guards, actor=actor, source=state)
    return [row.work_id for row in moved]


def release(connection: Connection, work_ids: Sequence[str], *, actor: str, why: str) -> list[str]:
    """Let works that are held go; return their ids. Others are left alone."""
    rows = _locked(connection, work_ids, works.c.reason == Reason.HELD.value)
    if not rows:
        return []
    before = _before(connection, [row.id for row in rows])
    update_rows(
        connection, works, "id", ("due_us",), [(row.id, before[row.id]["due_us"]) for row in rows]
    )
    at_us = now_us(connection)
    by_reason: dict[Reason, list[Guard]] = {}
    for row in rows:
        guard = Guard(row.id, row.attempt, detail=json.dumps({"message": why}))
        by_reason.setdefault(_reason(before[row.id], at_us), []).append(guard)
    moved = [
        each
        for reason, guards in by_reason.items()
        for each in move(connection, reason, guards, actor=actor, source=State.WAITING)
    ]
    queues.wake(connection, (row.queue_id for row in moved if row.state is State.QUEUED))
    blocked = sorted(row.work_id for row in moved if row.reason is Reason.BLOCKED)
    # What they wait for may have ended while they were held.
    dependencies.settle_blocked(connection, blocked, actor=actor)
    return [row.work_id for row in moved]


def find(connection: Connection, work_id: str) -> Hold | None:
    """Return the hold of a work that is held now, else None."""
    held = connection.execute(
        select(works.c.id).where(works.c.id == work_id, works.c.reason == Reason.HELD.value)
    ).first()
    if held is None:
        return None
    row = connection.execute(
        select(events.c.actor, events.c.at_us, events.c.detail)
        .where(events.c.work_id == work_id, events.c.reason == Reason.HELD.value)
        .order_by(events.c.seq.desc())
        .limit(1)
    ).one()
    return Hold(row.actor, row.at_us, str(json.loads(row.detail)["message"]))


def _reason(before: dict[str, Any], at_us: int) -> Reason:
    if before["blocked"]:
        return Reason.BLOCKED
    return Reason.DELAYED if before["due_us"] > at_us else Reason.RELEASED


def _detail(row: Any, why: str) -> str:
    blocked = row.reason == Reason.BLOCKED
    return json.dumps({"message": why, "due_us": row.due_us, "blocked": blocked})


def _before(connection: Connection, work_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what the last holds of works remember of them."""
    rows = connection.execute(
        select(events.c.work_id, events.c.detail)
        .where(events.c.work_id.in_(work_ids), events.c.reason == Reason.HELD.value)
        .order_by(events.c.seq)
    )
    return {row.work_id: json.loads(row.detail) for row in rows}


def _locked(
    connection: Connection, work_ids: Sequence[str], condition: ColumnElement[bool]
) -> Sequence[Any]:
    """Read works that nothing else may change until this transaction ends."""
    query = (
        select(works.c.id, works.c.attempt, works.c.state, works.c.reason, works.c.due_us)
        .where(works.c.id.in_(work_ids), condition)
        .order_by(works.c.id)
    )
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    return connection.execute(query).all()

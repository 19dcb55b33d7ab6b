"""The passes that time asks for: release what is due, expire leases, retry, forget.

The server runs them by itself, on one server at a time; each pass is bounded, guarded like any
other change, and harmless to run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from longshore.clock import to_us
from longshore.engine import claims, endings, queues, workers
from longshore.engine.cancellation import expired_ids, forget
from longshore.engine.states import Reason
from longshore.engine.tables import works
from longshore.engine.transitions import Guard, move
from longshore.storage import now_us, reclaim

PASS_WORKS: Final = 1_000
"""Most works that one step of a pass takes; what is left waits for the next pass."""
WORKER_MEMORY_S: Final = 7 * 24 * 3600.0
"""How long a worker that fell silent is remembered, in seconds."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What a pass did; `more` says that a step was full and another pass should follow at once."""

    released: int
    expired: int
    retried: int
    more: bool


def tidy(connection: Connection, *, limit: int = PASS_WORKS) -> Tidied:
    """Do one pass: release delayed works that are due, expire leases, queue retries."""
    released = _release(connection, limit)
    expired = endings.expire(connection, limit=limit)
    retried = endings.retry(connection, limit=limit)
    return Tidied(released, expired, retried, more=limit in (released, expired, retried))


def resume(connection: Connection, *, lease_s: float) -> int:
    """Begin again after a pause in which no lease could be renewed; return the leases lengthened.

    Without it, the first pass after a restart would take all running works from holders that
    are alive.
    """
    return claims.grant_grace(connection, lease_s=lease_s)


def retain(connection: Connection, *, limit: int = PASS_WORKS) -> dict[str, int]:
    """Delete finished works that are past the retention of their queue; return rows by table."""
    old = expired_ids(connection, limit=limit)
    counts = forget(connection, work_ids=old) if old else {}
    reclaim(connection)
    silent_us = now_us(connection) - to_us(WORKER_MEMORY_S)
    return {**counts, "workers": workers.forget(connection, before_us=silent_us)}


def _release(connection: Connection, limit: int) -> int:
    rows = connection.execute(
        select(works.c.id, works.c.attempt)
        .where(
            works.c.state == "waiting",
            works.c.reason == Reason.DELAYED,
            works.c.due_us <= now_us(connection),
        )
        .order_by(works.c.due_us)
        .limit(limit)
    ).all()
    moved = move(
        connection, Reason.RELEASED, [Guard(row.id, row.attempt) for row in rows], actor="janitor"
    )
    queues.wake(connection, (row.queue_id for row in moved))
    return len(moved)

"""Word of attempts that have ended, for whoever follows a queue (`Queue.notices`).

A notice is written in the transaction of the change that it tells of. Whoever follows reads some,
does what they ask for and erases them, all in one transaction: a crash at any moment leaves
either the notice or what was made of it, never both and never neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from longshore.engine.states import ENDED, State
from longshore.engine.tables import notices, queues
from longshore.engine.transitions import Moved
from longshore.storage import notify, now_us
from longshore.storage.bulk import insert_rows

TOPIC: Final = "notices"
_COLUMNS: Final = ("work_id", "queue_id", "attempt", "state", "reason", "final", "at_us")


@dataclass(frozen=True, slots=True)
class Notice:
    """One attempt that has ended; `final` says that no other follows by itself."""

    seq: int
    work_id: str
    queue_id: int
    attempt: int
    state: State
    reason: str
    final: bool
    at_us: int


def tell(connection: Connection, moved: Sequence[Moved]) -> None:
    """Write a notice for each of `moved` whose attempt has ended."""
    at_us = now_us(connection)
    rows = [
        (row.work_id, row.queue_id, row.attempt, row.state, row.reason, row.final, at_us)
        for row in moved
        if row.state in ENDED
    ]
    if rows:
        insert_rows(connection, notices, _COLUMNS, rows)
        notify(connection, TOPIC)


def read(connection: Connection, *, surface: str, limit: int) -> list[Notice]:
    """Return the oldest notices about works of a surface."""
    query = (
        select(notices)
        .join(queues, queues.c.id == notices.c.queue_id)
        .where(queues.c.surface == surface)
        .order_by(notices.c.seq)
        .limit(limit)
    )
    # Two servers must not follow the same notice.
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(of=notices, skip_locked=True)
    return [
        Notice(**{**row._asdict(), "state": State(row.state)}) for row in connection.execute(query)
    ]


def waiting(connection: Connection, *, surface: str) -> bool:
    """Whether there are notices about works of a surface."""
    query = (
        select(notices.c.seq)
        .join(queues, queues.c.id == notices.c.queue_id)
        .where(queues.c.surface == surface)
        .limit(1)
    )
    return connection.execute(query).first() is not None


def erase(connection: Connection, seqs: Sequence[int]) -> None:
    """Remove notices that have been followed."""
    connection.execute(delete(notices).where(notices.c.seq.in_(seqs)))

"""How many elements are left in the queues of worker runs, for people who watch."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, bindparam, func, literal, select

from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.storage import Database

COUNT_EVERY_S: Final = 1.0
COUNTED: Final = 2_000
"""Of so many elements that are left, or fewer, each claim is told exactly."""
_QUEUES: Final = 1_000


class Remaining:
    """Counts of queues; one for all requests of a server.

    To count a hundred thousand takes longer than to claim some of them. So they are counted once a
    second, and in between what is claimed is taken off.
    """

    def __init__(self, _database: Database) -> None:
        """Know nothing so far."""
        self._known: dict[int, tuple[int, float]] = {}

    def after(self, connection: Connection, queue_id: int, taken: int) -> int:
        """Return how many are left in a queue after so many were taken from it."""
        known = self._known.get(queue_id)
        now_s = time.monotonic()
        if known is not None:
            left, counted_s = known[0] - taken, known[1]
            if left > COUNTED and now_s - counted_s < COUNT_EVERY_S:
                self._known[queue_id] = (left, counted_s)
                return left
        if len(self._known) >= _QUEUES:
            self._known.clear()
        left = counted(connection, queue_id, State.QUEUED)
        self._known[queue_id] = (left, now_s)
        return left


def counted(connection: Connection, queue_id: int, state: State) -> int:
    """Count the works of a queue that are queued, or that run."""
    return int(connection.execute(_counting(state.value), {"queue": queue_id}).scalar_one())


@cache
def _counting(state: str) -> Select[Any]:
    # Written out, so that the partial index of what is in this state is used.
    return (
        select(func.count())
        .select_from(works_table)
        .where(
            works_table.c.queue_id == bindparam("queue", type_=BigInteger),
            works_table.c.state == literal(state, literal_execute=True),
        )
    )

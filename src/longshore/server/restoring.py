"""What a restored database still says of holders that it knows nothing of any more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, select

from longshore.access.keystore_tables import keystore_entries
from longshore.engine.states import State
from longshore.engine.tables import queues, works
from longshore.engine.works import Ending, Outcome
from longshore.server.native import worker_surfaces

_AT_ONCE: Final = 500


def void_leases(connection: Connection) -> int:
    """Hand back every work that was running when the back-up was taken; return how many.

    Whoever held one may be alive and done, or gone for good. Their leases lie in the past; the
    works are queued again and the attempts are not charged, since nothing failed. A work that was
    to be cancelled is cancelled.
    """
    rows = connection.execute(
        select(queues.c.organisation_id, works.c.worker_id, works.c.id, works.c.attempt)
        .join(queues, queues.c.id == works.c.queue_id)
        .where(works.c.state == State.RUNNING.value, works.c.worker_id.is_not(None))
        .order_by(queues.c.organisation_id, works.c.worker_id, works.c.id)
    ).all()
    for (organisation_id, holder), held in groupby(rows, key=lambda row: (row[0], row[1])):
        for some in _portions([Ending(row.id, row.attempt, Outcome.HANDED_BACK) for row in held]):
            worker_surfaces.finish(connection, organisation_id, some, holder=holder)
    return len(rows)


def holds_secrets(connection: Connection) -> bool:
    """Return whether there are values that only the master key opens."""
    return connection.execute(select(keystore_entries.c.id).limit(1)).first() is not None


def _portions(endings: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(endings), _AT_ONCE):
        yield endings[at : at + _AT_ONCE]

"""What the last census said of some queues."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from longshore.engine.activity_census import QueueCount, from_row
from longshore.engine.activity_tables import queue_counts


def of_queues(connection: Connection, queue_ids: Collection[int]) -> dict[int, QueueCount]:
    """Return the counts of those of the queues that had works when they were counted."""
    rows = connection.execute(select(queue_counts).where(queue_counts.c.queue_id.in_(queue_ids)))
    return {row.queue_id: from_row(row) for row in rows}

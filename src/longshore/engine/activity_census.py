"""The census: how many works of each queue are in which state, counted from the works.

Each part of the count walks an index that holds only works of its kind, and none is kept up to
date by those who claim and end works: the count is right as of its time, and costs them nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, literal_column, select

from longshore.clock import SECOND_US
from longshore.engine import activity_rolling as rolling
from longshore.engine.activity_tables import queue_counts
from longshore.engine.tables import queues, works
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows

STATES: Final = ("waiting", "queued", "running", "retrying", "success", "failure", "cancelled")
"""What a census tells apart: the states of a work, and failures that will be tried again."""
NAME: Final = "census"
_COLUMNS: Final = ("queue_id", *STATES, "oldest_us", "failed_us")
_Rows = Mapping[int, tuple[Any, ...]]


@dataclass(slots=True)
class QueueCount:
    """The works of a queue by state.

    Attributes:
        by_state: how many are in each of STATES.
        oldest_us: since when the longest waiting queued work could have been claimed, or None.
        failed_us: when an attempt failed last, or None where no failure is for good.
    """

    by_state: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    oldest_us: int | None = None
    failed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Census:
    """What was counted, and when."""

    at_us: int
    queues: Mapping[int, QueueCount]


def take(connection: Connection) -> Census:
    """Count all works; reads only."""
    at_us = now_us(connection)
    found: dict[int, QueueCount] = {}

    def count(rows: Any, state: str | None = None) -> None:
        for row in rows:
            entry = found.setdefault(row.queue_id, QueueCount())
            entry.by_state[state or row.state] += row.many

    for row in connection.execute(_QUEUED):
        entry = found.setdefault(row.queue_id, QueueCount())
        entry.by_state["queued"] = row.many
        entry.oldest_us = row.oldest_us
    count(connection.execute(_WAITING), "waiting")
    count(connection.execute(_RUNNING), "running")
    retrying = connection.execute(_RETRYING).all()
    count(retrying, "retrying")
    for row in connection.execute(_FINISHED):
        entry = found.setdefault(row.queue_id, QueueCount())
        entry.by_state[row.state] += row.many
        if row.state == "failure":
            entry.failed_us = row.newest_us
    for row in retrying:
        # They stand among the finished ones as well.
        failures = found[row.queue_id].by_state
        failures["failure"] = max(failures["failure"] - row.many, 0)
    for entry in found.values():
        if not entry.by_state["failure"]:
            entry.failed_us = None
    return Census(at_us, found)


def keep(connection: Connection, census: Census, *, took_us: int) -> bool:
    """Replace the last census by this one, unless that is newer; return whether it was.

    The depth of each surface goes into the bucket of the census's time.
    """
    if not rolling.advance(connection, NAME, census.at_us, took_us=took_us):
        return False
    old = {row[0]: tuple(row) for row in connection.execute(select(*_KEPT))}
    new = {queue_id: _row(queue_id, entry) for queue_id, entry in census.queues.items()}
    gone = [queue_id for queue_id in old if queue_id not in new]
    for begin in range(0, len(gone), rolling.IDS_PER_STATEMENT):
        some = gone[begin : begin + rolling.IDS_PER_STATEMENT]
        connection.execute(delete(queue_counts).where(queue_counts.c.queue_id.in_(some)))
    changed = [row for queue_id, row in new.items() if old.get(queue_id) != row]
    insert_rows(connection, queue_counts, _COLUMNS, changed, replace_on="queue_id")
    _keep_depths(connection, census.at_us, old, new)
    return True


def _keep_depths(connection: Connection, at_us: int, old: _Rows, new: _Rows) -> None:
    """Put how many works wait and run into the bucket of the census, by surface.

    Where there were none and are none, nothing is said.
    """
    deep = {queue_id for rows in (old, new) for queue_id, row in rows.items() if any(row[1:4])}
    depths: dict[tuple[str, str], list[int]] = {}
    for queue in connection.execute(
        select(queues.c.id, queues.c.organisation_id, queues.c.surface)
    ):
        if queue.id in deep:
            depth = depths.setdefault((queue.organisation_id, queue.surface), [0, 0, 0])
            for position, many in enumerate(new.get(queue.id, (0, 0, 0, 0))[1:4]):
                depth[position] += many
    length_us = rolling.LENGTH_S * SECOND_US
    begins_us = at_us // length_us * length_us
    found = {
        (begins_us, organisation_id, surface): rolling.Tally(depth=(*depth,))
        for (organisation_id, surface), depth in depths.items()
    }
    rolling.merge(connection, rolling.LENGTH_S, found)


def _row(queue_id: int, entry: QueueCount) -> tuple[Any, ...]:
    return (
        queue_id,
        *(entry.by_state[state] for state in STATES),
        entry.oldest_us,
        entry.failed_us,
    )


def from_row(row: Row[Any]) -> QueueCount:
    """Return what a row with the columns of `queue_counts` says; one without them says nothing."""
    by_state = {state: int(getattr(row, state) or 0) for state in STATES}
    return QueueCount(by_state, row.oldest_us, row.failed_us)


def _state(name: str) -> Any:
    # Written out, so that the planner sees that a partial index holds what is asked for.
    return works.c.state == literal_column(f"'{name}'")


_KEPT: Final = [queue_counts.c[name] for name in _COLUMNS]
_MANY: Final = func.count().label("many")
_QUEUED: Final = (
    select(works.c.queue_id, _MANY, func.min(works.c.due_us).label("oldest_us"))
    .where(_state("queued"))
    .group_by(works.c.queue_id)
)
_WAITING: Final = (
    select(works.c.queue_id, _MANY).where(_state("waiting")).group_by(works.c.queue_id)
)
_RUNNING: Final = (
    select(works.c.queue_id, _MANY).where(_state("running")).group_by(works.c.queue_id)
)
_RETRYING: Final = (
    select(works.c.queue_id, _MANY).where(works.c.retry_us.is_not(None)).group_by(works.c.queue_id)
)
_FINISHED: Final = (
    select(works.c.queue_id, works.c.state, _MANY, func.max(works.c.finished_us).label("newest_us"))
    .where(works.c.finished_us.is_not(None))
    .group_by(works.c.queue_id, works.c.state)
)

"""The numbers that an operator watches, in a handful of bounded queries for an organisation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, literal, select

from longshore.clock import SECOND_US, to_us
from longshore.engine import activity_census, insights
from longshore.engine import queues as queues_module
from longshore.engine import workers as workers_module
from longshore.engine.activity_census import QueueCount
from longshore.engine.activity_rolling import progress_of
from longshore.engine.activity_tables import queue_counts
from longshore.engine.tables import queues, worker_queues, workers, works
from longshore.storage import now_us

OLD_S: Final = 600.0
"""A census that is older tells of a time when no server ran."""
OVERDUE_S: Final = 30.0
"""A lease that ended longer ago than this and was not taken back says that the janitor is ill."""
_OF_PROGRAMS: Final = ("system", "buckets", "activities")
"""Surfaces whose works are taken by others than workers, too, so that none need be online."""
_NONE: Final = QueueCount()


@dataclass(frozen=True, slots=True)
class QueueMeasures:
    """One queue; `oldest_s` is how long the longest waiting work could have been claimed."""

    surface: str
    name: str
    held: bool
    by_state: dict[str, int]
    oldest_s: float | None
    workers_online: int

    @property
    def waiting(self) -> int:
        """Works that a worker could take, now or later."""
        return sum(self.by_state.get(state, 0) for state in ("queued", "waiting", "retrying"))

    @property
    def unserved(self) -> bool:
        """Whether works can be claimed here and nobody is there who would."""
        queued = self.by_state.get("queued", 0)
        return bool(queued and not self.workers_online and self.surface not in _OF_PROGRAMS)


@dataclass(frozen=True, slots=True)
class WorkerMeasures:
    """The workers that have not said goodbye."""

    online: int
    silent: int
    slots: int
    running: int
    longest_silence_s: float


@dataclass(frozen=True, slots=True)
class Measures:
    """An organisation's queues, busiest first, and its workers; `age_s` is that of the counts."""

    queues: list[QueueMeasures]
    workers: WorkerMeasures
    overdue: int
    age_s: float

    def by_state(self) -> Counter[tuple[str, str]]:
        """Return the works of each (surface, state)."""
        found: Counter[tuple[str, str]] = Counter()
        for queue in self.queues:
            for state, count in queue.by_state.items():
                found[queue.surface, state] += count
        return found


def measure(connection: Connection, organisation_id: str) -> Measures:
    """Take an organisation's numbers; those of works are as of the last census, if there is one."""
    at_us = now_us(connection)
    counts, counted_us = _counts(connection, organisation_id, at_us)
    online = _online(connection, organisation_id, at_us)
    found = []
    for row in connection.execute(
        select(queues.c.id, queues.c.surface, queues.c.name, queues.c.parent_id, queues.c.held_us)
        .where(queues.c.organisation_id == organisation_id)
        .order_by(queues.c.surface, queues.c.name)
    ):
        count = counts.get(row.id, _NONE)
        oldest_us = count.oldest_us
        found.append(
            QueueMeasures(
                surface=row.surface,
                name=row.name,
                held=row.held_us is not None,
                by_state={state: many for state, many in count.by_state.items() if many},
                oldest_s=None if oldest_us is None else max(at_us - oldest_us, 0) / SECOND_US,
                workers_online=online.get(row.parent_id or row.id, 0),
            )
        )
    found.sort(key=lambda queue: -queue.waiting)
    return Measures(
        found,
        _workers(connection, organisation_id, at_us),
        overdue(connection, organisation_id),
        age_s=max(at_us - counted_us, 0) / SECOND_US,
    )


def census_counts(
    connection: Connection, organisation_id: str
) -> tuple[list[insights.QueueCounts], int]:
    """Return the organisation's queues with the works of the last census, and when that was.

    This costs the same however many works there are; `insights.queue_counts` reads them all.
    """
    counts, counted_us = _counts(connection, organisation_id, now_us(connection))
    online = _online(connection, organisation_id, now_us(connection))
    found = []
    for queue in queues_module.listing(connection, organisation_id):
        count = counts.get(queue.id, _NONE)
        by_state = {state: many for state, many in count.by_state.items() if many}
        found.append(
            insights.QueueCounts(
                queue=queue,
                counts=insights.summed(by_state),
                oldest_us=count.oldest_us,
                workers_online=online.get(queue.id, 0),
            )
        )
    return found, counted_us


def overdue(connection: Connection, organisation_id: str | None = None) -> int:
    """Count leases that ended over OVERDUE_S ago, of one organisation or of all."""
    query = (
        select(func.count())
        .select_from(works)
        .where(works.c.lease_until_us < now_us(connection) - to_us(OVERDUE_S))
    )
    if organisation_id is not None:
        mine = select(queues.c.id).where(queues.c.organisation_id == organisation_id)
        query = query.where(works.c.queue_id.in_(mine))
    return int(connection.execute(query).scalar_one())


def _counts(
    connection: Connection, organisation_id: str, at_us: int
) -> tuple[Mapping[int, QueueCount], int]:
    """Return the works of each queue, and as of when; counts them itself where no server does."""
    census = progress_of(connection, activity_census.NAME)
    if census is None or at_us - census.at_us > to_us(OLD_S):
        taken = activity_census.take(connection)
        return taken.queues, taken.at_us
    rows = connection.execute(
        select(queue_counts)
        .join(queues, queues.c.id == queue_counts.c.queue_id)
        .where(queues.c.organisation_id == organisation_id)
    )
    return {row.queue_id: activity_census.from_row(row) for row in rows}, census.at_us


def _present(organisation_id: str) -> ColumnElement[bool]:
    return and_(workers.c.organisation_id == organisation_id, workers.c.left_us.is_(None))


def _online(connection: Connection, organisation_id: str, at_us: int) -> dict[int, int]:
    since_us = at_us - to_us(workers_module.ONLINE_S)
    rows = connection.execute(
        select(worker_queues.c.queue_id, func.count())
        .join(workers, workers.c.id == worker_queues.c.worker_id)
        .where(_present(organisation_id), workers.c.seen_us > since_us)
        .group_by(worker_queues.c.queue_id)
    )
    return dict(rows.all())


def _workers(connection: Connection, organisation_id: str, at_us: int) -> WorkerMeasures:
    since_us = at_us - to_us(workers_module.ONLINE_S)
    rows = connection.execute(
        select(workers.c.id, workers.c.slots, workers.c.seen_us).where(_present(organisation_id))
    ).all()
    online = [row for row in rows if row.seen_us > since_us]
    running = connection.execute(
        select(func.count())
        .select_from(works)
        .join(workers, workers.c.id == works.c.worker_id)
        .where(
            works.c.state == literal("running", literal_execute=True),
            _present(organisation_id),
            workers.c.seen_us > since_us,
        )
    ).scalar_one()
    return WorkerMeasures(
        online=len(online),
        silent=len(rows) - len(online),
        slots=sum(row.slots for row in online),
        running=int(running),
        longest_silence_s=max(
            (max(at_us - row.seen_us, 0) / SECOND_US for row in online), default=0.0
        ),
    )

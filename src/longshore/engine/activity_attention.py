"""What of the engine needs a person: what failed for good, is held, or has nobody who would take it.

Found through the census, so that it costs the same however many works there are; each list is
bounded, the newest first.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, exists, func, literal_column, or_, select

from longshore.clock import to_us
from longshore.engine.activity import QueueActivity, of_rows
from longshore.engine.activity_tables import buckets, queue_counts
from longshore.engine.tables import queues, worker_queues, workers, works
from longshore.engine.workers import ONLINE_S
from longshore.storage import now_us

LISTED: Final = 20
OVERDUE_S: Final = 30.0
"""A lease that ended longer ago and was not taken back: the janitor does not come through."""
PATIENCE_S: Final = 900.0
"""Queues that clients empty, too, are told of once nothing was taken for so long, in seconds."""
_BY_THE_SERVER: Final = "system"
_BY_CLIENTS: Final = ("buckets", "activities")
"""Surfaces whose works are taken by programs that are no workers of ours, too."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A work that runs although its lease ended some time ago."""

    work_id: str
    queue: str
    surface: str
    worker_id: str | None
    lease_until_us: int


@dataclass(frozen=True, slots=True)
class Attention:
    """What of the engine needs a person, at most LISTED of each.

    Attributes:
        dead: queues with works that failed and will not be tried again.
        held: queues from which nothing may be claimed.
        unserved: queues with works that could be claimed, and nobody online who would.
        aside: queues with works that lie there because somebody put them aside.
        overdue: works whose lease should have been taken back.
    """

    dead: list[QueueActivity]
    held: list[QueueActivity]
    unserved: list[QueueActivity]
    aside: list[QueueActivity]
    overdue: list[Overdue]


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of an organisation that are online, and how much they can do and do at once."""

    online: int
    silent: int
    slots: int
    running: int


def find(connection: Connection, organisation_id: str, *, aside: Collection[str] = ()) -> Attention:
    """Return what of the engine needs a person in an organisation.

    Args:
        connection: the transaction.
        organisation_id: whose.
        aside: surfaces of queues that nobody serves: works lie there until a person takes them out.
    """
    query = _queues(organisation_id)
    served = query.where(queues.c.surface.not_in(aside))
    return Attention(
        dead=_listed(
            connection,
            query.where(queue_counts.c.failure > 0).order_by(queue_counts.c.failed_us.desc()),
        ),
        held=_listed(
            connection, query.where(queues.c.held_us.is_not(None)).order_by(queues.c.held_us.desc())
        ),
        unserved=_listed(connection, _unserved(served, now_us(connection))),
        aside=_listed(
            connection,
            query.where(queues.c.surface.in_(aside), queue_counts.c.queued > 0).order_by(
                queue_counts.c.oldest_us.desc()
            ),
        ),
        overdue=_overdue(connection, organisation_id),
    )


def crew(connection: Connection, organisation_id: str) -> Crew:
    """Return how many workers are online, and how many of their slots are in use."""
    since_us = now_us(connection) - to_us(ONLINE_S)
    own = and_(workers.c.organisation_id == organisation_id, workers.c.left_us.is_(None))
    online = connection.execute(
        select(func.count(), func.sum(workers.c.slots)).where(own, workers.c.seen_us > since_us)
    ).one()
    silent = connection.execute(
        select(func.count()).where(own, workers.c.seen_us <= since_us)
    ).scalar_one()
    running = connection.execute(
        select(func.count())
        .select_from(works.join(workers, workers.c.id == works.c.worker_id))
        .where(_state("running"), own, workers.c.seen_us > since_us)
    ).scalar_one()
    return Crew(int(online[0]), int(silent), int(online[1] or 0), int(running))


def is_new(connection: Connection, organisation_id: str) -> bool:
    """Return whether nothing has gone on yet in an organisation."""
    seen = select(buckets.c.surface).where(buckets.c.organisation_id == organisation_id)
    counted = (
        select(queue_counts.c.queue_id)
        .join(queues, queues.c.id == queue_counts.c.queue_id)
        .where(queues.c.organisation_id == organisation_id)
    )
    return not (
        connection.execute(seen.limit(1)).first() or connection.execute(counted.limit(1)).first()
    )


def _unserved(query: Select[Any], at_us: int) -> Select[Any]:
    """Choose queues with works that nobody online takes."""
    served = (
        exists()
        .where(
            worker_queues.c.queue_id == func.coalesce(queues.c.parent_id, queues.c.id),
            workers.c.id == worker_queues.c.worker_id,
            workers.c.left_us.is_(None),
            workers.c.seen_us > at_us - to_us(ONLINE_S),
        )
        .correlate(queues)
    )
    # The census is some seconds old; what has been taken since is no trouble.
    still = exists().where(works.c.queue_id == queues.c.id, _state("queued")).correlate(queues)
    left_alone = and_(
        queue_counts.c.running == 0, queue_counts.c.oldest_us < at_us - to_us(PATIENCE_S)
    )
    return query.where(
        queue_counts.c.queued > 0,
        queues.c.held_us.is_(None),
        queues.c.surface != _BY_THE_SERVER,
        or_(queues.c.surface.not_in(_BY_CLIENTS), left_alone),
        ~served,
        still,
    ).order_by(queue_counts.c.oldest_us.desc())


def _overdue(connection: Connection, organisation_id: str) -> list[Overdue]:
    rows = connection.execute(
        select(
            works.c.id, queues.c.name, queues.c.surface, works.c.worker_id, works.c.lease_until_us
        )
        .join(queues, queues.c.id == works.c.queue_id)
        .where(
            works.c.lease_until_us < now_us(connection) - to_us(OVERDUE_S),
            queues.c.organisation_id == organisation_id,
        )
        .order_by(works.c.lease_until_us)
        .limit(LISTED)
    )
    return [Overdue(*row) for row in rows]


def _listed(connection: Connection, query: Select[Any]) -> list[QueueActivity]:
    return of_rows(connection.execute(query.limit(LISTED)).all())


def _queues(organisation_id: str) -> Select[Any]:
    counts = [column for column in queue_counts.c if column.name != "queue_id"]
    return (
        select(queues, *counts)
        .select_from(queues.outerjoin(queue_counts, queue_counts.c.queue_id == queues.c.id))
        .where(queues.c.organisation_id == organisation_id)
    )


def _state(name: str) -> Any:
    # Written out, so that the planner sees that a partial index holds what is asked for.
    return works.c.state == literal_column(f"'{name}'")

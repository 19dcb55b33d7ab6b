"""Workers: who they are, what they serve and when they were last heard of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, select, update

from longshore import ids
from longshore.clock import to_us
from longshore.engine.endings import abandon
from longshore.engine.tables import worker_queues, workers, works
from longshore.errors import NotFound
from longshore.storage import notify, now_us
from longshore.storage.bulk import insert_rows

ONLINE_S: Final = 60.0
"""A worker that was heard of within this many seconds counts as online; a claim waits half of it."""
SEEN_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process, by its incarnation."""

    id: str
    name: str
    slots: int
    started_us: int
    seen_us: int
    claimed_us: int | None
    left_us: int | None
    version: str
    online: bool
    running: int


def register(
    connection: Connection,
    *,
    organisation_id: str,
    name: str,
    incarnation: str,
    slots: int,
    queue_ids: Sequence[int],
    version: str = "",
) -> str:
    """Add a worker, or renew what it serves; return its id.

    The same incarnation gives the same worker, so a registration can be repeated. `version` says
    what it runs on, for people.
    """
    at_us = now_us(connection)
    worker_id = connection.execute(
        select(workers.c.id).where(
            workers.c.organisation_id == organisation_id, workers.c.incarnation == incarnation
        )
    ).scalar()
    if worker_id is None:
        worker_id = ids.new(ids.WORKER)
        connection.execute(
            workers.insert().values(
                id=worker_id,
                organisation_id=organisation_id,
                name=name,
                incarnation=incarnation,
                slots=slots,
                started_us=at_us,
                seen_us=at_us,
                version=version,
            )
        )
    else:
        connection.execute(
            update(workers)
            .where(workers.c.id == worker_id)
            .values(seen_us=at_us, left_us=None, slots=slots)
        )
        connection.execute(delete(worker_queues).where(worker_queues.c.worker_id == worker_id))
    notify(connection, f"worker:{name}")
    served = [(worker_id, queue_id) for queue_id in dict.fromkeys(queue_ids)]
    insert_rows(connection, worker_queues, ("worker_id", "queue_id"), served)
    return str(worker_id)


def stale(
    connection: Connection, organisation_id: str, worker_id: str, *, claiming: bool = False
) -> bool:
    """Return whether `seen` is worth a write, for a worker that asks for works or another one.

    Raises:
        NotFound: the organisation has no such worker; it should register again.
    """
    row = connection.execute(
        select(workers.c.seen_us, workers.c.claimed_us).where(
            workers.c.id == worker_id, workers.c.organisation_id == organisation_id
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no worker {worker_id!r} here. Register again.")
    noted_us = (row.claimed_us or 0) if claiming else row.seen_us
    return bool(now_us(connection) - noted_us >= to_us(SEEN_EVERY_S))


def seen(connection: Connection, worker_id: str, *, claiming: bool = False) -> None:
    """Note that a worker was heard of, and whether it asked for works."""
    at_us = now_us(connection)
    noted = {"seen_us": at_us, "claimed_us": at_us} if claiming else {"seen_us": at_us}
    connection.execute(update(workers).where(workers.c.id == worker_id).values(**noted))


def leave(connection: Connection, worker_id: str) -> None:
    """Note that a worker has said goodbye; it has handed back what it held."""
    connection.execute(
        update(workers).where(workers.c.id == worker_id).values(left_us=now_us(connection))
    )


def lost(connection: Connection, worker_id: str, *, actor: str, why: str) -> int:
    """End all attempts of a worker that was seen to die; return how many there were."""
    leave(connection, worker_id)
    return abandon(connection, worker_id, actor=actor, why=why)


def lost_incarnation(
    connection: Connection, organisation_id: str, incarnation: str, *, actor: str, why: str
) -> int:
    """Do what `lost` does for a worker known by its incarnation; 0 if it never registered."""
    worker_id = connection.execute(
        select(workers.c.id).where(
            workers.c.organisation_id == organisation_id, workers.c.incarnation == incarnation
        )
    ).scalar()
    return 0 if worker_id is None else lost(connection, worker_id, actor=actor, why=why)


def online(connection: Connection, queue_id: int) -> int:
    """Return how many workers that serve the queue were heard of lately."""
    since_us = now_us(connection) - to_us(ONLINE_S)
    query = (
        select(func.count())
        .select_from(worker_queues.join(workers, workers.c.id == worker_queues.c.worker_id))
        .where(
            worker_queues.c.queue_id == queue_id,
            workers.c.left_us.is_(None),
            workers.c.seen_us > since_us,
        )
    )
    return int(connection.execute(query).scalar_one())


def listing(connection: Connection, organisation_id: str) -> list[Worker]:
    """Return the organisation's workers, last started first."""
    since_us = now_us(connection) - to_us(ONLINE_S)
    running = (
        select(works.c.worker_id, func.count().label("running"))
        .where(works.c.state == "running")
        .group_by(works.c.worker_id)
        .subquery()
    )
    rows = connection.execute(
        select(workers, func.coalesce(running.c.running, 0).label("running"))
        .join(running, running.c.worker_id == workers.c.id, isouter=True)
        .where(workers.c.organisation_id == organisation_id)
        .order_by(workers.c.started_us.desc())
    )
    return [
        Worker(
            row.id,
            row.name,
            row.slots,
            row.started_us,
            row.seen_us,
            row.claimed_us,
            row.left_us,
            row.version,
            online=row.left_us is None and row.seen_us > since_us,
            running=row.running,
        )
        for row in rows
    ]


def get(connection: Connection, organisation_id: str, worker_id: str) -> Worker:
    """Return a worker of the organisation.

    Raises:
        NotFound: there is none with that id, or no more.
    """
    # There are as many as processes in the last days, so that all of them are few.
    for worker in listing(connection, organisation_id):
        if worker.id == worker_id:
            return worker
    raise NotFound(
        f"There is no worker {worker_id[:80]!r}. Those that are long gone are forgotten; list the "
        "workers to see which there are."
    )


def serves(connection: Connection, worker_id: str) -> list[int]:
    """Return the ids of the queues that a worker serves."""
    rows = connection.execute(
        select(worker_queues.c.queue_id)
        .where(worker_queues.c.worker_id == worker_id)
        .order_by(worker_queues.c.queue_id)
    )
    return [row.queue_id for row in rows]


def holds(connection: Connection, worker_id: str, *, limit: int) -> list[str]:
    """Return the ids of works that a worker runs now, the oldest first."""
    rows = connection.execute(
        select(works.c.id)
        .where(works.c.state == "running", works.c.worker_id == worker_id)
        .order_by(works.c.id)
        .limit(limit)
    )
    return [row.id for row in rows]


def forget(connection: Connection, *, before_us: int) -> int:
    """Delete workers that left or fell silent before a time; return how many."""
    gone = select(workers.c.id).where(workers.c.seen_us < before_us)
    connection.execute(delete(worker_queues).where(worker_queues.c.worker_id.in_(gone)))
    return connection.execute(delete(workers).where(workers.c.seen_us < before_us)).rowcount

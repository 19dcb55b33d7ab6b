"""Hosts as they are now: who serves them, what runs and waits there, and their throttle."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, literal, select

from longshore.clock import to_us
from longshore.engine import queues
from longshore.engine.tables import worker_queues, workers, works
from longshore.engine.workers import ONLINE_S
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.scripts import hosts
from longshore.surfaces.scripts.hosts import Host

_THROTTLE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class HostStatus:
    """What a host does.

    Attributes:
        state: online; lost (it had workers, and none was heard of lately, nor said goodbye); or
            offline (nobody serves it).
        workers: names of those that were heard of lately.
        slots: of all of them.
        throttle: most steps at once, or None; 0 lets nothing start.
        running, queued, held: steps.
        seen_us: when a worker of it was last heard of, or None.
        claimed_us: when a worker of it last asked for steps, or None.
        versions: of the workers that were heard of lately.
        queue: where its ready steps wait; while that is held, none is claimed.
    """

    host: Host
    state: str
    workers: list[str]
    slots: int
    throttle: int | None
    running: int
    queued: int
    held: int
    seen_us: int | None
    claimed_us: int | None
    versions: list[str]
    queue: queues.Queue


def listing(connection: Connection, organisation_id: str) -> list[HostStatus]:
    """Return the organisation's hosts by name."""
    found = hosts.listing(connection, organisation_id)
    queue_ids = [each.queue_id for each in found] + [each.held_queue_id for each in found]
    settings = queues.get_many(connection, [each.queue_id for each in found])
    counts = _counts(connection, queue_ids)
    serving = _serving(connection, organisation_id)
    since_us = now_us(connection) - to_us(ONLINE_S)
    return [
        _status(each, settings[each.queue_id], counts, serving[each.queue_id], since_us)
        for each in found
    ]


def get(connection: Connection, organisation_id: str, name: str) -> HostStatus:
    """Return one host; NotFound if the organisation has none of that name."""
    wanted = hosts.get(connection, organisation_id, name)
    return next(
        each for each in listing(connection, organisation_id) if each.host.folded == wanted.folded
    )


def create(connection: Connection, organisation_id: str, name: str, *, actor: str) -> HostStatus:
    """Make a host that no worker has served yet, or return the one there is.

    Raises:
        InvalidRequest: the name cannot be one.
    """
    hosts.ensure(connection, organisation_id, name, actor=actor)
    return get(connection, organisation_id, name)


def throttle(
    connection: Connection, organisation_id: str, name: str, most: int | None
) -> HostStatus:
    """Let at most so many steps run on a host at once; None for no limit but its workers' slots.

    A lower number drains: what runs goes on, and nothing new starts until there is room.

    Raises:
        NotFound: there is no such host.
        InvalidRequest: the number is out of range.
    """
    host = hosts.get(connection, organisation_id, name)
    if most is not None and not 0 <= most <= _THROTTLE_MAX:
        raise InvalidRequest(
            f"The throttle is {most}; give 0 to {_THROTTLE_MAX}, or null for none."
        )
    queues.configure(connection, host.queue_id, concurrency_max=most)
    return get(connection, organisation_id, name)


def _counts(connection: Connection, queue_ids: list[int]) -> dict[tuple[int, str], int]:
    return {
        (queue_id, state): count
        for state in ("queued", "running")
        for queue_id, count in connection.execute(
            select(works.c.queue_id, func.count())
            # Written out, one at a time: the indexes of each state are of no use otherwise.
            .where(
                works.c.queue_id.in_(queue_ids),
                works.c.state == literal(state, literal_execute=True),
            )
            .group_by(works.c.queue_id)
        )
    }


def _serving(connection: Connection, organisation_id: str) -> defaultdict[int, list[Any]]:
    rows = connection.execute(
        select(
            worker_queues.c.queue_id,
            workers.c.name,
            workers.c.slots,
            workers.c.seen_us,
            workers.c.claimed_us,
            workers.c.left_us,
            workers.c.version,
        )
        .join(workers, workers.c.id == worker_queues.c.worker_id)
        .where(workers.c.organisation_id == organisation_id)
        .order_by(workers.c.name)
    )
    serving: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        serving[row.queue_id].append(row)
    return serving


def _status(
    host: Host,
    queue: queues.Queue,
    counts: dict[tuple[int, str], int],
    serving: list[Any],
    since_us: int,
) -> HostStatus:
    there = [each for each in serving if each.left_us is None]
    online = [each for each in there if each.seen_us > since_us]
    return HostStatus(
        host=host,
        state="online" if online else "lost" if there else "offline",
        workers=[each.name for each in online],
        slots=sum(each.slots for each in online),
        throttle=queue.concurrency_max,
        running=counts.get((host.queue_id, "running"), 0),
        queued=counts.get((host.queue_id, "queued"), 0),
        held=counts.get((host.held_queue_id, "queued"), 0),
        seen_us=max((each.seen_us for each in serving), default=None),
        claimed_us=max(
            (each.claimed_us for each in serving if each.claimed_us is not None), default=None
        ),
        versions=sorted({each.version for each in online if each.version}),
        queue=queue,
    )

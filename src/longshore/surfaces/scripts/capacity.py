"""How many steps a host runs at once: its throttle, and the slots of its workers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from longshore.clock import to_us
from longshore.engine import queues
from longshore.engine.tables import worker_queues, workers
from longshore.engine.workers import ONLINE_S
from longshore.storage import now_us
from longshore.surfaces.scripts import hosts


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a host has to run steps with now.

    Attributes:
        name: as the host is called; folded where there is no such host yet.
        workers: workers that serve it and were heard of lately.
        worker_slots: of all of them.
        throttle: most steps at once, or None.
    """

    name: str
    workers: int
    worker_slots: int
    throttle: int | None

    @property
    def slots(self) -> int:
        """How many steps can run at once."""
        if self.throttle is None:
            return self.worker_slots
        return min(self.throttle, self.worker_slots)


def of_hosts(
    connection: Connection, organisation_id: str, names: Iterable[str]
) -> dict[str, Capacity]:
    """Return what hosts have now, by their folded names; nothing for a host that is not there."""
    folded = dict.fromkeys(map(hosts.fold, names))
    there = {host.folded: host for host in hosts.listing(connection, organisation_id)}
    serving: defaultdict[int, list[int]] = defaultdict(list)
    since_us = now_us(connection) - to_us(ONLINE_S)
    rows = connection.execute(
        select(worker_queues.c.queue_id, workers.c.slots)
        .join(workers, workers.c.id == worker_queues.c.worker_id)
        .where(
            workers.c.organisation_id == organisation_id,
            workers.c.left_us.is_(None),
            workers.c.seen_us > since_us,
        )
    )
    for queue_id, slots in rows:
        serving[queue_id].append(slots)
    known = queues.get_many(connection, {there[name].queue_id for name in folded if name in there})
    return {name: _capacity(name, there.get(name), known, serving) for name in folded}


def _capacity(
    folded: str,
    host: hosts.Host | None,
    known: dict[int, queues.Queue],
    serving: dict[int, list[int]],
) -> Capacity:
    if host is None:
        return Capacity(folded, workers=0, worker_slots=0, throttle=None)
    slots = serving.get(host.queue_id, [])
    return Capacity(
        host.name,
        workers=len(slots),
        worker_slots=sum(slots),
        throttle=known[host.queue_id].concurrency_max,
    )

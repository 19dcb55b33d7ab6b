"""Hosts: where steps run. Each is a queue of the engine; `longshore worker --host` serves it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from longshore.engine import queues
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.scripts import HELD, SURFACE
from longshore.surfaces.scripts.definition.model import Name
from longshore.surfaces.scripts.tables import scripts_hosts

BACKOFF_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host and its two queues: that of ready steps, and that of ready steps on hold."""

    organisation_id: str
    folded: str
    name: str
    queue_id: int
    held_queue_id: int
    created_us: int
    created_by: str


def fold(name: str) -> str:
    """Return what names of hosts, workflows, steps, areas and events are compared by."""
    return name.casefold()


def ensure(connection: Connection, organisation_id: str, name: str, *, actor: str) -> Host:
    """Return the host of that name, made if it is not there.

    Raises:
        InvalidRequest: the name cannot be one.
    """
    check_name("host", name)
    found = find(connection, organisation_id, name)
    if found is not None:
        return found
    folded = fold(name)
    queue_ids = [
        # Every end of an attempt is told: steps of lost workers are followed by it.
        queues.ensure(
            connection,
            organisation_id=organisation_id,
            surface=surface,
            name=folded,
            attempts_max=1,
            backoff_s=BACKOFF_S,
            notices=surface == SURFACE,
            successes_told=False,
        )
        for surface in (SURFACE, HELD)
    ]
    try:
        with connection.begin_nested():
            connection.execute(
                insert(scripts_hosts).values(
                    organisation_id=organisation_id,
                    folded=folded,
                    name=name,
                    queue_id=queue_ids[0],
                    held_queue_id=queue_ids[1],
                    created_us=now_us(connection),
                    created_by=actor,
                )
            )
    except IntegrityError:
        # Another server made it between our look and our insert.
        if find(connection, organisation_id, name) is None:
            raise
    return get(connection, organisation_id, name)


def get(connection: Connection, organisation_id: str, name: str) -> Host:
    """Return a host; NotFound if the organisation has none of that name."""
    found = find(connection, organisation_id, name)
    if found is None:
        raise NotFound(
            f"There is no host {name!r}. List the hosts with `longshore workflow hosts`; a worker "
            "that starts with --host makes its own."
        )
    return found


def find(connection: Connection, organisation_id: str, name: str) -> Host | None:
    """Return the host of that name, whatever its case, or None."""
    row = connection.execute(
        select(scripts_hosts).where(
            scripts_hosts.c.organisation_id == organisation_id,
            scripts_hosts.c.folded == fold(name),
        )
    ).one_or_none()
    return None if row is None else _host(row)


def listing(connection: Connection, organisation_id: str) -> list[Host]:
    """Return the organisation's hosts by name."""
    rows = connection.execute(
        select(scripts_hosts)
        .where(scripts_hosts.c.organisation_id == organisation_id)
        .order_by(scripts_hosts.c.folded)
    )
    return [_host(row) for row in rows]


def of_queues(connection: Connection, queue_ids: Collection[int]) -> dict[int, Host]:
    """Return hosts by the ids of their queues, both kinds of them."""
    ids = sorted(queue_ids)
    rows = connection.execute(
        select(scripts_hosts).where(
            scripts_hosts.c.queue_id.in_(ids) | scripts_hosts.c.held_queue_id.in_(ids)
        )
    )
    made = [_host(row) for row in rows]
    return {each.queue_id: each for each in made} | {each.held_queue_id: each for each in made}


def check_name(what: str, name: str) -> None:
    """Raise InvalidRequest unless `name` can be the name of a `what`."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            f"{name[:200]!a} cannot be the name of a {what}: it must begin with a letter or a digit "
            "and may have 64 letters, digits, dots, hyphens and underscores."
        ) from error


def _host(row: Any) -> Host:
    return Host(**row._asdict())

"""What a server needs before it can be used: an organisation, a workspace and two keys.

The keys belong to a data directory, whose credentials file keeps their tokens. A data directory
without working keys gets new ones: on the first start, on the first start of a further server on
the same database, and after a crash between making the keys and writing the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from longshore.access import keys, organisations, workspaces
from longshore.access.organisations import Organisation
from longshore.access.roles import Role
from longshore.errors import Unauthenticated

ADMIN_KEY: Final = "admin key of the data directory"
WORKER_KEY: Final = "worker beside the server"


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The tokens that the data directory is to keep, and the organisation that they open."""

    organisation: Organisation
    token: str = field(repr=False)
    worker_token: str = field(repr=False)
    made: bool
    """Whether any of the tokens is new, so that the file has to be written."""


def first_start(
    connection: Connection, token: str | None = None, worker_token: str | None = None
) -> FirstKeys:
    """Make organisation `local`, its workspace, and keys in place of tokens that do not work."""
    organisation = organisations.ensure_first(connection)
    workspaces.ensure(connection, organisation.id, workspaces.FIRST_WORKSPACE)
    kept = token if _works(connection, token) else None
    kept_worker = worker_token if _works(connection, worker_token) else None
    return FirstKeys(
        organisation,
        kept or keys.create(connection, organisation.id, name=ADMIN_KEY, role=Role.ADMIN)[1],
        kept_worker
        or keys.create(connection, organisation.id, name=WORKER_KEY, role=Role.WORKER)[1],
        made=kept is None or kept_worker is None,
    )


def _works(connection: Connection, token: str | None) -> bool:
    if not token:
        return False
    try:
        keys.authenticate(connection, token)
    except Unauthenticated:
        return False
    return True

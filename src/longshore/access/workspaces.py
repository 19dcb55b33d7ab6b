"""Workspaces: named rooms inside an organisation that batches and runs belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from longshore import ids
from longshore.access.names import checked_name
from longshore.access.tables import workspaces
from longshore.errors import NotFound
from longshore.storage import now_us

FIRST_WORKSPACE: Final = "personal"
"""Made with the first organisation; what a request means that names no workspace."""


@dataclass(frozen=True, slots=True)
class Workspace:
    id: str
    organisation_id: str
    name: str
    created_us: int


def ensure(connection: Connection, organisation_id: str, name: str) -> Workspace:
    """Return the workspace of that name (in any case), made if there is none.

    Raises:
        InvalidRequest: the name is empty, too long or holds control characters.
    """
    found = _find(connection, organisation_id, name)
    if found is not None:
        return found
    name = checked_name(name, "workspace")
    made = Workspace(ids.new(ids.WORKSPACE), organisation_id, name, now_us(connection))
    connection.execute(
        insert(workspaces).values(
            id=made.id,
            organisation_id=organisation_id,
            name=name,
            folded=name.casefold(),
            created_us=made.created_us,
        )
    )
    return made


def named(connection: Connection, organisation_id: str, name: str) -> Workspace:
    """Return the workspace of that name (in any case) or raise NotFound, listing those there are."""
    found = _find(connection, organisation_id, name)
    if found is None:
        names = [workspace.name for workspace in listing(connection, organisation_id)]
        raise NotFound(
            f"There is no workspace {name[:80]!r}. Use one of: {', '.join(names) or 'none yet'}.",
            details={"workspaces": names},
        )
    return found


def listing(connection: Connection, organisation_id: str) -> list[Workspace]:
    """Return the workspaces of an organisation, oldest first."""
    rows = connection.execute(
        select(workspaces)
        .where(workspaces.c.organisation_id == organisation_id)
        .order_by(workspaces.c.id)
    )
    return [_workspace(row) for row in rows]


def _find(connection: Connection, organisation_id: str, name: str) -> Workspace | None:
    row = connection.execute(
        select(workspaces).where(
            workspaces.c.organisation_id == organisation_id,
            workspaces.c.folded == name.strip().casefold(),
        )
    ).one_or_none()
    return None if row is None else _workspace(row)


def _workspace(row: Row[Any]) -> Workspace:
    return Workspace(row.id, row.organisation_id, row.name, row.created_us)

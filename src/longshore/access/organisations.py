"""Organisations: the border that nothing crosses. Every key belongs to exactly one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from longshore import ids
from longshore.access.tables import organisations
from longshore.storage import now_us

FIRST_ORGANISATION: Final = "local"


@dataclass(frozen=True, slots=True)
class Organisation:
    id: str
    name: str
    created_us: int


def ensure_first(connection: Connection) -> Organisation:
    """Return the organisation `local`, made on the first start."""
    return ensure(connection, FIRST_ORGANISATION)


def ensure(connection: Connection, name: str) -> Organisation:
    """Return the organisation of that name (in any case), made if there is none."""
    row = connection.execute(
        select(organisations).where(organisations.c.folded == name.casefold())
    ).one_or_none()
    if row is not None:
        return _organisation(row)
    made = Organisation(ids.new(ids.ORGANISATION), name, now_us(connection))
    connection.execute(
        insert(organisations).values(
            id=made.id, name=name, folded=name.casefold(), created_us=made.created_us
        )
    )
    return made


def listing(connection: Connection) -> list[Organisation]:
    """Return all organisations, oldest first."""
    rows = connection.execute(select(organisations).order_by(organisations.c.id))
    return [_organisation(row) for row in rows]


def _organisation(row: Row[Any]) -> Organisation:
    return Organisation(row.id, row.name, row.created_us)

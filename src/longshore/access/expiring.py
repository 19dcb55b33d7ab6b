"""Keys that are about to expire, and what keys are called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, select

from longshore.access.tables import api_keys
from longshore.clock import to_us
from longshore.storage import now_us


@dataclass(frozen=True, slots=True)
class ExpiringKey:
    """A key that is valid still and will not be for long."""

    id: str
    name: str
    role: str
    expires_us: int


def expiring(
    connection: Connection, organisation_id: str, *, within_s: float, limit: int
) -> list[ExpiringKey]:
    """Return keys that expire within `within_s` seconds, the next to do so first."""
    at_us = now_us(connection)
    rows = connection.execute(
        select(api_keys.c.id, api_keys.c.name, api_keys.c.role, api_keys.c.expires_us)
        .where(
            api_keys.c.organisation_id == organisation_id,
            api_keys.c.revoked_us.is_(None),
            api_keys.c.expires_us > at_us,
            api_keys.c.expires_us <= at_us + to_us(within_s),
        )
        .order_by(api_keys.c.expires_us, api_keys.c.id)
        .limit(limit)
    )
    return [ExpiringKey(*row) for row in rows]


def names(connection: Connection, organisation_id: str, key_ids: Collection[str]) -> dict[str, str]:
    """Return the names of those of the keys that the organisation has."""
    rows = connection.execute(
        select(api_keys.c.id, api_keys.c.name).where(
            api_keys.c.organisation_id == organisation_id, api_keys.c.id.in_(key_ids)
        )
    )
    return {row.id: row.name for row in rows}

"""The audit log: who changed what, when, and in which request. Nothing edits or removes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from longshore import limits
from longshore.access.roles import Principal
from longshore.access.tables import audit
from longshore.storage import mark, now_us


@dataclass(frozen=True, slots=True)
class Entry:
    id: int
    at_us: int
    key_id: str
    key_name: str
    action: str
    """What was done, such as "runs.delete"."""
    target: str
    """Id of what it was done to."""
    detail: dict[str, Any] | None
    request_id: str | None


def record(
    connection: Connection,
    principal: Principal,
    *,
    action: str,
    target: str,
    detail: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> None:
    """Write down a change, in the transaction of the change itself.

    So each change that is written down is also a point at which a test may kill the server.
    """
    mark(connection, action)
    connection.execute(
        insert(audit).values(
            organisation_id=principal.organisation_id,
            at_us=now_us(connection),
            key_id=principal.key_id,
            key_name=principal.key_name,
            action=action,
            target=target,
            detail=None if detail is None else json.dumps(detail),
            request_id=request_id,
        )
    )


def listing(
    connection: Connection,
    organisation_id: str,
    *,
    before: int | None = None,
    limit: int = 100,
    action: str | None = None,
    target: str | None = None,
    key_id: str | None = None,
) -> list[Entry]:
    """Return entries, newest first; `before` is the id of the last entry of the previous page."""
    query = select(audit).where(audit.c.organisation_id == organisation_id)
    if before is not None:
        query = query.where(audit.c.id < before)
    if action is not None:
        query = query.where(audit.c.action == action)
    if target is not None:
        query = query.where(audit.c.target == target)
    if key_id is not None:
        query = query.where(audit.c.key_id == key_id)
    query = query.order_by(audit.c.id.desc()).limit(min(limit, limits.PAGE_ROWS))
    return [_entry(row) for row in connection.execute(query)]


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        at_us=row.at_us,
        key_id=row.key_id,
        key_name=row.key_name,
        action=row.action,
        target=row.target,
        detail=None if row.detail is None else json.loads(row.detail),
        request_id=row.request_id,
    )

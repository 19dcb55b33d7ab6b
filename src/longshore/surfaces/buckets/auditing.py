"""The audit of buckets: the passes of the janitor, on call and with counts.

The server does all of this by itself, a little later. Whoever calls first gets the count.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Connection, and_, cast, func, or_, select

from longshore.clock import to_us
from longshore.engine import works
from longshore.engine.choosing import constant
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.errors import InvalidRequest
from longshore.limits import AUDIT_WORKS, PAUSE_MAX_S
from longshore.storage import now_us
from longshore.surfaces.buckets import documents, query
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.withdrawing import GRACE_S

DAY_S: Final = 86_400.0


def failed(connection: Connection, organisation_id: str, *, actor: str) -> int:
    """Queue the failed works that have attempts left, whenever they would be due; return how many."""
    chosen = (
        select(works_table.c.id)
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
        .where(
            queues_table.c.organisation_id == organisation_id,
            queues_table.c.surface == SURFACE,
            works_table.c.retry_us.is_not(None),
        )
        .order_by(works_table.c.retry_us)
        .limit(AUDIT_WORKS)
    )
    work_ids = list(connection.execute(chosen).scalars())
    return works.retry_given(connection, work_ids, actor=actor) if work_ids else 0


def expired(connection: Connection, organisation_id: str, *, actor: str) -> int:
    """Fail the running works whose time limit is over; return how many.

    A work whose holder renews its lease is left alone: it is alive, and stops by itself.
    """
    at_us = now_us(connection)
    limit_us = cast(works_table.c.timeout_s * 1_000_000, BigInteger)
    chosen = (
        select(works_table.c.id)
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
        .where(
            queues_table.c.organisation_id == organisation_id,
            queues_table.c.surface == SURFACE,
            works_table.c.state == constant("running"),
            or_(
                works_table.c.lease_until_us < at_us,
                # A lease of exactly this length was given to a client that cannot renew.
                and_(
                    works_table.c.started_us + limit_us < at_us,
                    works_table.c.lease_until_us
                    == works_table.c.started_us + limit_us + to_us(GRACE_S),
                ),
            ),
        )
        .limit(AUDIT_WORKS)
    )
    work_ids = list(connection.execute(chosen).scalars())
    return works.expire_given(connection, work_ids, actor=actor) if work_ids else 0


def stale(connection: Connection, organisation_id: str, days: float) -> int:
    """Count the works whose `creation` is more than `days` ago; nothing is changed.

    Raises:
        InvalidRequest: `days` is no length of time.
    """
    if not 0 <= days * DAY_S <= PAUSE_MAX_S:
        raise InvalidRequest(f"days is {days}; give 0 to {PAUSE_MAX_S / DAY_S:.0f}.")
    before_s = now_us(connection) / 1_000_000 - days * DAY_S
    where = query.parse({"creation": {"$lt": before_s}})
    statement = (
        documents.selected()
        .where(
            queues_table.c.organisation_id == organisation_id,
            queues_table.c.surface == SURFACE,
            query.condition(where, documents.fields(), connection.dialect.name),
        )
        .subquery()
    )
    return connection.execute(select(func.count()).select_from(statement)).scalar_one()

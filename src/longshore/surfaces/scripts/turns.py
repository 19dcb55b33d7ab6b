"""Whose turn it is: which runs of an event may start, by its parallel limit and stop on error."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, update

from longshore.storage import now_us
from longshore.surfaces.scripts.tables import scripts_event_names, scripts_runs

_EACH_TIME = 100


def pick(connection: Connection, organisation_id: str, event_folded: str) -> list[int]:
    """Let pending runs of an event begin, the oldest first; return the ids of those that do.

    They still have to be advanced. An event that no workflow wants any more has one run at a time.
    """
    table = scripts_event_names
    # Two that look at the same time must not both take the last place.
    limits = connection.execute(
        select(table.c.parallel, table.c.stop_on_error)
        .where(table.c.organisation_id == organisation_id, table.c.folded == event_folded)
        .with_for_update()
    ).one_or_none()
    parallel, stop_on_error = (1, False) if limits is None else tuple(limits)
    of_event = and_(
        scripts_runs.c.organisation_id == organisation_id,
        scripts_runs.c.event_folded == event_folded,
    )
    if stop_on_error and blocking(connection, organisation_id, event_folded) is not None:
        return []
    free = min(parallel - connection.execute(_running(of_event)).scalar_one(), _EACH_TIME)
    if free <= 0:
        return []
    pending = (
        select(scripts_runs.c.id)
        .where(of_event, scripts_runs.c.state == "pending", scripts_runs.c.held_us.is_(None))
        .order_by(scripts_runs.c.id)
        .limit(free)
        # One that is being changed at this moment is looked at again when that is done.
        .with_for_update(skip_locked=True)
    )
    chosen = list(connection.execute(pending).scalars())
    if chosen:
        connection.execute(
            update(scripts_runs)
            .where(scripts_runs.c.id.in_(chosen))
            .values(state="running", started_us=now_us(connection))
        )
    return chosen


def blocking(connection: Connection, organisation_id: str, event_folded: str) -> int | None:
    """Return the failed run that keeps others of an event with stop on error from starting."""
    return connection.execute(
        select(scripts_runs.c.id)
        .where(
            scripts_runs.c.organisation_id == organisation_id,
            scripts_runs.c.event_folded == event_folded,
            scripts_runs.c.state == "failed",
        )
        .order_by(scripts_runs.c.id)
        .limit(1)
    ).scalar()


def pending_events(connection: Connection, limit: int = 200) -> list[tuple[str, str]]:
    """Return (organisation, event) of which runs are pending."""
    rows = connection.execute(
        select(scripts_runs.c.organisation_id, scripts_runs.c.event_folded)
        .where(
            scripts_runs.c.finished_us.is_(None),
            scripts_runs.c.state == "pending",
            scripts_runs.c.event_folded.is_not(None),
        )
        .distinct()
        .limit(limit)
    )
    return [(row.organisation_id, row.event_folded) for row in rows]


def _running(of_event: ColumnElement[bool]) -> Select[int]:
    # A cancelled run keeps its place until its last process has stopped.
    return (
        select(func.count())
        .select_from(scripts_runs)
        .where(
            of_event,
            scripts_runs.c.state.in_(["running", "cancelled"]),
            scripts_runs.c.finished_us.is_(None),
        )
    )

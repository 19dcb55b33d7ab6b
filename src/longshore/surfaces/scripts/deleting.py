"""Deleting runs that are over, with all that their steps stored and printed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, delete, select

from longshore.engine import logs, works
from longshore.errors import Conflict
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.tables import (
    scripts_attempts,
    scripts_codes,
    scripts_events,
    scripts_inputs,
    scripts_key_holders,
    scripts_payload_values,
    scripts_payloads,
    scripts_runs,
    scripts_step_works,
    scripts_steps,
    scripts_waits,
)

LOG_LINES: Final = 5_000
"""Log lines that one transaction deletes."""
_BY_RUN: Final = (
    scripts_payload_values,
    scripts_payloads,
    scripts_waits,
    scripts_key_holders,
    scripts_inputs,
    scripts_steps,
    scripts_step_works,
)


def delete_some(connection: Connection, organisation_id: str, run_id: int) -> bool:
    """Delete some of a run that is over; return whether anything of it is left.

    Its log lines go first, some at a time; then all the rest at once. An event with an idempotency
    key stays, so that the key starts no second run.

    Raises:
        NotFound: the organisation has no such run.
        Conflict: the run is not over.
    """
    boards.lock_all(connection, [run_id])
    run = boards.get(connection, organisation_id, run_id)
    if run.finished_us is None:
        raise Conflict(
            f"Run {run.id} is {run.state} and not over, so it cannot be deleted. Wait for its "
            "end, or cancel it first."
        )
    work_ids = list(
        connection.execute(
            select(scripts_step_works.c.work_id).where(scripts_step_works.c.run_id == run.id)
        ).scalars()
    )
    if work_ids and logs.forget(connection, work_ids, limit=LOG_LINES) == LOG_LINES:
        return True
    works.forget(connection, group_id=run.group_id)
    for table in (scripts_attempts, scripts_codes):
        connection.execute(delete(table).where(table.c.work_id.in_(work_ids)))
    for table in _BY_RUN:
        connection.execute(delete(table).where(table.c.run_id == run.id))
    connection.execute(
        delete(scripts_events).where(
            scripts_events.c.id == run.event_id, scripts_events.c.idempotency_key.is_(None)
        )
    )
    connection.execute(delete(scripts_runs).where(scripts_runs.c.id == run.id))
    return False

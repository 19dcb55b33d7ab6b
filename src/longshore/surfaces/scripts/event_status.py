"""How far a run is, in the form in which programs that send events ask for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from longshore.clock import iso
from longshore.surfaces.scripts import viewing
from longshore.surfaces.scripts.tables import scripts_attempts, scripts_events


def of_run(connection: Connection, organisation_id: str, run_id: int) -> dict[str, Any]:
    """Return the state of a run and of its steps.

    Raises:
        NotFound: the organisation has no such run.
    """
    seen = viewing.see(connection, organisation_id, run_id)
    run = seen.run
    event = connection.scalar(
        select(scripts_events.c.name).where(scripts_events.c.id == run.event_id)
    )
    exit_codes = _exit_codes(connection, [step.id for step in seen.steps.values()])
    return {
        "actionId": run.id,
        "eventId": run.event_id,
        "eventName": event,
        "status": run.state,
        "why": viewing.why_run(connection, seen),
        "createdAt": iso(run.created_us),
        "startedAt": iso(run.started_us),
        "finishedAt": iso(run.finished_us),
        "workflow": run.workflow,
        "version": run.version,
        "businessDate": run.business_date,
        "steps": [
            {
                "stepname": step.name,
                "status": seen.status(step),
                "why": viewing.why_step(seen, step),
                "area": step.area,
                "host": step.host,
                "startedAt": iso(step.started_us),
                "finishedAt": iso(step.finished_us),
                "exitCode": exit_codes.get(step.id),
            }
            for step in seen.steps.values()
        ],
    }


def _exit_codes(connection: Connection, step_ids: list[str]) -> dict[str, int | None]:
    """Return the exit codes of the latest attempts of steps, by the steps' ids."""
    rows = connection.execute(
        select(scripts_attempts.c.step_id, scripts_attempts.c.exit_code)
        .where(scripts_attempts.c.step_id.in_(step_ids))
        .order_by(scripts_attempts.c.work_id, scripts_attempts.c.attempt)
    )
    return {row.step_id: row.exit_code for row in rows}

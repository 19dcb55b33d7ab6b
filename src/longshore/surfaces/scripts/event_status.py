"""How far a run is, in the form in which programs that send events ask for it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from longshore.clock import iso
from longshore.engine import works
from longshore.engine.states import State
from longshore.surfaces.scripts import board, holds
from longshore.surfaces.scripts.board import Run, RunStep
from longshore.surfaces.scripts.tables import scripts_attempts, scripts_events


def of_run(connection: Connection, organisation_id: str, run_id: int) -> dict[str, Any]:
    """Return the state of a run and of its steps.

    Raises:
        NotFound: the organisation has no such run.
    """
    run = board.get(connection, organisation_id, run_id)
    steps = board.steps_of(connection, run.id)
    by_id = {step.id: step for step in steps}
    known = works.get_many(connection, [step.work_id for step in steps if step.work_id])
    codes = _exit_codes(connection, steps)
    event = connection.scalar(
        select(scripts_events.c.name).where(scripts_events.c.id == run.event_id)
    )
    return {
        "actionId": run.id,
        "eventId": run.event_id,
        "eventName": event,
        "status": run.state,
        "createdAt": iso(run.created_us),
        "startedAt": iso(run.started_us),
        "finishedAt": iso(run.finished_us),
        "workflow": run.workflow,
        "version": run.version,
        "businessDate": run.business_date,
        "steps": [
            {
                "stepname": step.name,
                "status": _word(run, step, by_id.get(step.parent_id or ""), known),
                "host": step.host,
                "area": step.area,
                "startedAt": iso(step.started_us),
                "finishedAt": iso(step.finished_us),
                "exitCode": codes.get(step.id),
            }
            for step in steps
        ],
    }


def _word(run: Run, step: RunStep, parent: RunStep | None, known: dict[str, works.Work]) -> str:
    """Return the contract's word for the state of a step."""
    if step.settled:
        return step.state
    work = known.get(step.work_id or "") if step.state == "active" else None
    if (work is not None and work.state is State.RUNNING) or (
        step.state == "active" and step.kind == "matrix"
    ):
        return "running"
    if holds.of_step(run, step, parent) is not None:
        return "hold"
    return "ready" if work is not None and work.state is State.QUEUED else "waiting"


def _exit_codes(connection: Connection, steps: list[RunStep]) -> dict[str, int | None]:
    """Return the exit codes of the latest attempts of steps, by the steps' ids."""
    rows = connection.execute(
        select(scripts_attempts.c.step_id, scripts_attempts.c.exit_code)
        .where(scripts_attempts.c.work_id.in_([step.work_id for step in steps if step.work_id]))
        .order_by(scripts_attempts.c.work_id, scripts_attempts.c.attempt)
    )
    return {row.step_id: row.exit_code for row in rows}

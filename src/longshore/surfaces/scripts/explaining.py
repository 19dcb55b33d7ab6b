"""Why a step or a run is where it is, with what the engine knows of the step's work."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, select

from longshore.engine import insights
from longshore.surfaces.scripts import viewing
from longshore.surfaces.scripts.board import RunStep
from longshore.surfaces.scripts.tables import scripts_step_works, scripts_steps
from longshore.surfaces.scripts.viewing import Seen

_LISTED: Final = 20


def step(
    connection: Connection, organisation_id: str, run_id: int | str, name: str
) -> dict[str, Any]:
    """Say why a step is where it is, in a sentence and by facts.

    Raises:
        NotFound: there is no such run or step.
    """
    seen = viewing.see(connection, organisation_id, run_id)
    return _step(connection, seen, viewing.named(seen, name))


def run(connection: Connection, organisation_id: str, run_id: int | str) -> dict[str, Any]:
    """Say why a run is where it is, and each of its steps that is neither finished nor skipped.

    Raises:
        NotFound: there is no such run.
    """
    seen = viewing.see(connection, organisation_id, run_id)
    left = [each for each in seen.own() if each.state not in ("finished", "skipped")]
    lines = [f"run {seen.run.id} of {seen.run.workflow}, {seen.run.state}: "]
    lines[0] += viewing.why_run(connection, seen)
    lines += [f"  {each.name}: {_text(connection, seen, each)}" for each in left[:_LISTED]]
    if len(left) > _LISTED:
        lines.append(f"  and {len(left) - _LISTED} more steps")
    return {
        "run_id": seen.run.id,
        "state": seen.run.state,
        "text": "\n".join(lines),
        "facts": {each.name: seen.status(each) for each in left},
    }


def work(connection: Connection, organisation_id: str, work_id: str) -> dict[str, Any] | None:
    """Say why the step is where it is that a work is of; None where the work is of none now."""
    row = connection.execute(
        select(scripts_step_works.c.run_id, scripts_steps.c.name, scripts_steps.c.work_id)
        .join(scripts_steps, scripts_steps.c.id == scripts_step_works.c.step_id)
        .where(
            scripts_step_works.c.work_id == work_id,
            scripts_step_works.c.organisation_id == organisation_id,
        )
    ).one_or_none()
    if row is None:
        return None
    told = step(connection, organisation_id, row.run_id, row.name)
    if row.work_id != work_id:
        earlier = insights.why(connection, work_id).text
        told["text"] = f"{earlier}\nAn earlier work of a step that has another now: {told['text']}"
    return told


def _step(connection: Connection, seen: Seen, found: RunStep) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "run_id": seen.run.id,
        "step": found.name,
        "workflow": seen.run.workflow,
        "host": found.host,
        "area": found.area,
        "work_id": found.work_id,
    }
    if found.work_id in seen.works and found.work_id is not None:
        facts |= insights.why(connection, found.work_id).facts
    status = seen.status(found)
    return {
        "run_id": seen.run.id,
        "step": found.name,
        "state": status,
        "text": f"{found.name} of run {seen.run.id}, {_text(connection, seen, found)}",
        "facts": facts,
    }


def _text(connection: Connection, seen: Seen, found: RunStep) -> str:
    status, why = seen.status(found), viewing.why_step(seen, found)
    text = f"{status}: {why}"
    if status in ("ready", "running") and found.work_id in seen.works and found.work_id is not None:
        # What the engine says begins with its own word for the state.
        text += f"; {insights.why(connection, found.work_id).text.partition(': ')[2]}"
    return text

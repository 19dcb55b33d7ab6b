"""What the end of an attempt means: whether the step has retries of its own left, and when.

Attempts that were lost with their worker, or handed back, are the platform's affair and cost
none of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from longshore.engine import works
from longshore.engine.works import Ending, Outcome
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts import workflows
from longshore.surfaces.scripts.definition.model import Retries, Step
from longshore.surfaces.scripts.tables import (
    scripts_attempts,
    scripts_runs,
    scripts_step_works,
    scripts_steps,
)

CHARGED: Final = (Outcome.FAILURE, Outcome.TIMED_OUT)
"""Outcomes that use up one of a step's retries."""
OUTCOME: Final = "outcome"
"""Where the error of an attempt says what its worker reported, when it was the last one."""


def judged(connection: Connection, endings: Sequence[Ending]) -> Sequence[Ending]:
    """Return endings as the engine is to see them: the last failure of a step is for good.

    The runs are locked from here on, before any work is: whoever changes a run does it in this
    order.
    """
    rows = connection.execute(
        select(
            scripts_step_works.c.work_id,
            scripts_steps.c.run_id,
            scripts_steps.c.definition,
            scripts_runs.c.workflow_id,
            scripts_runs.c.version,
        )
        .join(scripts_steps, scripts_steps.c.id == scripts_step_works.c.step_id)
        .join(scripts_runs, scripts_runs.c.id == scripts_steps.c.run_id)
        .where(scripts_step_works.c.work_id.in_([ending.work_id for ending in endings]))
    )
    known = {row.work_id: row for row in rows}
    boards.lock_all(connection, {row.run_id for row in known.values()})
    charged = [each for each in endings if each.outcome in CHARGED and each.work_id in known]
    if not charged:
        return endings
    spent = _spent(connection, [each.work_id for each in charged])
    steps = {
        work_id: workflows.document(connection, row.workflow_id, row.version).steps[row.definition]
        for work_id, row in known.items()
    }
    return [
        _judge(connection, ending, steps[ending.work_id], spent.get(ending.work_id, 0))
        if ending.outcome in CHARGED and ending.work_id in known
        else ending
        for ending in endings
    ]


def delay_s(retries: Retries, failures: int) -> float:
    """Return the pause before the next attempt after so many failures, in seconds."""
    # Past any longest pause, the power would only grow.
    return min(retries.delay_s * retries.factor ** min(failures - 1, 64), retries.delay_max_s)


def error_of(ending: Ending) -> dict[str, Any]:
    """Return with what an attempt failed, or an empty object."""
    if ending.error is None:
        return {}
    try:
        found = msgspec.json.decode(ending.error)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _judge(connection: Connection, ending: Ending, step: Step, spent: int) -> Ending:
    if spent >= step.retries.attempts:
        told = {**error_of(ending), OUTCOME: ending.outcome.value}
        return replace(ending, outcome=Outcome.REJECTED, error=json.dumps(told).encode())
    if step.on_lost_worker == "fail":
        # It had one attempt, so that the loss of its worker is its end; this failure buys another.
        works.amend(
            connection,
            [works.Amendment(work_id=ending.work_id, attempts_max=ending.attempt + 1)],
        )
    return replace(ending, retry_delay_s=delay_s(step.retries, spent + 1))


def _spent(connection: Connection, work_ids: Sequence[str]) -> dict[str, int]:
    table = scripts_attempts
    rows = connection.execute(
        select(table.c.work_id, func.count())
        .where(table.c.work_id.in_(work_ids), table.c.outcome.in_([each.value for each in CHARGED]))
        .group_by(table.c.work_id)
    )
    return dict(rows.all())

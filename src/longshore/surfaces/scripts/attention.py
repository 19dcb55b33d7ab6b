"""Runs that failed and instants of schedules that were missed: what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from longshore.clock import to_us
from longshore.storage import now_us
from longshore.surfaces.scripts.tables import scripts_firings, scripts_runs, scripts_schedules
from longshore.surfaces.scripts.tables import scripts_workflows as workflows

FAILED_S: Final = 7 * 86_400.0
"""A run that failed longer ago is history, in seconds."""
MISSED_S: Final = 86_400.0
"""An instant that was missed longer ago is history, in seconds."""
LOOKED_THROUGH: Final = 2_000
"""So many of the newest runs are looked through."""


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A run of a workflow that failed and was not rerun since."""

    run_id: int
    workflow: str
    trigger: str
    business_date: str
    finished_us: int


@dataclass(frozen=True, slots=True)
class Missed:
    """Instants of the schedules of a workflow that no run was started for."""

    workflow_id: str
    workflow: str
    count: int
    last_us: int


def failed_runs(connection: Connection, organisation_id: str, *, limit: int) -> list[FailedRun]:
    """Return runs that failed lately, the newest first."""
    own = scripts_runs.c.organisation_id == organisation_id
    oldest = (
        select(scripts_runs.c.id)
        .where(own)
        .order_by(scripts_runs.c.id.desc())
        .limit(1)
        .offset(LOOKED_THROUGH)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            scripts_runs.c.id,
            workflows.c.name,
            scripts_runs.c.trigger,
            scripts_runs.c.business_date,
            scripts_runs.c.finished_us,
        )
        .join(workflows, workflows.c.id == scripts_runs.c.workflow_id)
        .where(
            own,
            scripts_runs.c.id > func.coalesce(oldest, 0),
            scripts_runs.c.state == "failed",
            scripts_runs.c.finished_us > now_us(connection) - to_us(FAILED_S),
        )
        .order_by(scripts_runs.c.id.desc())
        .limit(limit)
    )
    return [FailedRun(*row) for row in rows]


def missed(connection: Connection, organisation_id: str, *, limit: int) -> list[Missed]:
    """Return workflows of which instants were missed lately, the newest first."""
    last = func.max(scripts_firings.c.instant_us)
    rows = connection.execute(
        select(workflows.c.id, workflows.c.name, func.count(), last)
        .select_from(scripts_schedules)
        .join(scripts_firings, scripts_firings.c.schedule_id == scripts_schedules.c.id)
        .join(workflows, workflows.c.id == scripts_schedules.c.workflow_id)
        .where(
            scripts_schedules.c.organisation_id == organisation_id,
            scripts_firings.c.instant_us > now_us(connection) - to_us(MISSED_S),
            scripts_firings.c.state == "missed",
        )
        .group_by(workflows.c.id, workflows.c.name)
        .order_by(last.desc())
        .limit(limit)
    )
    return [Missed(*row) for row in rows]

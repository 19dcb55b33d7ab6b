"""Workflows as a list for people: how the last runs of each went, and when it is due next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from sqlalchemy import Connection, func, select

from longshore.clock import SECOND_US
from longshore.surfaces.scripts import workflows
from longshore.surfaces.scripts.definition.rendering import started_by
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_runs,
    scripts_schedules,
    scripts_workflows,
)
from longshore.surfaces.scripts.workflows import Workflow

LAST_RUNS: Final = 20
"""So many of the last runs of a workflow are looked at."""


@dataclass(frozen=True, slots=True)
class Brief:
    """A run, in brief; times in microseconds UTC."""

    id: int
    state: str
    business_date: str
    created_us: int
    started_us: int | None
    finished_us: int | None

    @property
    def took_s(self) -> float | None:
        """Seconds from its start to its end."""
        if self.started_us is None or self.finished_us is None:
            return None
        return max(self.finished_us - self.started_us, 0) / SECOND_US


@dataclass(frozen=True, slots=True)
class Listed:
    """A workflow with its last runs, the newest first.

    Attributes:
        starts: what starts it besides people, a line for each.
        next_us: when a schedule of it is due next, or None.
    """

    workflow: Workflow
    description: str
    steps: int
    starts: list[str]
    next_us: int | None
    runs: list[Brief]

    @property
    def success_rate(self) -> float | None:
        """Which part of its last runs that ended by themselves has finished, 0 to 1."""
        ended = [run.state for run in self.runs if run.state in ("finished", "failed")]
        return ended.count("finished") / len(ended) if ended else None

    @property
    def took_s(self) -> float | None:
        """Median of the seconds that its last finished runs took."""
        took = [run.took_s for run in self.runs if run.state == "finished"]
        known = [each for each in took if each is not None]
        return median(known) if known else None


def listing(
    connection: Connection,
    organisation_id: str,
    *,
    text: str = "",
    after: str = "",
    held: bool = False,
    limit: int,
) -> list[Listed]:
    """Return workflows by name, from the one behind the folded name `after`.

    Args:
        connection: the transaction.
        organisation_id: whose.
        text: a part of the name, in any case.
        after: folded name of the last one of the page before.
        held: only those that are on hold.
        limit: most of them.
    """
    table = scripts_workflows
    query = select(table).where(
        table.c.organisation_id == organisation_id, table.c.retired_us.is_(None)
    )
    if text:
        query = query.where(table.c.folded.contains(fold(text), autoescape=True))
    if after:
        query = query.where(table.c.folded > after)
    if held:
        query = query.where(table.c.held_us.is_not(None))
    rows = connection.execute(query.order_by(table.c.folded).limit(limit))
    return of_workflows(connection, [Workflow(**row._asdict()) for row in rows])


def of_workflows(connection: Connection, chosen: Sequence[Workflow]) -> list[Listed]:
    """Return workflows with their last runs."""
    following = _next(connection, [each.id for each in chosen])
    return [_listed(connection, each, following.get(each.id)) for each in chosen]


def last_runs(connection: Connection, workflow_id: str, *, limit: int) -> list[Brief]:
    """Return the last runs of a workflow, the newest first."""
    rows = connection.execute(
        select(*[scripts_runs.c[name] for name in Brief.__dataclass_fields__])
        .where(scripts_runs.c.workflow_id == workflow_id)
        .order_by(scripts_runs.c.id.desc())
        .limit(limit)
    )
    return [Brief(**row._asdict()) for row in rows]


def _listed(connection: Connection, workflow: Workflow, next_us: int | None) -> Listed:
    definition = workflows.document(connection, workflow.id, workflow.version)
    return Listed(
        workflow=workflow,
        description=definition.description,
        steps=len(definition.steps),
        starts=list(started_by(definition.triggers)),
        next_us=next_us,
        runs=last_runs(connection, workflow.id, limit=LAST_RUNS),
    )


def _next(connection: Connection, workflow_ids: Sequence[str]) -> dict[str, int]:
    rows = connection.execute(
        select(scripts_schedules.c.workflow_id, func.min(scripts_schedules.c.next_us).label("at"))
        .where(
            scripts_schedules.c.workflow_id.in_(workflow_ids),
            scripts_schedules.c.next_us.is_not(None),
        )
        .group_by(scripts_schedules.c.workflow_id)
    )
    return {row.workflow_id: row.at for row in rows}

"""Backfill: one run of a workflow for each date of a range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, select

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge
from longshore.surfaces.scripts import calendars, starting, workflows
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.tables import scripts_runs
from longshore.surfaces.scripts.workflows import Workflow


class Backfill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dates to start runs for.

    Attributes:
        first: YYYY-MM-DD.
        last: YYYY-MM-DD; it is started too.
        days: which dates count, by the workflow's calendar.
        all: also those for which a run is finished or under way; otherwise they are left out.
        priority: of the runs; lower numbers come first, and events have 100.
        payload: what the runs are started with, or null.
        dry_run: only say which dates there are.
        reason: for the audit log.
    """

    first: str
    last: str
    days: Literal["all", "working", "holidays", "last_working_day_of_month"] = "all"
    all: bool = False
    priority: Annotated[int, Meta(ge=0, le=999)] = 500
    payload: Any = None
    dry_run: bool = False
    reason: Annotated[str, Meta(max_length=1_000)] = ""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """The runs by their dates (None in a dry run), and the dates that had one already."""

    workflow: Workflow
    runs: dict[str, int | None]
    left_out: list[str]


def backfill(
    connection: Connection, organisation_id: str, name: str, wanted: Backfill, *, actor: str
) -> Backfilled:
    """Start a run of the newest version for each date of a range, the earliest first.

    Raises:
        NotFound: there is no such workflow.
        InvalidRequest: a date cannot be used, or the first is after the last.
        TooLarge: there are more runs, or steps of runs, than one backfill may start.
    """
    workflow = workflows.get(connection, organisation_id, name)
    definition = workflows.document(connection, workflow.id, workflow.version)
    first, last = (parse_date(each) for each in (wanted.first, wanted.last))
    if first > last:
        raise InvalidRequest(f"The first date, {first}, is after the last, {last}. Swap them.")
    _check_range((last - first).days + 1)
    days = calendars.days_of(definition.calendar)
    dates = [day.isoformat() for day in calendars.dates(first, last, days, wanted.days)]
    there = set() if wanted.all else _there(connection, workflow.id, wanted.first, wanted.last)
    chosen = [day for day in dates if day not in there]
    steps = len(chosen) * len(definition.steps)
    if steps > limits.BACKFILL_STEPS:
        raise TooLarge(
            f"{len(chosen)} runs of {workflow.name} have {steps} steps, and one backfill may start "
            f"{limits.BACKFILL_STEPS}. Take fewer dates at a time."
        )
    runs: dict[str, int | None] = dict.fromkeys(chosen)
    if not wanted.dry_run:
        payload = None if wanted.payload is None else msgspec.json.encode(wanted.payload)
        for day in chosen:
            runs[day] = starting.start(
                connection,
                organisation_id,
                workflow.id,
                trigger="backfill",
                started_by=f"backfill of {wanted.first} to {wanted.last}",
                payload=payload,
                business_date=day,
                priority=wanted.priority,
                actor=actor,
            )
    return Backfilled(workflow, runs, [day for day in dates if day in there])


def _check_range(days: int) -> None:
    if days > limits.BACKFILL_RUNS:
        raise TooLarge(
            f"The range has {days} days, and one backfill may have {limits.BACKFILL_RUNS}. Take a "
            "part of it at a time."
        )


def _there(connection: Connection, workflow_id: str, first: str, last: str) -> set[str]:
    """Return the dates for which a run is finished or under way."""
    rows = connection.execute(
        select(scripts_runs.c.business_date)
        .where(
            scripts_runs.c.workflow_id == workflow_id,
            scripts_runs.c.business_date.between(first, last),
            scripts_runs.c.state.in_(("pending", "running", "finished")),
        )
        .distinct()
    )
    return set(rows.scalars())

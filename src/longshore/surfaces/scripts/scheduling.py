"""Schedules: each instant that is due starts one run, or is recorded as missed with the reason.

What was looked at last is kept in the row of the schedule and moves forward only, so a clock that
is set back fires nothing again. An instant, its run and the row's next instant are written in one
transaction.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from longshore import limits
from longshore.clock import iso, to_us
from longshore.errors import LongshoreError
from longshore.storage import now_us
from longshore.surfaces.scripts import calendars, starting, workflows
from longshore.surfaces.scripts.cron import Instant
from longshore.surfaces.scripts.definition.model import Calendar, ScheduleTrigger
from longshore.surfaces.scripts.tables import (
    scripts_firings,
    scripts_schedules,
    scripts_workflows,
)

ACTOR: Final = "schedule"
FIRED: Final = "fired"
MISSED: Final = "missed"
_SCHEDULES: Final = 20
_ALL_AT_ONCE: Final = 20
"""Of a schedule that runs all that it has missed, so many start in one transaction."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fired:
    """What one call has done; `more` says whether there is more to do at once."""

    runs: list[int]
    missed: int
    more: bool


def fire(connection: Connection) -> Fired:
    """Start a run for each instant that is due, up to a bounded number of them."""
    at_us = now_us(connection)
    runs: list[int] = []
    missed = 0
    due = _due(connection, at_us)
    more = len(due) == _SCHEDULES
    for row in due:
        try:
            with connection.begin_nested():
                started, not_run, rest = _fire(connection, row, at_us)
        except (LongshoreError, IntegrityError, LookupError, ValueError):
            # It is tried again at the next look, and must not keep the others from theirs.
            _log.exception("schedule %s of workflow %s cannot fire", row.id, row.workflow_id)
            continue
        runs += started
        missed += not_run
        more |= rest
    return Fired(runs, missed, more)


def _fire(connection: Connection, row: Row[Any], at_us: int) -> tuple[list[int], int, bool]:
    """Deal with what is due of one schedule; return its runs, how many were missed, and if more is due."""
    schedule = msgspec.json.decode(row.trigger, type=ScheduleTrigger)
    calendar = workflows.document(connection, row.workflow_id, row.version).calendar
    instants, rest = _instants(schedule, calendar, row.next_us, at_us)
    runs: list[int] = []
    missed = 0
    for instant, why in _judged(schedule, instants, at_us, rest=rest):
        if not _enter(connection, row, instant, at_us):
            continue
        outcome: int | str = why or _start(connection, row, schedule, calendar, instant)
        if isinstance(outcome, str):
            _set(connection, row.id, instant, state=MISSED, why=outcome)
            missed += 1
        else:
            _set(connection, row.id, instant, **_fired(instant, outcome, at_us))
            runs.append(outcome)
    after_us = max(instants[-1].at_us if instants else row.next_us, 0 if rest else at_us)
    _move(connection, row.id, schedule, calendar, after_us)
    return runs, missed, rest


def _due(connection: Connection, at_us: int) -> list[Any]:
    query = (
        select(
            scripts_schedules.c.id,
            scripts_schedules.c.organisation_id,
            scripts_schedules.c.workflow_id,
            scripts_schedules.c.trigger,
            scripts_schedules.c.next_us,
            scripts_workflows.c.version,
        )
        .join(scripts_workflows, scripts_workflows.c.id == scripts_schedules.c.workflow_id)
        .where(scripts_schedules.c.next_us <= at_us)
        .order_by(scripts_schedules.c.next_us, scripts_schedules.c.id)
        .limit(_SCHEDULES)
    )
    if connection.dialect.name == "postgresql":
        # One server leads; should two believe that they do, each instant still fires once.
        query = query.with_for_update(of=scripts_schedules, skip_locked=True)
    return list(connection.execute(query))


def _instants(
    schedule: ScheduleTrigger, calendar: Calendar, next_us: int, at_us: int
) -> tuple[list[Instant], bool]:
    """Return what is due, the earliest first, and whether there is more than is looked at now."""
    most = _ALL_AT_ONCE if schedule.missed == "all" else limits.SCHEDULE_INSTANTS
    found = calendars.instants(schedule, calendar, next_us - 1, at_us)
    instants = list(itertools.islice(found, most))
    return instants, next(found, None) is not None


def _judged(
    schedule: ScheduleTrigger, instants: Sequence[Instant], at_us: int, *, rest: bool
) -> list[tuple[Instant, str | None]]:
    """Return for each instant why it is not run, or None for those that are.

    With `rest` there are later ones, so that none of these is the last.
    """
    judged = []
    for number, instant in enumerate(instants):
        late_s = (at_us - instant.at_us) / to_us(1)
        last = number == len(instants) - 1 and not rest
        why = None
        if late_s > limits.SCHEDULE_LATE_S:
            late = f"no server looked at it for {late_s:.0f} s after it was due"
            if schedule.missed == "none":
                why = f"{late}, and what was missed is not run (missed: none)"
            elif schedule.missed == "last" and not last:
                why = f"{late}, and only the last that was missed is run (missed: last)"
        judged.append((instant, why))
    return judged


def _enter(connection: Connection, row: Row[Any], instant: Instant, at_us: int) -> bool:
    """Write an instant down as being dealt with; return whether it had not been yet."""
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    entered = connection.execute(
        dialect(scripts_firings)
        .values(
            schedule_id=row.id,
            instant_us=instant.at_us,
            organisation_id=row.organisation_id,
            workflow_id=row.workflow_id,
            state=MISSED,
            why="",
            at_us=at_us,
        )
        .on_conflict_do_nothing()
        .returning(scripts_firings.c.instant_us)
    )
    return entered.first() is not None


def _start(
    connection: Connection,
    row: Row[Any],
    schedule: ScheduleTrigger,
    calendar: Calendar,
    instant: Instant,
) -> int | str:
    """Return the id of the run of an instant, or why it could not start."""
    try:
        with connection.begin_nested():
            day = calendars.business_date(schedule, calendar, instant)
            return starting.start(
                connection,
                row.organisation_id,
                row.workflow_id,
                trigger="schedule",
                started_by=f"schedule {schedule.cron} ({schedule.time_zone}) at {iso(instant.at_us)}",
                payload=None,
                business_date=day.isoformat(),
                actor=ACTOR,
            )
    except LongshoreError as error:
        return f"the run could not start: {error.message}"


def _fired(instant: Instant, run_id: int, at_us: int) -> dict[str, Any]:
    late_s = (at_us - instant.at_us) / to_us(1)
    late = f"{late_s:.0f} s late" if late_s > limits.SCHEDULE_LATE_S else "on time"
    return {"state": FIRED, "run_id": run_id, "why": late}


def _set(connection: Connection, schedule_id: str, instant: Instant, **values: Any) -> None:
    connection.execute(
        update(scripts_firings)
        .where(
            scripts_firings.c.schedule_id == schedule_id,
            scripts_firings.c.instant_us == instant.at_us,
        )
        .values(**values)
    )


def _move(
    connection: Connection,
    schedule_id: str,
    schedule: ScheduleTrigger,
    calendar: Calendar,
    after_us: int,
) -> None:
    following = calendars.next_instant(schedule, calendar, after_us)
    connection.execute(
        delete(scripts_firings).where(
            scripts_firings.c.schedule_id == schedule_id,
            scripts_firings.c.instant_us < after_us - to_us(limits.SCHEDULE_KEPT_S),
        )
    )
    connection.execute(
        update(scripts_schedules)
        .where(scripts_schedules.c.id == schedule_id)
        .values(next_us=None if following is None else following.at_us)
    )


def of_workflow(connection: Connection, workflow_id: str) -> list[tuple[ScheduleTrigger, int]]:
    """Return the schedules of a workflow that are in force, with their next instants."""
    rows = connection.execute(
        select(scripts_schedules.c.trigger, scripts_schedules.c.next_us)
        .where(
            scripts_schedules.c.workflow_id == workflow_id,
            scripts_schedules.c.next_us.is_not(None),
        )
        .order_by(scripts_schedules.c.next_us, scripts_schedules.c.id)
    )
    return [(msgspec.json.decode(row.trigger, type=ScheduleTrigger), row.next_us) for row in rows]


def firings(connection: Connection, workflow_id: str, *, limit: int) -> list[dict[str, Any]]:
    """Return what came of the latest instants of a workflow, the newest first, JSON-ready."""
    rows = connection.execute(
        select(scripts_firings, scripts_schedules.c.trigger)
        .join(scripts_schedules, scripts_schedules.c.id == scripts_firings.c.schedule_id)
        .where(scripts_firings.c.workflow_id == workflow_id)
        .order_by(scripts_firings.c.instant_us.desc(), scripts_firings.c.schedule_id)
        .limit(limit)
    )
    return [
        {
            "schedule": msgspec.json.decode(row.trigger, type=ScheduleTrigger).cron,
            "instant": iso(row.instant_us),
            "state": row.state,
            "run_id": row.run_id,
            "why": row.why,
            "looked_at": iso(row.at_us),
        }
        for row in rows
    ]

"""Schedules of all workflows for people: in words, the next instants, and what came of the last."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, select, tuple_

from longshore.clock import SECOND_US
from longshore.surfaces.scripts import calendars, cron_words, workflows
from longshore.surfaces.scripts.cron import Instant
from longshore.surfaces.scripts.definition.model import Calendar, ScheduleTrigger
from longshore.surfaces.scripts.tables import (
    scripts_firings,
    scripts_schedules,
    scripts_workflows,
)

NEXT: Final = 3
LAST: Final = 5


@dataclass(frozen=True, slots=True)
class Due:
    """When a schedule is due: in UTC, on the wall of its zone, and for which business date."""

    at_us: int
    local: str
    business_date: str


@dataclass(frozen=True, slots=True)
class Firing:
    """What came of an instant that was due."""

    instant_us: int
    local: str
    state: str
    run_id: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule that is in force."""

    id: str
    workflow: str
    folded: str
    workflow_held: bool
    schedule: ScheduleTrigger
    words: str
    coming: list[Due]
    last: list[Firing]


def listing(
    connection: Connection,
    organisation_id: str,
    *,
    after: tuple[str, str] | None = None,
    workflow_id: str | None = None,
    limit: int,
) -> list[Timetable]:
    """Return schedules by the names of their workflows.

    Args:
        connection: the transaction.
        organisation_id: whose.
        after: folded name of the workflow, and id, of the last one of the page before.
        workflow_id: only those of one workflow.
        limit: most of them.
    """
    table, names = scripts_schedules, scripts_workflows
    query = (
        select(
            table.c.id, table.c.trigger, table.c.next_us, table.c.workflow_id,
            names.c.name, names.c.folded, names.c.version, names.c.held_us,
        )
        .join(names, names.c.id == table.c.workflow_id)
        .where(names.c.organisation_id == organisation_id, table.c.next_us.is_not(None))
        .order_by(names.c.folded, table.c.id)
        .limit(limit)
    )  # fmt: skip
    if after is not None:
        query = query.where(tuple_(names.c.folded, table.c.id) > after)
    if workflow_id is not None:
        query = query.where(table.c.workflow_id == workflow_id)
    return [_timetable(connection, row) for row in connection.execute(query)]


def local(at_us: int, time_zone: str) -> datetime:
    """Return what a clock on the wall shows in a zone."""
    return datetime.fromtimestamp(at_us / SECOND_US, ZoneInfo(time_zone))


def _timetable(connection: Connection, row: Any) -> Timetable:
    schedule = msgspec.json.decode(row.trigger, type=ScheduleTrigger)
    calendar = workflows.document(connection, row.workflow_id, row.version).calendar
    coming = itertools.islice(calendars.instants(schedule, calendar, row.next_us - 1), NEXT)
    return Timetable(
        id=row.id,
        workflow=row.name,
        folded=row.folded,
        workflow_held=row.held_us is not None,
        schedule=schedule,
        words=cron_words.in_words(schedule.cron),
        coming=[due(schedule, calendar, instant) for instant in coming],
        last=_last(connection, row.id, schedule.time_zone),
    )


def due(schedule: ScheduleTrigger, calendar: Calendar, instant: Instant) -> Due:
    """Return an instant with its time on the wall and its business date."""
    day = calendars.business_date(schedule, calendar, instant)
    return Due(instant.at_us, _shown(instant.at_us, schedule.time_zone), day.isoformat())


def _last(connection: Connection, schedule_id: str, time_zone: str) -> list[Firing]:
    table = scripts_firings
    rows = connection.execute(
        select(table)
        .where(table.c.schedule_id == schedule_id)
        .order_by(table.c.instant_us.desc())
        .limit(LAST)
    )
    return [
        Firing(row.instant_us, _shown(row.instant_us, time_zone), row.state, row.run_id, row.why)
        for row in rows
    ]


def _shown(at_us: int, time_zone: str) -> str:
    return local(at_us, time_zone).strftime("%a %Y-%m-%d %H:%M %Z")

"""A month of a workflow by business dates: the runs that there were, and those that are to come."""

from __future__ import annotations

import calendar as pages
import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from longshore.clock import SECOND_US
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import calendars, timetables, workflows
from longshore.surfaces.scripts.calendars import Days
from longshore.surfaces.scripts.cron import Instant
from longshore.surfaces.scripts.definition.model import ScheduleTrigger
from longshore.surfaces.scripts.tables import scripts_firings, scripts_runs, scripts_schedules
from longshore.surfaces.scripts.timetables import Due
from longshore.surfaces.scripts.workflow_lists import Brief
from longshore.surfaces.scripts.workflows import Workflow

RUNS_MAX: Final = 2_000
"""So many runs of a month are looked at, the latest."""
INSTANTS_MAX: Final = 300
"""So many instants to come of each schedule are worked out."""
_AROUND: Final = timedelta(days=10)
"""An instant is at most so far from its business date, but for very long holidays."""
_YEARS: Final = range(1970, 2200)


@dataclass(slots=True)
class Day:
    """A business date: its runs, the newest first, what was missed, and what is to come."""

    date: date
    working: bool
    holiday: bool
    runs: list[Brief] = field(default_factory=list)
    missed: list[tuple[Due, str]] = field(default_factory=list)
    coming: list[Due] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of its runs by state."""
        return dict(Counter(run.state for run in self.runs))


@dataclass(frozen=True, slots=True)
class Month:
    """A month in weeks from Monday to Sunday; None for days of other months.

    Attributes:
        until: the last business date up to which what is to come was worked out, where that is
            not the whole month.
        zones: the time zones of its schedules.
    """

    workflow: Workflow
    first: date
    weeks: list[list[Day | None]]
    until: date | None
    zones: list[str]


def of_workflow(
    connection: Connection, organisation_id: str, name: str, year: int, month: int
) -> Month:
    """Return a month of a workflow.

    Raises:
        NotFound: there is no such workflow.
        InvalidRequest: there is no such month.
    """
    if year not in _YEARS or not 1 <= month <= 12:
        raise InvalidRequest(f"{year}-{month} is no month that can be shown. Give YYYY-MM.")
    workflow = workflows.get(connection, organisation_id, name)
    calendar = workflows.document(connection, workflow.id, workflow.version).calendar
    days = _days(calendars.days_of(calendar), year, month)
    _add_runs(connection, workflow.id, days)
    schedules = connection.execute(
        select(scripts_schedules.c.id, scripts_schedules.c.trigger, scripts_schedules.c.next_us)
        .where(scripts_schedules.c.workflow_id == workflow.id)
    ).all()  # fmt: skip
    triggers = {row.id: msgspec.json.decode(row.trigger, type=ScheduleTrigger) for row in schedules}
    until: date | None = None
    first, last = min(days), max(days)
    for row in schedules:
        if row.next_us is None:
            continue
        schedule = triggers[row.id]
        after_us = max(row.next_us - 1, _start_us(first))
        found = calendars.instants(schedule, calendar, after_us, _end_us(last))
        coming = [
            timetables.due(schedule, calendar, each)
            for each in itertools.islice(found, INSTANTS_MAX)
        ]
        for each in coming:
            if (day := days.get(date.fromisoformat(each.business_date))) is not None:
                day.coming.append(each)
        if len(coming) == INSTANTS_MAX:
            reached = date.fromisoformat(coming[-1].business_date)
            until = reached if until is None else min(until, reached)
    _add_missed(connection, workflow, triggers, days)
    for day in days.values():
        day.coming.sort(key=lambda due: due.at_us)
    zones = {triggers[row.id].time_zone for row in schedules if row.next_us is not None}
    shown = until if until is not None and until < last else None
    return Month(workflow, first, _weeks(days, year, month), shown, sorted(zones))


def _days(calendar: Days, year: int, month: int) -> dict[date, Day]:
    count = pages.monthrange(year, month)[1]
    found = [date(year, month, number) for number in range(1, count + 1)]
    return {day: Day(day, calendar.working(day), day in calendar.holidays) for day in found}


def _add_runs(connection: Connection, workflow_id: str, days: dict[date, Day]) -> None:
    rows = connection.execute(
        select(*[scripts_runs.c[name] for name in Brief.__dataclass_fields__])
        .where(
            scripts_runs.c.workflow_id == workflow_id,
            scripts_runs.c.business_date.between(min(days).isoformat(), max(days).isoformat()),
        )
        .order_by(scripts_runs.c.id.desc())
        .limit(RUNS_MAX)
    )
    for row in rows:
        days[date.fromisoformat(row.business_date)].runs.append(Brief(**row._asdict()))


def _add_missed(
    connection: Connection,
    workflow: Workflow,
    triggers: dict[str, ScheduleTrigger],
    days: dict[date, Day],
) -> None:
    calendar = workflows.document(connection, workflow.id, workflow.version).calendar
    table = scripts_firings
    rows = connection.execute(
        select(table.c.schedule_id, table.c.instant_us, table.c.why)
        .where(
            table.c.workflow_id == workflow.id,
            table.c.instant_us.between(_start_us(min(days)), _end_us(max(days))),
            table.c.state == "missed",
        )
        .order_by(table.c.instant_us.desc())
        .limit(RUNS_MAX)
    )
    found: defaultdict[date, list[tuple[Due, str]]] = defaultdict(list)
    for row in rows:
        schedule = triggers[row.schedule_id]
        wall = timetables.local(row.instant_us, schedule.time_zone).date()
        due = timetables.due(schedule, calendar, Instant(row.instant_us, wall))
        found[date.fromisoformat(due.business_date)].append((due, row.why))
    for each, missed in found.items():
        if each in days:
            days[each].missed = missed


def _weeks(days: dict[date, Day], year: int, month: int) -> list[list[Day | None]]:
    return [
        [days[date(year, month, number)] if number else None for number in week]
        for week in pages.Calendar().monthdayscalendar(year, month)
    ]


def _start_us(day: date) -> int:
    return (day - _AROUND - date(1970, 1, 1)).days * 86_400 * SECOND_US


def _end_us(day: date) -> int:
    return (day + _AROUND - date(1970, 1, 1)).days * 86_400 * SECOND_US

"""What the triggers and the calendar of a definition can have wrong."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from longshore import limits
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import calendars, cron
from longshore.surfaces.scripts.calendars import Days
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition.model import (
    Calendar,
    Flag,
    ScheduleTrigger,
    Workflow,
)
from longshore.surfaces.scripts.definition.problems import Path

Finding = tuple[Path, str]


def check_triggers(workflow: Workflow) -> Iterator[Finding]:
    """Yield what is wrong with the calendar, and with what starts the workflow."""
    too_many = list(_too_many(workflow))
    if too_many:
        yield from too_many
        return
    yield from _calendar(workflow.calendar)
    events: set[str] = set()
    for number, event in enumerate(workflow.triggers.events):
        if event.name.casefold() in events:
            path = ("triggers", "events", number)
            yield path, f"the event {event.name} is named twice; remove one"
        events.add(event.name.casefold())
    schedules: list[bytes] = []
    for number, schedule in enumerate(workflow.triggers.schedules):
        encoded = msgspec.json.encode(schedule)
        path = ("triggers", "schedules", number)
        if encoded in schedules:
            yield path, f"the schedule {schedule.cron!r} is there twice; remove one"
        schedules.append(encoded)
        for key, message in _schedule(schedule, workflow.calendar):
            yield (*path, key), message
    yield from _flags(workflow)
    yield from _followed(workflow)


def _too_many(workflow: Workflow) -> Iterator[Finding]:
    for key in ("events", "schedules", "flags", "workflows"):
        count = len(getattr(workflow.triggers, key))
        if count > limits.WORKFLOW_TRIGGERS:
            message = f"there are {count} {key}, and there may be {limits.WORKFLOW_TRIGGERS}"
            yield ("triggers", key), f"{message}; split the workflow"
    count = len(workflow.calendar.holidays)
    if count > limits.WORKFLOW_HOLIDAYS:
        message = f"there are {count} holidays, and there may be {limits.WORKFLOW_HOLIDAYS}"
        yield ("calendar", "holidays"), f"{message}; leave out those that are over"


def _calendar(calendar: Calendar) -> Iterator[Finding]:
    for number, text in enumerate(calendar.holidays):
        try:
            parse_date(text)
        except InvalidRequest:
            yield (
                ("calendar", "holidays", number),
                f"the holiday {text[:40]!r} is no date; write it as YYYY-MM-DD",
            )


def _schedule(schedule: ScheduleTrigger, calendar: Calendar) -> Iterator[tuple[str, str]]:
    usable = True
    for key, check in (("cron", cron.check_expression), ("time_zone", cron.zone)):
        try:
            check(getattr(schedule, key))
        except InvalidRequest as error:
            usable = False
            yield key, error.message[0].lower() + error.message[1:].rstrip(".")
    days = _usable_days(calendar)
    if schedule.business_date == "previous_working_day" and not calendar.working_days:
        yield "business_date", "the calendar has no working_days, so there is no previous one"
    if not usable or days is None:
        return
    # Any time will do: a holiday of the past is told apart where the definition is applied.
    counts = calendars.counting(days, schedule.days)
    begin_us = _earliest_us(days)
    if cron.first(schedule.cron, schedule.time_zone, begin_us, counts=counts) is None:
        on = "" if schedule.days == "all" else f" on days: {schedule.days}"
        yield "cron", f"the schedule {schedule.cron!r} never fires{on}; change it or remove it"


def _usable_days(calendar: Calendar) -> Days | None:
    try:
        return calendars.days_of(calendar)
    except InvalidRequest:
        return None


def _earliest_us(days: Days) -> int:
    """Return a time before all holidays that are named, or before those of our years."""
    year = min((day.year for day in days.holidays), default=2026)
    return calendars.midnight_us(min(max(year - 1, 1970), 3000))


def _flags(workflow: Workflow) -> Iterator[Finding]:
    seen: list[set[Flag]] = []
    for number, flags in enumerate(workflow.triggers.flags):
        path = ("triggers", "flags", number)
        if not flags:
            yield path, "a list of flags is empty; name at least one flag, or remove the list"
        elif len(set(flags)) < len(flags):
            yield path, "a list of flags names one flag twice; remove one"
        elif set(flags) in seen:
            yield path, "this list of flags is there twice; remove one"
        seen.append(set(flags))


def _followed(workflow: Workflow) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, other in enumerate(workflow.triggers.workflows):
        path = ("triggers", "workflows", number)
        if other.name.casefold() == workflow.workflow.casefold():
            yield path, f"the workflow {workflow.workflow} would start itself for ever; remove that"
        elif other.name.casefold() in seen:
            yield path, f"the workflow {other.name} is named twice; remove one"
        seen.add(other.name.casefold())

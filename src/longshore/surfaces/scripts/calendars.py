"""Which days count: working days, holidays, the last working day of a month, business dates. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from longshore.clock import SECOND_US
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import cron
from longshore.surfaces.scripts.cron import Instant
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition.model import Calendar, ScheduleTrigger

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)
_DAYS_SEARCHED: Final = 3_660


@dataclass(frozen=True, slots=True)
class Days:
    """A calendar that can be asked."""

    working_weekdays: frozenset[int]
    holidays: frozenset[date] = field(default=frozenset())

    def working(self, day: date) -> bool:
        """Return whether it is one of the working weekdays and no holiday."""
        return day.weekday() in self.working_weekdays and day not in self.holidays

    def last_working_of_month(self, day: date) -> bool:
        """Return whether it is a working day after which none follows in its month."""
        if not self.working(day):
            return False
        following = day + _DAY
        while following.month == day.month:
            if self.working(following):
                return False
            following += _DAY
        return True

    def previous_working(self, day: date) -> date:
        """Return the last working day before a day.

        Raises:
            InvalidRequest: there is none within ten years.
        """
        for _ in range(_DAYS_SEARCHED):
            day -= _DAY
            if self.working(day):
                return day
        raise InvalidRequest("The calendar has no working day within ten years. Add working_days.")


@lru_cache(maxsize=64)
def days_of(calendar: Calendar) -> Days:
    """Return a calendar to ask; InvalidRequest for a holiday that is no date."""
    return Days(
        frozenset(_WEEKDAYS.index(each) for each in calendar.working_days),
        frozenset(parse_date(each) for each in calendar.holidays),
    )


def counting(days: Days, which: str) -> Callable[[date], bool] | None:
    """Return what says whether a date counts for a schedule; None where each does."""
    return {
        "all": None,
        "working": days.working,
        "holidays": days.holidays.__contains__,
        "last_working_day_of_month": days.last_working_of_month,
    }[which]


def instants(
    schedule: ScheduleTrigger, calendar: Calendar, after_us: int, until_us: int | None = None
) -> Iterator[Instant]:
    """Yield when a schedule is due; see `cron.instants`."""
    counts = counting(days_of(calendar), schedule.days)
    return cron.instants(schedule.cron, schedule.time_zone, after_us, until_us, counts=counts)


def next_instant(schedule: ScheduleTrigger, calendar: Calendar, after_us: int) -> Instant | None:
    """Return when a schedule is due next, or None where that is never."""
    return next(instants(schedule, calendar, after_us), None)


def business_date(schedule: ScheduleTrigger, calendar: Calendar, instant: Instant) -> date:
    """Return the date that a run of an instant is for."""
    if schedule.business_date == "previous_day":
        return instant.day - _DAY
    if schedule.business_date == "previous_working_day":
        return days_of(calendar).previous_working(instant.day)
    return instant.day


def dates(first: date, last: date, days: Days, which: str) -> Iterator[date]:
    """Yield the dates of a range, both ends included, that count."""
    counts = counting(days, which)
    day = first
    while day <= last:
        if counts is None or counts(day):
            yield day
        day += _DAY


def midnight_us(year: int) -> int:
    """Return when a year begins, UTC."""
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * SECOND_US

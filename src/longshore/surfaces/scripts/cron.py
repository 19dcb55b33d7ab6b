"""Instants of cron expressions in a time zone. Pure.

The rule for days on which clocks change is that of Debian's cron:

* An expression whose minute and hour both do not begin with `*` names times of day. One that is
  skipped happens at the first instant after the gap; one that comes twice happens the first time.
* Any other expression goes by the clock on the wall as it runs: what is skipped does not happen,
  and what comes twice happens twice.

Times on the wall are enumerated by cronsim without a time zone, and are placed in the zone here:
cronsim's own walk through a zone takes whole hours and misses times where clocks shift by half
of one.
"""

from __future__ import annotations

import heapq
import zoneinfo
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Final

from cronsim import CronSim, CronSimError

from longshore.clock import SECOND_US
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts.definition.suggesting import near

_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
_CHARACTERS: Final = 200
_YEARS: Final = 30
"""How far ahead is looked for a day that counts: weekdays and leap years repeat after 28."""
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)

Counts = Callable[[date], bool]


@dataclass(frozen=True, order=True, slots=True)
class Instant:
    """When a schedule is due, and the date on the wall that it is due for."""

    at_us: int
    day: date


def check_expression(cron: str) -> None:
    """Raise InvalidRequest unless this is a cron expression of five fields."""
    fields = cron.split()
    if len(cron) > _CHARACTERS or len(fields) != len(_FIELDS):
        raise InvalidRequest(
            f"The cron expression {cron[:_CHARACTERS]!r} has {len(fields)} fields and needs five: "
            f"{', '.join(_FIELDS)}."
        )
    try:
        CronSim(cron, datetime(2000, 1, 1))  # noqa: DTZ001 - times on the wall have no zone yet
    except CronSimError as error:
        name = str(error).removeprefix("Bad ").replace("-", " ")
        value = fields[_FIELDS.index(name)] if name in _FIELDS else cron
        raise InvalidRequest(
            f"The cron expression {cron!r} cannot be used: the {name} is {value!r}."
        ) from error


def zone(name: str) -> zoneinfo.ZoneInfo:
    """Return a time zone; InvalidRequest for a name that is not one of the IANA's."""
    if name not in _zone_names():
        found = near(name, _zone_names())
        suggestion = f"Did you mean {found}?" if found else "Use one such as Europe/Berlin."
        raise InvalidRequest(f"There is no time zone {name[:80]!r}. {suggestion}")
    return zoneinfo.ZoneInfo(name)


def names_times(cron: str) -> bool:
    """Return whether an expression names times of day, and does not follow the running clock."""
    minute, hour = cron.split()[:2]
    return not minute.startswith("*") and not hour.startswith("*")


def instants(
    cron: str,
    time_zone: str,
    after_us: int,
    until_us: int | None = None,
    *,
    counts: Counts | None = None,
) -> Iterator[Instant]:
    """Yield when an expression is due, later than `after_us` and not later than `until_us`.

    `counts` says of a date on the wall whether it counts. The instants are in order and whole
    seconds. Without `until_us` they end only where none follows for 30 years.

    Raises:
        InvalidRequest: the expression or the time zone cannot be used.
    """
    check_expression(cron)
    where = zone(time_zone)
    fixed = names_times(cron)
    waiting: list[Instant] = []
    last_us = after_us
    # A time on the wall may come again while clocks go back within a day from now.
    after = _utc(after_us)
    begin = min(_wall(after, where), _wall(after + _DAY, where) - _DAY)
    for wall in _walls(cron, begin, counts):
        placed = list(_placed(wall, where, first_only=fixed))
        for each in placed:
            heapq.heappush(waiting, Instant(each, wall.date()))
        # Nothing to come is earlier than the first of this time on the wall.
        border_us = placed[0] if placed else None
        while waiting and border_us is not None and waiting[0].at_us <= border_us:
            found = heapq.heappop(waiting)
            if until_us is not None and found.at_us > until_us:
                return
            if found.at_us > last_us:
                last_us = found.at_us
                yield found
    while waiting:
        found = heapq.heappop(waiting)
        if found.at_us > last_us and (until_us is None or found.at_us <= until_us):
            last_us = found.at_us
            yield found


def first(
    cron: str, time_zone: str, after_us: int, *, counts: Counts | None = None
) -> Instant | None:
    """Return the first instant later than `after_us`, or None where there is none."""
    return next(instants(cron, time_zone, after_us, counts=counts), None)


def _walls(cron: str, begin: datetime, counts: Counts | None) -> Iterator[datetime]:
    """Yield times on the wall after `begin`, on days that count."""
    end = begin + timedelta(days=366 * _YEARS)
    times = CronSim(cron, begin)
    while True:
        wall = next(times, None)
        if wall is None or wall > end:
            return
        if counts is None or counts(wall.date()):
            yield wall
            continue
        # An expression may have 1,440 times on each of many days that do not count.
        day = wall.date() + _DAY
        while not counts(day):
            day += _DAY
            if day > end.date():
                return
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - on the wall
        times = CronSim(cron, midnight - timedelta(seconds=1))


def _placed(wall: datetime, where: zoneinfo.ZoneInfo, *, first_only: bool) -> Iterator[int]:
    """Yield the instants of a time on the wall: none or one if it is skipped, two if it is doubled."""
    early, late = (wall.replace(tzinfo=where, fold=fold) for fold in (0, 1))
    if _exists(early):
        yield _us(early)
        if not first_only and early.utcoffset() != late.utcoffset():
            yield _us(late)
    elif first_only:
        while not _exists(early):
            early = (early.replace(tzinfo=None) + _MINUTE).replace(tzinfo=where)
        yield _us(early)


def _exists(moment: datetime) -> bool:
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None) == moment.replace(tzinfo=None)


def _wall(moment: datetime, where: zoneinfo.ZoneInfo) -> datetime:
    return moment.astimezone(where).replace(tzinfo=None)


def _utc(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // SECOND_US, tz=UTC)


def _us(moment: datetime) -> int:
    return round(moment.timestamp()) * SECOND_US


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())

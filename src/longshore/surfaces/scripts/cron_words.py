"""Cron expressions in words, for people who do not read them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_DAYS: Final = (
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
)  # fmt: skip
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")
_TIMES_MAX: Final = 6
"""More times of day are told by minutes and hours."""
_EVERY: Final = re.compile(r"\*/(\d+)")
_RANGE: Final = re.compile(r"(\w+)-(\w+)")
_LAST: Final = re.compile(r"(\w+)L")
_NTH: Final = re.compile(r"(\w+)#(\d)")


def in_words(cron: str) -> str:
    """Return when an expression of five fields is due: "at 02:30 from Monday to Friday".

    What has no short form in words stands as it is written.
    """
    minute, hour, day, month, weekday = cron.split()
    days = _days(day, weekday)
    at_times = _times(minute, hour)
    parts = [at_times if at_times is not None else _intervals(minute, hour)]
    parts.append(days or ("every day" if at_times is not None else ""))
    if month != "*":
        parts.append(f"in {_listed(month, _month)}")
    return " ".join(part for part in parts if part)


def _times(minute: str, hour: str) -> str | None:
    """Return the times of day where they are few, else None."""
    minutes, hours = minute.split(","), hour.split(",")
    if not all(each.isdigit() for each in [*minutes, *hours]):
        return None
    if len(minutes) * len(hours) > _TIMES_MAX:
        return None
    times = sorted((int(h), int(m)) for h in hours for m in minutes)
    return f"at {_and([f'{h:02}:{m:02}' for h, m in times])}"


def _intervals(minute: str, hour: str) -> str:
    step = _EVERY.fullmatch(minute)
    if minute == "*":
        told = "every minute"
    elif step:
        told = f"every {step[1]} minutes"
    elif minute == "0":
        told = "on the hour"
    else:
        told = f"at minute {_listed(minute, str)} of each hour"
    return f"{told}{_hours(hour)}"


def _hours(hour: str) -> str:
    if hour == "*":
        return ""
    if step := _EVERY.fullmatch(hour):
        return f", every {step[1]} hours"
    if span := _RANGE.fullmatch(hour):
        return f", {int(span[1]):02}:00 to {int(span[2]):02}:59"
    return f", in hour {_listed(hour, str)}"


def _days(day: str, weekday: str) -> str:
    told = [_day(day), _weekday(weekday)]
    if all(told):
        # Where a field begins with *, both must fit; else either is enough.
        both = day.startswith("*") or weekday.startswith("*")
        return f"{told[0]}{' if also ' if both else ' or '}{told[1]}"
    return told[0] or told[1]


def _day(day: str) -> str:
    if day == "*":
        return ""
    if day == "L":
        return "on the last day of the month"
    if day == "LW":
        return "on the last weekday of the month"
    if step := _EVERY.fullmatch(day):
        return f"on every {_ordinal(int(step[1]))} day of the month"
    return f"on day {_listed(day, str)} of the month"


def _weekday(weekday: str) -> str:
    if weekday == "*":
        return ""
    if span := _RANGE.fullmatch(weekday):
        return f"from {_name(span[1])} to {_name(span[2])}"
    return f"on {_listed(weekday, _odd_name)}"


def _odd_name(word: str) -> str:
    if last := _LAST.fullmatch(word):
        return f"the last {_name(last[1])} of the month"
    nth = _NTH.fullmatch(word)
    if nth:
        return f"the {_ordinal(int(nth[2]))} {_name(nth[1])} of the month"
    return _name(word)


def _ordinal(number: int) -> str:
    return _ORDINALS[number - 1] if 1 <= number <= len(_ORDINALS) else f"{number}th"


def _listed(field: str, name: Callable[[str], str]) -> str:
    """Return a list of values and ranges in words."""
    told = []
    for part in field.split(","):
        span = _RANGE.fullmatch(part)
        told.append(f"{name(span[1])} to {name(span[2])}" if span else name(part))
    return _and(told)


def _name(word: str) -> str:
    if word.isdigit() and int(word) < len(_DAYS):
        return _DAYS[int(word)]
    return next((day for day in _DAYS if day[:3].lower() == word.lower()), word)


def _month(word: str) -> str:
    if word.isdigit() and 1 <= int(word) <= len(_MONTHS):
        return _MONTHS[int(word) - 1]
    return next((month for month in _MONTHS if month[:3].lower() == word.lower()), word)


def _and(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} and {words[-1]}"

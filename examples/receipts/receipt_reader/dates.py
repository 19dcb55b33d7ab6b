"""Days in printed text: numeric and with month names, with what OCR does to them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# The first three letters decide, in English, Malay, German, French, Spanish, Italian and Dutch.
_MONTHS: dict[str, int] = {}
for _number, _names in enumerate(
    (
        "jan gen ene",
        "feb fév fev",
        "mar mär mac maa",
        "apr avr abr",
        "may mai mei mag",
        "jun giu",
        "jul lug",
        "aug aoû aou ago ogo",
        "sep set",
        "oct okt ott 0ct",
        "nov",
        "dec dez déc dic dis",
    ),
    start=1,
):
    _MONTHS.update(dict.fromkeys(_names.split(), _number))
_MONTHS.update({"juin": 6, "juil": 7})

_MONTH = rf"(?P<month>(?:juin|juil|{'|'.join(name for name in _MONTHS if len(name) == 3)})[a-zà-ÿ]{{0,6}})"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?P<year>(?:19|20)\d\d|'?\d\d(?!\d|[.,]\d))"

_YEAR_FIRST = re.compile(
    r"(?<![\d.,/-])(?P<year>(?:19|20)\d\d)\s?[-/.年]\s?(?P<month>1[0-2]|0?[1-9])\s?[-/.月]\s?"
    r"(?P<day>3[01]|[12]\d|0?[1-9])(?!\d(?!\d?:)|[./-]\d)"
)
_NUMERIC = re.compile(
    r"(?<![\d.,/-])(?P<first>\d{1,2})\s?(?P<sign>[-/.])\s?(?P<second>\d{1,2})\s?[-/.]\s?"
    r"(?:(?P<long>(?:19|20)\d\d)|(?P<short>\d\d)(?!\d(?!\d?:)|[.,/-]\d))"
)
_DAY_MONTH = re.compile(
    rf"(?<![\d.,]){_DAY}(?:st|nd|rd|th)?[\s\-/.,]*{_MONTH}[\s\-/.,]*{_YEAR}", re.IGNORECASE
)
_MONTH_DAY = re.compile(
    rf"(?<![a-z]){_MONTH}[\s.\-/]*{_DAY}(?:st|nd|rd|th)?(?!\d)[\s,.\-/]*{_YEAR}", re.IGNORECASE
)
# The separators went unread, wholly or in part. Weak: other numbers can look like this.
_RUN_TOGETHER = re.compile(
    r"(?<!\d)(?P<first>\d\d)[-/. ]?(?P<second>\d\d)[-/. ]?(?P<long>20\d\d)(?!\d)"
)
_LOOK_ALIKE = re.compile(r"(?<!\w)[\dOoIl]{1,2}[-/.][\dOoIl]{1,2}[-/.][\dOoIl]{2,4}(?!\w)")

CLOCK = re.compile(
    r"(?<!\d)(?P<hour>[01]?\d|2[0-3])\s?[:.]\s?(?P<minute>[0-5]\d)(?:\s?[:.]\s?(?P<second>[0-5]\d))?"
    r"(?!\d)\s?(?P<half>[ap]\.?[mh]\b\.?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A day as printed, before it is decided which number is the day.

    Attributes:
        year: with its century.
        first: the number printed first of day and month.
        second: the other one.
        order: what the form says: "day" or "month" first, or "either" when only hints can tell.
        weak: the separators were unread, so this may be no day at all.
        start: where in the text it begins.
    """

    year: int
    first: int
    second: int
    order: Literal["day", "month", "either"]
    weak: bool = False
    start: int = 0

    @property
    def ambiguous(self) -> bool:
        """Both readings are days of the calendar, and they differ."""
        return (
            self.order == "either"
            and self.first != self.second
            and _day(self.year, self.second, self.first) is not None
            and _day(self.year, self.first, self.second) is not None
        )

    @property
    def month_first(self) -> bool:
        """Only the reading with the month first is a day of the calendar."""
        return (
            self.order == "either"
            and _day(self.year, self.second, self.first) is None
            and _day(self.year, self.first, self.second) is not None
        )

    def resolve(self, *, month_first: bool = False) -> dt.date | None:
        """Return the day; `month_first` decides only what the numbers leave open."""
        day_first = _day(self.year, self.second, self.first)
        other = _day(self.year, self.first, self.second)
        if self.order == "day":
            return day_first
        if self.order == "month" or (month_first and other is not None):
            return other
        return day_first or other


def find(text: str) -> list[Found]:
    """Return the days in `text`, left to right; forms that say more come before weaker ones."""
    text = _LOOK_ALIKE.sub(_with_digits, text)
    found: list[Found] = []
    taken: list[tuple[int, int]] = []
    for start, end, day in _all(text):
        if day.resolve() is None or any(start < stop and begin < end for begin, stop in taken):
            continue
        taken.append((start, end))
        found.append(day)
    return sorted(found, key=lambda day: day.start)


def find_time(text: str) -> dt.time | None:
    """Return the first time of day in `text`, in 24 hours."""
    without_days = _NUMERIC.sub(" ", _YEAR_FIRST.sub(" ", text))
    for match in CLOCK.finditer(without_days):
        half = (match["half"] or "").lower()
        dotted = ":" not in match.group()
        if dotted and not half.startswith(("a", "p")):
            continue
        hour = int(match["hour"])
        if half.startswith("p") and hour < 12:
            hour += 12
        elif half.startswith("a") and hour == 12:
            hour = 0
        return dt.time(hour, int(match["minute"]), int(match["second"] or 0))
    return None


def parse(text: str, *, month_first: bool = False) -> dt.date | None:
    """Return the one day that `text` states, or None."""
    found = find(text)
    return found[0].resolve(month_first=month_first) if found else None


def _all(text: str) -> Iterator[tuple[int, int, Found]]:
    for match in _YEAR_FIRST.finditer(text):
        month, day = int(match["month"]), int(match["day"])
        yield (*match.span(), Found(int(match["year"]), month, day, "month", start=match.start()))
    for match in _DAY_MONTH.finditer(text):
        yield (*match.span(), _named(match))
    for match in _MONTH_DAY.finditer(text):
        yield (*match.span(), _named(match))
    for pattern, weak in ((_NUMERIC, False), (_RUN_TOGETHER, True)):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            year = _century(groups["long"] or groups["short"])
            first, second = int(match["first"]), int(match["second"])
            yield (*match.span(), Found(year, first, second, "either", weak, match.start()))


def _named(match: re.Match[str]) -> Found:
    name = match["month"].lower()
    month = _MONTHS.get(name[:4]) or _MONTHS[name[:3]]
    return Found(_century(match["year"]), int(match["day"]), month, "day", start=match.start())


def _century(year: str) -> int:
    number = int(year.lstrip("'"))
    if number >= 100:
        return number
    return number + (2000 if number < 80 else 1900)


def _day(year: int, month: int, day: int) -> dt.date | None:
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def _with_digits(match: re.Match[str]) -> str:
    return match.group().translate(str.maketrans("OoIl", "0011"))

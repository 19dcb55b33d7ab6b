"""JSON values and cell values: numbers, text, booleans, and dates as ISO 8601 text."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from types import UnionType
from typing import Any, Final

from openpyxl.styles.numbers import is_datetime
from openpyxl.utils.datetime import from_excel

from longshore.errors import InvalidRequest

_MIDNIGHT: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - cells know no time zones
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001 - as above
_DAY: Final = timedelta(days=1)
_LEAP_DAY: Final = 60
_WHOLE: Final = 2**53
_SHOWN_CHARACTERS: Final = 40


class Kind(StrEnum):
    """What a cell holds."""

    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    ANY = "any"


_DATED: Final[dict[Kind, type | UnionType]] = {
    Kind.DATETIME: datetime,
    Kind.DATE: date,
    Kind.TIME: time | timedelta,
}


def kind_of(value: Any, number_format: str) -> Kind:
    """Return what a cell holds, by its value (None where it is empty) and its format."""
    dated = is_datetime(number_format)
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, str):
        return Kind.TEXT
    if dated is not None:
        return Kind(dated)
    # A date without the format of one; a datetime is a date as well.
    for kind, form in _DATED.items():
        if isinstance(value, form):
            return kind
    return Kind.ANY if value is None else Kind.NUMBER


def for_cell(name: str, kind: Kind, value: Any) -> str | float | bool | None:
    """Return what is put into the cell of an input for a JSON value.

    Raises:
        InvalidRequest: the value is not of the kind that the cell holds.
    """
    if isinstance(value, bool):
        fits = kind in (Kind.BOOLEAN, Kind.ANY)
    elif isinstance(value, int | float):
        return _number(name, kind, value)
    elif isinstance(value, str):
        if kind in (Kind.DATE, Kind.DATETIME, Kind.TIME):
            return _serial(name, kind, value)
        fits = kind in (Kind.TEXT, Kind.ANY)
    else:
        fits = False
    if not fits or not isinstance(value, str | bool):
        raise InvalidRequest(f"{name} must be {_article(kind)}, not {_shown(value)}.")
    return value


def from_cell(kind: Kind, value: str | float | bool | None) -> Any:
    """Return the JSON value of a cell; a date is ISO 8601 text, a whole number an integer."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if kind in (Kind.DATE, Kind.DATETIME, Kind.TIME):
        return _dated(kind, value)
    return int(value) if value == int(value) and abs(value) < _WHOLE else value


def default_of(kind: Kind, value: Any) -> Any:
    """Return the JSON value of what openpyxl read from a cell."""
    if isinstance(value, datetime | date | time | timedelta):
        value = _as_serial(value)
    return from_cell(kind, value)


def _number(name: str, kind: Kind, value: float) -> float:
    if kind in (Kind.TEXT, Kind.BOOLEAN):
        raise InvalidRequest(f"{name} must be {_article(kind)}, not the number {_shown(value)}.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} is {_shown(value)}, which no cell can hold.")
    return number


def _serial(name: str, kind: Kind, text: str) -> float:
    """Return the number by which a workbook knows a date or time."""
    try:
        if kind is Kind.TIME:
            return _as_serial(time.fromisoformat(text))
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            raise InvalidRequest(
                f"{name} is {_shown(text)}; cells know no time zones. Leave the zone out."
            )
        serial = _as_serial(at)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"{name} must be {_article(kind)} in ISO 8601, such as 2024-01-31, not {_shown(text)}."
        ) from error
    if serial < 0:
        raise InvalidRequest(f"{name} is {_shown(text)}, and cells know no dates before 1900.")
    return serial


def _as_serial(at: datetime | date | time | timedelta) -> float:
    """Return the number by which a workbook knows a date, a time or a length of time, in days.

    It counts 1900-02-29, a day that never was, so that days before are one less.
    """
    if isinstance(at, time):
        at = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)
    if isinstance(at, timedelta):
        return at / _DAY
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day)  # noqa: DTZ001 - as above
    days = (at - _EPOCH) / _DAY
    return days if days > _LEAP_DAY else days - 1


def _dated(kind: Kind, value: float) -> Any:
    try:
        if kind is Kind.TIME and 0 <= value < 1:
            return (_MIDNIGHT + timedelta(seconds=round(value * 86_400))).time().isoformat()
        if kind is Kind.TIME or value < 0:
            # A length of time, such as 26:30, is no time of a day.
            return value
        at = from_excel(value)
    except (ValueError, OverflowError):
        return value
    if isinstance(at, time):
        return at.isoformat()
    if not isinstance(at, datetime):
        return value
    return at.date().isoformat() if kind is Kind.DATE else at.isoformat()


def _article(kind: Kind) -> str:
    return {Kind.TEXT: "text", Kind.BOOLEAN: "true or false", Kind.ANY: "a value"}.get(
        kind, f"a {kind.value}"
    )


def _shown(value: Any) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."

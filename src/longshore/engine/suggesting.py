"""What a filter that is being typed may become: names first, then values that there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, select

from longshore.engine.filtering import BARE, NAMES, quote
from longshore.engine.states import Reason, State
from longshore.engine.tables import queues, workers
from longshore.storage.texts import begins_with

SUGGESTED: Final = 12


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A filter that goes on from what was typed, and what its last word means."""

    text: str
    meaning: str


def suggest(connection: Connection, organisation_id: str, text: str) -> list[Suggestion]:
    """Return filters that begin with `text`, by its last word; quoted texts are left alone."""
    if "\0" in text or text.count('"') % 2:
        return []
    head, _, word = text.rpartition(" ")
    head = f"{head} " if head else ""
    sign = "-" if word.startswith("-") else ""
    name, colon, value = word.removeprefix("-").partition(":")
    if not colon:
        return [
            Suggestion(f"{head}{sign}{known}:", named.meaning)
            for known, named in NAMES.items()
            if known != BARE and known.startswith(name.casefold())
        ][:SUGGESTED]
    done, comma, part = value.rpartition(",")
    found = _VALUES.get(name, _none)(connection, organisation_id, part)
    begin = f"{head}{sign}{name}:{done}{comma}"
    return [Suggestion(begin + _written(each), NAMES[name].meaning) for each in found][:SUGGESTED]


def _written(value: str) -> str:
    return value if value.isalnum() else quote(value)


def _none(_connection: Connection, _organisation_id: str, _part: str) -> Iterable[str]:
    return ()


def _of(values: Iterable[str]) -> Callable[[Connection, str, str], Iterable[str]]:
    known = [str(value) for value in values]

    def find(_connection: Connection, _organisation_id: str, part: str) -> Iterable[str]:
        return [value for value in known if value.startswith(part.casefold())]

    return find


def _stored(
    column: ColumnElement[str], organisation: ColumnElement[str]
) -> Callable[[Connection, str, str], Iterable[str]]:
    """Return what finds the values of a column, those of one organisation only."""

    def find(connection: Connection, organisation_id: str, part: str) -> Iterable[str]:
        query = (
            select(column)
            .where(organisation == organisation_id, begins_with(column, part))
            .distinct()
            .order_by(column)
            .limit(SUGGESTED)
        )
        return connection.execute(query).scalars()

    return find


_VALUES: Final[dict[str, Callable[[Connection, str, str], Iterable[str]]]] = {
    "state": _of(State),
    "reason": _of(Reason),
    "final": _of(("yes", "no")),
    "held": _of(("yes", "no")),
    "since": _of(("1h", "1d", "7d")),
    "until": _of(("1h", "1d", "7d")),
    "finished_since": _of(("1h", "1d", "7d")),
    "finished_until": _of(("1h", "1d", "7d")),
    "queue": _stored(queues.c.name, queues.c.organisation_id),
    "surface": _stored(queues.c.surface, queues.c.organisation_id),
    "worker": _stored(workers.c.name, workers.c.organisation_id),
}

"""Flags: word from outside that a source system has delivered something for a business date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, or_, select, true, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import advancing, places, triggers
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.tables import scripts_flags

NAME_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that is set: names are compared as they are written, `date` is YYYY-MM-DD."""

    name: str
    system_name: str
    source_system_name: str
    date: str
    set_us: int
    set_by: str


def put(
    connection: Connection, organisation_id: str, flag: model.Flag, on: str, *, actor: str
) -> tuple[Flag, bool]:
    """Set a flag for a date; return it, and whether it was not set before.

    What waits for it goes on in this transaction. To set it again changes nothing.

    Raises:
        InvalidRequest: a name or the date cannot be used.
    """
    place = _place(organisation_id, flag, on)
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    fresh = connection.execute(
        dialect(scripts_flags)
        .values(**place, set_us=now_us(connection), set_by=actor)
        .on_conflict_do_nothing()
        .returning(scripts_flags.c.set_us)
    ).one_or_none()
    if fresh is not None:
        triggers.on_flag(connection, organisation_id, flag, on, actor=actor)
        for run_id in places.waiting_for_flag(connection, organisation_id, flag, on):
            advancing.advance(connection, run_id, actor=actor)
    row = connection.execute(select(scripts_flags).filter_by(**place)).one()
    return _flag(row), fresh is not None


def clear(connection: Connection, organisation_id: str, flag: model.Flag, on: str) -> Flag:
    """Take a flag back and return what it was; runs that it has started go on.

    Raises:
        NotFound: it is not set.
        InvalidRequest: a name or the date cannot be used.
    """
    place = _place(organisation_id, flag, on)
    row = connection.execute(select(scripts_flags).filter_by(**place)).one_or_none()
    if row is None:
        raise NotFound(
            f"The flag {flag.name!r} (system {flag.system_name!r}, source system "
            f"{flag.source_system_name!r}) is not set for {on}. `longshore flag list` shows those "
            "that are."
        )
    connection.execute(delete(scripts_flags).filter_by(**place))
    return _flag(row)


def listing(
    connection: Connection,
    organisation_id: str,
    wanted: Mapping[str, str | None],
    *,
    limit: int,
    offset: int = 0,
    after: Flag | None = None,
) -> list[Flag]:
    """Return flags that are set, the latest dates first; `wanted` gives values of columns.

    With `after`, only those behind that one.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    table = scripts_flags
    behind: ColumnElement[bool] = true()
    if after is not None:
        names = tuple_(table.c.name, table.c.system_name, table.c.source_system_name)
        place = (after.name, after.system_name, after.source_system_name)
        behind = or_(table.c.date < after.date, and_(table.c.date == after.date, names > place))
    rows = connection.execute(
        select(scripts_flags)
        .filter_by(organisation_id=organisation_id, **given)
        .where(behind)
        .order_by(
            scripts_flags.c.date.desc(),
            scripts_flags.c.name,
            scripts_flags.c.system_name,
            scripts_flags.c.source_system_name,
        )
        .limit(limit)
        .offset(offset)
    )
    return [_flag(row) for row in rows]


def _place(organisation_id: str, flag: model.Flag, on: str) -> dict[str, Any]:
    for what, text in (
        ("name", flag.name),
        ("systemName", flag.system_name),
        ("sourceSystemName", flag.source_system_name),
    ):
        if len(text) > NAME_CHARACTERS:
            raise TooLarge(
                f"The {what} of a flag may have {NAME_CHARACTERS} characters and this one has "
                f"{len(text)}. Shorten it."
            )
        if not text.isprintable():
            raise InvalidRequest(f"The {what} of the flag holds a control character. Remove it.")
    if not flag.name.strip():
        raise InvalidRequest("The name of the flag is empty. Give it a name.")
    return {
        "organisation_id": organisation_id,
        "name": flag.name,
        "system_name": flag.system_name,
        "source_system_name": flag.source_system_name,
        "date": parse_date(on).isoformat(),
    }


def _flag(row: Row[Any]) -> Flag:
    return Flag(
        name=row.name,
        system_name=row.system_name,
        source_system_name=row.source_system_name,
        date=row.date,
        set_us=row.set_us,
        set_by=row.set_by,
    )

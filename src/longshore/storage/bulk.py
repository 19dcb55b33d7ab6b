"""Many rows in one statement, the way each database likes it.

SQLAlchemy's own way through an insert costs several microseconds a column and row, more than
the database takes to store it; here the driver gets a flat list of values (SQLite) or one array
a column (PostgreSQL). The SQL is still made from the Core tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Connection,
    Float,
    FromClause,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.types import TypeEngine

CHUNKS: Final = (100, 10, 1)
"""Rows of one SQLite insert. A statement for a hundred rows takes half the time of a hundred
runs of one for a row; there are few sizes, so that SQLite keeps them all prepared."""

LARGE_CHARACTERS: Final = 1_000
"""Texts of more characters go to PostgreSQL in binary: to mark the quotes in long texts, and to
read them back, takes several times as long as the driver's own way with a list."""


def insert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    same: Mapping[str, Any] | None = None,
    replace_on: str | None = None,
) -> None:
    """Insert `rows`, given as tuples in the order of `columns`.

    Give plain str, not members of a StrEnum, which the SQLite driver takes a microsecond each to
    understand. `same` has further columns, whose value is the same in every row. With
    `replace_on`, a row whose value of that (unique) column is present replaces the other columns
    of the one there.
    """
    if not rows:
        return
    same = same or {}
    if connection.dialect.name == "sqlite":
        shared = tuple(same.values())
        begin = 0
        for size in CHUNKS:
            # The statement is asked for only when it is needed: each is some kilobytes of text.
            while len(rows) - begin >= size:
                statement = _sqlite_insert(table, columns, tuple(same), replace_on, size)
                chunk = rows[begin : begin + size]
                connection.exec_driver_sql(statement, (*shared, *chain.from_iterable(chunk)))
                begin += size
    else:
        kinds = _array_types(table, columns)
        given = list(zip(*rows, strict=True))
        large = tuple(map(_are_large, given, kinds))
        statement = _postgresql_insert(table, columns, tuple(same), replace_on, large)
        arrays = [
            list(values) if as_list else array_text(values, kind)
            for values, kind, as_list in zip(given, kinds, large, strict=True)
        ]
        connection.exec_driver_sql(statement, (*same.values(), *arrays))


def update_rows(
    connection: Connection,
    table: Table,
    key: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Set `columns` of the rows whose `key` is the first value of each tuple in `rows`."""
    if not rows:
        return
    names = (key, *columns)
    if connection.dialect.name == "sqlite":
        begin = 0
        for size in CHUNKS:
            while len(rows) - begin >= size:
                statement = _sqlite_update(table, names, size)
                chunk = rows[begin : begin + size]
                connection.exec_driver_sql(statement, tuple(chain.from_iterable(chunk)))
                begin += size
    else:
        arrays = [
            array_text(values, kind)
            for values, kind in zip(
                zip(*rows, strict=True), _array_types(table, names), strict=True
            )
        ]
        connection.exec_driver_sql(_postgresql_update(table, names), tuple(arrays))


@cache
def _sqlite_update(table: Table, names: tuple[str, ...], size: int) -> str:
    row = f"({', '.join('?' * len(names))})"
    return _update(table, names, f"VALUES {', '.join([row] * size)}")


@cache
def _postgresql_update(table: Table, names: tuple[str, ...]) -> str:
    arrays = ", ".join(f"%s::{kind}[]" for kind in _array_types(table, names))
    return _update(table, names, f"SELECT * FROM unnest({arrays})")  # noqa: S608 - our own names


def _update(table: Table, names: tuple[str, ...], source: str) -> str:
    key, *columns = names
    changes = ", ".join(f"{name} = given.{name}" for name in columns)
    # The names of the columns that VALUES makes differ; the list says ours.
    return (
        f"WITH given({', '.join(names)}) AS ({source}) "  # noqa: S608 - our own names
        f"UPDATE {table.name} SET {changes} FROM given WHERE {table.name}.{key} = given.{key}"
    )


@cache
def _sqlite_insert(
    table: Table, columns: tuple[str, ...], same: tuple[str, ...], replace_on: str | None, size: int
) -> str:
    # The values that are the same come first, and each row names them again by number.
    shared = [f"?{number}" for number in range(1, len(same) + 1)]
    width = len(columns)
    first = len(same) + 1
    groups = (
        [f"?{number}" for number in range(start, start + width)] + shared
        for start in range(first, first + size * width, width)
    )
    values = ", ".join(f"({', '.join(group)})" for group in groups)
    return _insert(table, (*columns, *same), f"VALUES {values}", replace_on)


@cache
def _postgresql_insert(
    table: Table,
    columns: tuple[str, ...],
    same: tuple[str, ...],
    replace_on: str | None,
    large: tuple[bool, ...],
) -> str:
    arrays = ", ".join(
        f"{'%b' if as_list else '%s'}::{kind}[]"
        for kind, as_list in zip(_array_types(table, columns), large, strict=True)
    )
    shared = "".join(f", %s::{kind}" for kind in _array_types(table, same))
    # Types come from our own metadata too.
    source = f"SELECT given.*{shared} FROM unnest({arrays}) AS given"  # noqa: S608
    return _insert(table, (*columns, *same), source, replace_on)


def _insert(table: Table, names: tuple[str, ...], source: str, replace_on: str | None) -> str:
    # Table and column names come from our own metadata, never from a request.
    # In quotes, since some are words of SQL, such as "offset".
    columns = ", ".join(f'"{name}"' for name in names)
    statement = f"INSERT INTO {table.name} ({columns}) {source}"
    if replace_on is not None:
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != replace_on)
        statement += f" ON CONFLICT ({replace_on}) DO UPDATE SET {changes}"
    return statement


def _are_large(values: Sequence[Any], kind: str) -> bool:
    """Whether values are better sent one by one in binary: long texts need no marks then."""
    return kind == "text" and isinstance(values[0], str) and len(values[0]) > LARGE_CHARACTERS


@cache
def _array_types(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_type_name(table.c[name].type) for name in columns)


def _type_name(kind: TypeEngine[Any]) -> str:
    for ours, theirs in (
        (BigInteger, "bigint"),
        (Integer, "integer"),
        (Float, "double precision"),
        (Boolean, "boolean"),
        (LargeBinary, "bytea"),
        (Text, "text"),
    ):
        if isinstance(kind, ours):
            return theirs
    raise TypeError(f"no array type is known for {kind!r}")


def array_text(values: Sequence[Any], kind: str) -> str:
    """Return an array as PostgreSQL writes it; the driver's own way takes ten times as long."""
    if kind == "text":
        parts = [
            "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for value in values
        ]
    elif kind == "bytea":
        parts = ["NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values]
    else:
        # Numbers and truth values are written as Python does, but for None.
        parts = ["NULL" if value is None else str(value) for value in values]
    return f"{{{','.join(parts)}}}"


def given_rows(dialect: str, **types: type[TypeEngine[Any]]) -> FromClause:
    """Return a relation of rows that a statement is given as parameters.

    Execute the statement with `given_parameters(dialect, rows)`. SQLite reads the rows from one
    JSON text, PostgreSQL from one array a column.
    """
    if dialect == "sqlite":
        source = func.json_each(bindparam("given_rows")).table_valued("value", name="given_source")
        columns = [
            literal_column(f"given_source.value ->> {position}", kinds()).label(name)
            for position, (name, kinds) in enumerate(types.items())
        ]
        return select(*columns).select_from(source).subquery("given")
    arrays = [
        cast(bindparam(f"given_{position}", type_=Text), ARRAY(kinds()))
        for position, kinds in enumerate(types.values())
    ]
    names = [column(name, kinds()) for name, kinds in types.items()]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def given_parameters(dialect: str, rows: Sequence[tuple[Any, ...]], width: int) -> dict[str, Any]:
    """Return the parameters that fill a relation made by `given_rows` with `width` columns."""
    if dialect == "sqlite":
        return {"given_rows": msgspec.json.encode(rows).decode()}
    columns = zip(*rows, strict=True) if rows else [()] * width
    return {
        f"given_{position}": array_text(values, _kind_of(values))
        for position, values in enumerate(columns)
    }


def _kind_of(values: Sequence[Any]) -> str:
    return "text" if any(isinstance(value, str) for value in values) else "number"

"""Many rows in one statement, the way each database likes it.

SQLAlchemy's own way through an insert costs several microseconds a column and row, more than
the database takes to store it; here the driver gets plain tuples (SQLite) or one array a column
(PostgreSQL). The SQL is still made from the Core tables.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

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
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.types import TypeEngine


def insert_rows(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    replace_on: str | None = None,
) -> None:
    """Insert `rows`, given as tuples in the order of `columns`.

    With `replace_on`, a row whose value of that (unique) column is present replaces the other
    columns of the one there.
    """
    if not rows:
        return
    statement = _insert_sql(connection.dialect.name, table, columns, replace_on)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement, list(rows))
    else:
        connection.exec_driver_sql(
            statement, tuple(list(values) for values in zip(*rows, strict=True))
        )


@cache
def _insert_sql(
    dialect: str, table: Table, columns: tuple[str, ...], replace_on: str | None
) -> str:
    names = ", ".join(columns)
    if dialect == "sqlite":
        source = f"VALUES ({', '.join('?' * len(columns))})"
    else:
        arrays = ", ".join(f"%s::{_array_type(table.c[name].type)}" for name in columns)
        source = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - see below
    # Table and column names come from our own metadata, never from a request.
    statement = f"INSERT INTO {table.name} ({names}) {source}"
    if replace_on is not None:
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != replace_on)
        statement += f" ON CONFLICT ({replace_on}) DO UPDATE SET {changes}"
    return statement


def _array_type(kind: TypeEngine[Any]) -> str:
    for ours, theirs in (
        (BigInteger, "bigint[]"),
        (Integer, "integer[]"),
        (Float, "double precision[]"),
        (Boolean, "boolean[]"),
        (LargeBinary, "bytea[]"),
        (Text, "text[]"),
    ):
        if isinstance(kind, ours):
            return theirs
    raise TypeError(f"no array type is known for {kind!r}")


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
        bindparam(f"given_{position}", type_=ARRAY(kinds()))
        for position, kinds in enumerate(types.values())
    ]
    names = [column(name, kinds()) for name, kinds in types.items()]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def given_parameters(dialect: str, rows: Sequence[tuple[Any, ...]], width: int) -> dict[str, Any]:
    """Return the parameters that fill a relation made by `given_rows` with `width` columns."""
    if dialect == "sqlite":
        return {"given_rows": json.dumps(rows)}
    columns = [list(values) for values in zip(*rows, strict=True)] if rows else [[]] * width
    return {f"given_{position}": values for position, values in enumerate(columns)}

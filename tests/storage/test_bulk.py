"""Rows that go in by the hundred come out as they were, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    select,
)

from longshore.storage import Database
from longshore.storage.bulk import CHUNKS, given_parameters, given_rows, insert_rows

TABLE = Table(
    "bulk_rows",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("body", Text),
    Column("big", BigInteger),
    Column("real", Float),
    Column("yes", Boolean),
    Column("raw", LargeBinary),
    Column("note", Text),
)
COLUMNS = ("id", "body", "big", "real", "yes", "raw")
TEXTS = [
    None, "", "plain", 'a "quoted" one', "back\\slash", "\\", '\\"', "{1,2}", "NULL", "null", "%s ?1 :x",
    "line\nbreak\ttab\r", "it's", "ünï ☃ 😀", ",", " lead and trail ",
]  # fmt: skip


@pytest.fixture
def rows(database: Database) -> Iterator[Database]:
    database.write_blocking(TABLE.create)
    yield database
    database.write_blocking(TABLE.drop)


def _made(count: int) -> list[tuple[Any, ...]]:
    return [
        (
            number,
            TEXTS[number % len(TEXTS)],
            None if number % 7 == 0 else number * 10**14 - 2**62,
            None if number % 5 == 0 else number / 3 - 1e300,
            None if number % 3 == 0 else number % 2 == 0,
            None if number % 4 == 0 else bytes(range(number % 256)),
        )
        for number in range(count)
    ]


def _all(connection: Connection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(select(TABLE).order_by(TABLE.c.id))]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, CHUNKS[0] - 1, CHUNKS[0], 2 * CHUNKS[0] + 37])
def test_rows_come_back_as_they_went_in(rows: Database, count: int) -> None:
    made = _made(count)
    rows.write_blocking(insert_rows, TABLE, COLUMNS, made)
    assert rows.read_blocking(_all) == [(*row, None) for row in made]


@pytest.mark.parametrize("first", ["long", "short", "none"])
def test_long_texts_come_back_as_they_went_in(rows: Database, first: str) -> None:
    begin = {"long": "y" * 5_000, "short": "y", "none": None}[first]
    texts = [begin, *(text and text * 2_000 for text in TEXTS)]
    made = [(number, text) for number, text in enumerate(texts)]
    rows.write_blocking(insert_rows, TABLE, ("id", "body"), made, same={"note": "%b"})
    found = [(row[0], row[1], row[6]) for row in rows.read_blocking(_all)]
    assert found == [(*row, "%b") for row in made]


@pytest.mark.parametrize("text", TEXTS)
def test_a_value_that_is_the_same_in_every_row_is_given_once(
    rows: Database, text: str | None
) -> None:
    made = [(number, "x") for number in range(113)]
    rows.write_blocking(insert_rows, TABLE, ("id", "body"), made, same={"note": text, "big": 7})
    found = [(row[0], row[1], row[2], row[6]) for row in rows.read_blocking(_all)]
    assert found == [(number, "x", 7, text) for number in range(113)]


def test_a_row_that_is_there_is_replaced_where_asked(rows: Database) -> None:
    rows.write_blocking(insert_rows, TABLE, ("id", "body"), [(1, "old"), (2, "stays")])
    rows.write_blocking(
        insert_rows,
        TABLE,
        ("id", "body"),
        [(1, "new"), (3, "more")],
        same={"note": "n"},
        replace_on="id",
    )
    found = [(row[0], row[1], row[6]) for row in rows.read_blocking(_all)]
    assert found == [(1, "new", "n"), (2, "stays", None), (3, "more", "n")]


def test_rows_given_to_a_statement_arrive_as_they_are(rows: Database) -> None:
    given = [(text, None if number % 2 else number - 2**60) for number, text in enumerate(TEXTS)]

    def ask(connection: Connection, some: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        dialect = connection.dialect.name
        source = given_rows(dialect, body=Text, big=BigInteger)
        parameters = given_parameters(dialect, some, 2)
        found = connection.execute(select(source.c.body, source.c.big), parameters)
        return [tuple(row) for row in found]

    assert rows.read_blocking(ask, given) == given
    assert rows.read_blocking(ask, [(None, 5)]) == [(None, 5)]
    assert rows.read_blocking(ask, []) == []

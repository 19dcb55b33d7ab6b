"""Documents in a table of their own on both databases, asked by filters."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    literal_column,
    select,
    union_all,
)

from longshore.storage import Database, open_database
from longshore.surfaces.buckets import query
from tests.conftest import PostgreSQLServer

TABLE = Table(
    "query_documents",
    MetaData(),
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("status", Text),
    Column("attempt", Integer, nullable=False),
    Column("start", Double),
    Column("document", Text, nullable=False),
)
FIELDS = query.Fields(
    TABLE.c.document,
    {
        "id": query.Column(TABLE.c.id, "text"),
        "status": query.Column(TABLE.c.status, "text"),
        "attempt": query.Column(TABLE.c.attempt, "number"),
        "start": query.Column(TABLE.c.start, "number"),
    },
)
COLUMNS = ("id", "status", "attempt", "start")
TENANT = "or_ours"
OTHER = "or_theirs"


@dataclass
class Rig:
    """One database with the table."""

    database: Database

    @property
    def dialect(self) -> str:
        return self.database.dialect

    def fill(self, documents: Sequence[dict[str, Any]], *, ascii_only: bool = False) -> None:
        """Put documents in place of all others; those of another tenant are the same.

        What lives in columns is taken out of the documents, and something wrong left there.
        """
        rows = [
            {
                "tenant": tenant,
                "id": document.get("id", str(index)),
                "status": document.get("status"),
                "attempt": document.get("attempt", 0),
                "start": document.get("start"),
                "document": json.dumps({**document, "attempt": "stale"}, ensure_ascii=ascii_only),
            }
            for index, document in enumerate(documents)
            for tenant in (TENANT, OTHER)
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(TABLE))
            connection.execute(insert(TABLE), rows)

        self.database.write_blocking(work)

    def condition(self, wanted: Any) -> ColumnElement[bool]:
        return query.condition(query.parse(wanted), FIELDS, self.dialect)

    def ask(self, *filters: Any) -> list[set[str]]:
        """Return, for each filter, the ids of our documents that match."""
        asked = [
            select(literal_column(str(number)).label("number"), TABLE.c.id).where(
                TABLE.c.tenant == TENANT, self.condition(wanted)
            )
            for number, wanted in enumerate(filters)
        ]
        rows = self.database.read_blocking(
            lambda connection: connection.execute(union_all(*asked)).all()
        )
        found: list[set[str]] = [set() for _ in filters]
        for number, id_ in rows:
            assert id_ not in found[number], "a document is found twice"
            found[number].add(id_)
        return found

    def tenants(self, wanted: Any) -> set[str]:
        """Return whose documents match when the caller adds the tenant himself."""
        statement = select(TABLE.c.tenant).where(TABLE.c.tenant == TENANT, self.condition(wanted))
        return set(
            self.database.read_blocking(lambda connection: connection.scalars(statement).all())
        )

    def in_order(self, sort: Any) -> list[str]:
        """Return the ids of our documents, sorted."""
        order = query.ordering(sort, FIELDS, self.dialect)
        statement = select(TABLE.c.id).where(TABLE.c.tenant == TENANT).order_by(*order)
        return list(
            self.database.read_blocking(lambda connection: connection.scalars(statement).all())
        )


def with_table(database: Database) -> Rig:
    """Return a database that has the table."""
    database.write_blocking(lambda connection: TABLE.create(connection, checkfirst=True))
    return Rig(database)


def both(directory: Path, server: PostgreSQLServer) -> AbstractContextManager[list[Rig]]:
    """Open a database of each kind, so that one test asks both the same."""

    @contextmanager
    def opened() -> Iterator[list[Rig]]:
        url = server.new_database()
        databases = [open_database(f"sqlite:///{directory}/query.db"), open_database(url)]
        try:
            yield [with_table(each) for each in databases]
        finally:
            for each in databases:
                each.close()
            server.drop(url)

    return opened()

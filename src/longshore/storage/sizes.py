"""How much room the database takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

_TABLES: Final = text(
    "SELECT relname, pg_total_relation_size(oid) AS bytes, reltuples::bigint AS rows "
    "FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace "
    "ORDER BY bytes DESC LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes; `rows` is the database's estimate."""

    name: str
    size_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """Bytes of the whole, of a SQLite file's write-ahead log, and of what is free inside of it.

    PostgreSQL tells the sizes of tables; SQLite would have to read all of its file for them.
    """

    total_bytes: int
    log_bytes: int
    free_bytes: int
    tables: tuple[TableSize, ...]


def measure(connection: Connection, path: str | None, *, most: int = 15) -> DatabaseSize:
    """Return the size of the database.

    Args:
        connection: a transaction.
        path: the file of a SQLite database.
        most: of how many tables, the largest first, the size is told.
    """
    if connection.dialect.name == "sqlite":
        pages, free, page_bytes = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        log = Path(f"{path}-wal")
        log_bytes = log.stat().st_size if path and log.is_file() else 0
        return DatabaseSize(pages * page_bytes + log_bytes, log_bytes, free * page_bytes, ())
    total = connection.scalar(text("SELECT pg_database_size(current_database())"))
    rows = connection.execute(_TABLES, {"most": most})
    tables = tuple(TableSize(row.relname, row.bytes, max(row.rows, 0)) for row in rows)
    return DatabaseSize(int(total or 0), 0, 0, tables)

"""Durable storage: one interface over SQLite and PostgreSQL, and the blob store beside it.

Everything above works in transactions: a plain function takes a SQLAlchemy Core `Connection`
as its first argument and is handed to `Database.write` or `Database.read`. When `write`
returns, the change is on disk (SQLite with `synchronous=FULL`, PostgreSQL with
`synchronous_commit=on`); when it raises, nothing of it is.
"""

from __future__ import annotations

from longshore.storage.database import (
    Database,
    after_commit,
    mark,
    notify,
    now_us,
    reclaim,
    tally_of,
    traceparent,
)
from longshore.storage.opening import open_database
from longshore.storage.schema import metadata

__all__ = [
    "Database",
    "after_commit",
    "mark",
    "metadata",
    "notify",
    "now_us",
    "open_database",
    "reclaim",
    "tally_of",
    "traceparent",
]

"""From a database address to an open, migrated database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from longshore.clock import Clock, SystemClock
from longshore.errors import ConfigurationError
from longshore.storage.database import Database
from longshore.storage.migrating import migrate as migrate_to_head
from longshore.storage.sqlite import SQLiteDatabase


def open_database(url: str, *, clock: Clock | None = None, migrate: bool = True) -> Database:
    """Open the database at `url` and bring its tables up to date.

    Args:
        url: sqlite:///PATH or postgresql://user:password@host:port/database.
        clock: where transactions take the time from; the machine's clock unless given.
        migrate: whether to bring the tables to the newest form.

    Raises:
        ConfigurationError: the address is unusable, or the database is from a newer version.
    """
    database = _connect(url, clock or SystemClock())
    if migrate:
        try:
            migrate_to_head(database)
        except BaseException:
            database.close()
            raise
    return database


def _connect(url: str, clock: Clock) -> Database:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            f"{url!r} is not a database address. Give sqlite:///PATH or "
            "postgresql://user:password@host:port/database."
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database:
        return SQLiteDatabase(Path(parsed.database), clock)
    if backend in ("postgresql", "postgres"):
        try:
            # Only here, so that the embedded database does not need the driver.
            from longshore.storage.postgresql import PostgreSQLDatabase  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "The PostgreSQL driver is not installed. Install it with: pip install 'longshore[postgres]'"
            ) from error
        return PostgreSQLDatabase(url.replace("postgres://", "postgresql://", 1), clock)
    raise ConfigurationError(
        f"{parsed.render_as_string(hide_password=True)!r} is not a supported database. Give "
        "sqlite:///PATH or postgresql://user:password@host:port/database."
    )

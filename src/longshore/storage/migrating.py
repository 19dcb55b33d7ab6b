"""Bring the tables of a database to the newest form, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from longshore.errors import ConfigurationError
from longshore.storage.database import Database

HEAD: Final = "0014"
"""The newest step; a test compares it with the newest file in migrations/versions."""

_SCRIPTS: Final = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Run the steps that are missing; does nothing when there are none.

    Raises:
        ConfigurationError: a newer version of Longshore has changed the tables since.
    """
    present = database.read_blocking(revision)
    # Alembic takes a third of a second to import, which an up-to-date server need not spend.
    if present == HEAD:
        return
    if present is not None and present > HEAD:
        raise ConfigurationError(
            f"The database is at step {present}, but this version of Longshore knows only steps up "
            f"to {HEAD}. Install the newer version that wrote it, or restore a back-up."
        )
    database.write_blocking(upgrade)


def revision(connection: Connection) -> str | None:
    """Return the step that the database is at, or None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, target: str = "head") -> None:
    """Run the missing steps up to `target` in the caller's transaction."""
    from alembic import command  # noqa: PLC0415 - slow to import, see migrate
    from alembic.config import Config  # noqa: PLC0415

    if connection.dialect.name == "postgresql":
        # Two servers that start at once must not both migrate.
        connection.execute(text("SELECT pg_advisory_xact_lock(7266)"))
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, target)

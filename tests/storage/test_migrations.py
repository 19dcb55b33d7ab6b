from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.schema import CreateIndex

import longshore.server.app  # noqa: F401 - it knows all tables
from longshore.engine import tables
from longshore.errors import ConfigurationError
from longshore.storage import Database, metadata, migrating, open_database
from tests.conftest import KINDS, PostgreSQLServer
from tests.storage.driving import Engine

VERSIONS = Path(migrating.__file__).parent / "migrations" / "versions"
EXPRESSION_INDEX = "ix_works_claim"
"""On SQLite, Alembic takes its descending column for another one; its SQL is compared instead."""


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database of each kind without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    url = server.empty_database()
    yield url
    server.drop(url)


def table_names(database: Database) -> set[str]:
    return database.read_blocking(lambda connection: set(inspect(connection).get_table_names()))


def differences(connection: Connection) -> list[Any]:
    def comparable(_object: object, name: str | None, kind: str, *_: object) -> bool:
        skipped = connection.dialect.name == "sqlite" and name == EXPRESSION_INDEX
        return not (kind == "index" and skipped)

    options = {"compare_type": True, "include_object": comparable}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def test_the_newest_step_is_the_one_that_servers_expect() -> None:
    newest = max(VERSIONS.glob("[0-9]*.py")).name
    assert newest.startswith(f"{migrating.HEAD}_")


def test_an_empty_database_gets_all_tables(empty_url: str) -> None:
    database = open_database(empty_url)
    assert table_names(database) == {*metadata.tables, "alembic_version"}
    assert database.read_blocking(migrating.revision) == migrating.HEAD
    database.close()


def test_the_steps_lead_to_exactly_the_tables_of_the_code(database: Database) -> None:
    assert database.read_blocking(differences) == []


def test_the_index_that_alembic_cannot_compare_is_the_one_of_the_code(database: Database) -> None:
    query = {
        "sqlite": "SELECT sql FROM sqlite_schema WHERE name = :name",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = :name",
    }[database.dialect]

    def look(connection: Connection) -> tuple[str, str]:
        found = connection.execute(text(query), {"name": EXPRESSION_INDEX}).scalar_one()
        index = next(one for one in tables.works.indexes if one.name == EXPRESSION_INDEX)
        return found, str(CreateIndex(index).compile(dialect=connection.dialect))

    found, wanted = database.read_blocking(look)
    assert plain(found) == plain(wanted)


def plain(statement: str) -> str:
    """Take away what PostgreSQL adds when it prints an index."""
    statement = re.sub(r"::text|USING btree|public\.|[()]", " ", statement)
    return " ".join(statement.split())


def test_check_constraints_are_those_of_the_code(database: Database) -> None:
    """Alembic does not compare them."""

    def look(connection: Connection) -> dict[str, set[str | None]]:
        inspector = inspect(connection)
        return {
            name: {check["name"] for check in inspector.get_check_constraints(name)}
            for name in metadata.tables
        }

    wanted = {
        name: {str(check.name) for check in table.constraints if isinstance(check, CheckConstraint)}
        for name, table in metadata.tables.items()
    }
    assert database.read_blocking(look) == wanted


def test_opening_again_changes_nothing(empty_url: str) -> None:
    for _ in range(3):
        database = open_database(empty_url)
        assert database.read_blocking(migrating.revision) == migrating.HEAD
        database.write_blocking(migrating.upgrade)  # even when asked to
        database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_url: str) -> None:
    database = open_database(database_url)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    database.write_blocking(lambda connection: connection.execute(newer).rowcount)
    database.close()
    with pytest.raises(ConfigurationError, match="Install the newer version"):
        open_database(database_url)
    again = open_database(database_url, migrate=False)
    assert again.read_blocking(migrating.revision) == "9999"
    again.close()


FAILING_STEP = """
from alembic import op
import sqlalchemy as sa

revision = "9000"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("half_done", sa.Column("id", sa.Integer, primary_key=True))
    op.add_column("works", sa.Column("half_done", sa.Text))
    op.execute("DELETE FROM queues")
    op.execute("SELECT no_such_column FROM works")
"""


def test_a_step_that_fails_leaves_the_database_as_it_was(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(VERSIONS.parent, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9000_failing.py").write_text(
        FAILING_STEP.format(head=migrating.HEAD), encoding="utf-8"
    )
    monkeypatch.setattr(migrating, "_SCRIPTS", scripts)
    monkeypatch.setattr(migrating, "HEAD", "9000")
    work_id = engine.submit()
    before = table_names(engine.database)
    with pytest.raises(DBAPIError, match="no_such_column"):
        migrating.migrate(engine.database)
    assert table_names(engine.database) == before
    assert engine.see(migrating.revision) == max(VERSIONS.glob("0*.py")).name[:4]
    assert engine.claimed() == [work_id]


def test_a_first_start_that_fails_can_be_repeated(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "migrations"
    shutil.copytree(VERSIONS.parent, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9000_failing.py").write_text(
        FAILING_STEP.format(head=migrating.HEAD), encoding="utf-8"
    )
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "_SCRIPTS", scripts)
        with pytest.raises(DBAPIError, match="no_such_column"):
            open_database(empty_url)
    database = open_database(empty_url, migrate=False)
    assert table_names(database) == set()
    database.close()
    database = open_database(empty_url)
    assert database.read_blocking(migrating.revision) == migrating.HEAD
    database.close()


NONSENSE = [
    # A work at this place, changed by hand like this, is refused by this constraint.
    ("queued", "state = 'paused'", "ck_works_state"),
    ("queued", "reason = 'felt like it'", "ck_works_reason"),
    ("queued", "state = 'running'", "ck_works_lease"),
    ("queued", "lease_until_us = 5", "ck_works_lease"),
    ("waiting", "lease_until_us = 5", "ck_works_lease"),
    ("running", "lease_until_us = NULL", "ck_works_lease"),
    ("running", "state = 'queued'", "ck_works_lease"),
    ("cancelling", "state = 'cancelled', finished_us = 5", "ck_works_lease"),
    ("running", "finished_us = 5", "ck_works_finished"),
    ("queued", "finished_us = 5", "ck_works_finished"),
    ("waiting", "state = 'success'", "ck_works_finished"),
    ("queued", "state = 'failure'", "ck_works_finished"),
    ("queued", "state = 'cancelled'", "ck_works_finished"),
    ("success", "finished_us = NULL", "ck_works_finished"),
    ("failure", "finished_us = NULL", "ck_works_finished"),
    ("cancelled", "state = 'waiting'", "ck_works_finished"),
    ("success", "state = 'running', lease_until_us = 5", "ck_works_finished"),
    ("success", "retry_us = 5", "ck_works_retry"),
    ("cancelled", "retry_us = 5", "ck_works_retry"),
    ("queued", "retry_us = 5", "ck_works_retry"),
    ("running", "retry_us = 5", "ck_works_retry"),
    ("retrying", "state = 'success'", "ck_works_retry"),
    ("queued", "attempt = -1", "ck_works_attempts"),
    ("queued", "attempts_max = 0", "ck_works_attempts"),
]


def test_each_constraint_of_works_is_tried() -> None:
    checks = {c.name for c in tables.works.constraints if isinstance(c, CheckConstraint)}
    assert {constraint for _, _, constraint in NONSENSE} == checks


def test_the_database_refuses_works_that_cannot_be(engine: Engine) -> None:
    for place, change, constraint in NONSENSE:
        work_id = engine.at(place)
        before = engine.work(work_id)
        statement = text(f"UPDATE works SET {change} WHERE id = :id")
        with pytest.raises(IntegrityError, match=constraint):
            engine.do(lambda connection: connection.execute(statement, {"id": work_id}))  # noqa: B023
        assert engine.work(work_id) == before, (place, change)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'lost'", "ck_artifacts_state"),
        ("state = 'stored', sha256 = NULL", "ck_artifacts_stored"),
    ],
)
def test_the_database_refuses_blobs_that_cannot_be(
    engine: Engine, change: str, constraint: str
) -> None:
    insert = text(
        "INSERT INTO artifacts (id, organisation_id, state, media_type, created_us) "
        "VALUES ('bl_1', 'og', 'pending', 'text/plain', 0)"
    )
    engine.do(lambda connection: connection.execute(insert).rowcount)
    statement = text(f"UPDATE artifacts SET {change}")
    with pytest.raises(IntegrityError, match=constraint):
        engine.do(lambda connection: connection.execute(statement))


def test_a_worker_serves_only_queues_that_there_are(engine: Engine) -> None:
    statement = text("INSERT INTO worker_queues (worker_id, queue_id) VALUES ('wr_1', 4711)")
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        engine.do(lambda connection: connection.execute(statement))

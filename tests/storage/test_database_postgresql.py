"""Lost connections, deadlocks, notifications and leadership."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from longshore.clock import ManualClock
from longshore.errors import DiskFull, ServerFault, Unavailable
from longshore.storage import Database, notify, open_database
from longshore.storage.postgresql import TRIES
from tests.conftest import PostgreSQLServer
from tests.storage.test_database import add, heard_by, names, reaches
from tests.storage.waiting import PATIENCE_S, until

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def administrator(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection beside the pool's, to break things with."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def other(database_url: str, clock: ManualClock) -> Iterator[Database]:
    """A second server on the same database."""
    opened = open_database(database_url, clock=clock)
    yield opened
    opened.close()


def kill_all(administrator: psycopg.Connection) -> int:
    """Close all other connections to the database from the server's side."""
    return administrator.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).rowcount


def backend(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def killed_at_first(
    administrator: psycopg.Connection, pids: list[int]
) -> Callable[[Connection], str]:
    """Return a write whose connection is lost half-way through its first try."""

    def run(connection: Connection) -> str:
        add(connection, "half")
        pids.append(backend(connection))
        if len(pids) == 1:
            administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (pids[0],))
        return add(connection, "whole")

    return run


def test_a_write_whose_connection_is_lost_is_made_again(
    database: Database, administrator: psycopg.Connection
) -> None:
    pids: list[int] = []
    assert database.write_blocking(killed_at_first(administrator, pids)) == "whole"
    assert len(set(pids)) == 2
    assert database.read_blocking(names) == ["half", "whole"]


def test_a_read_whose_connection_is_lost_is_made_again(
    database: Database, administrator: psycopg.Connection
) -> None:
    pids: list[int] = []

    def read(connection: Connection) -> list[str]:
        pids.append(backend(connection))
        if len(pids) == 1:
            administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (pids[0],))
        return names(connection)

    assert database.read_blocking(read) == []
    assert len(pids) == 2


def test_a_write_that_loses_every_connection_is_unavailable_and_leaves_nothing(
    database: Database, administrator: psycopg.Connection
) -> None:
    tries = 0

    def run(connection: Connection) -> None:
        nonlocal tries
        tries += 1
        add(connection, "half")
        pid = backend(connection)
        administrator.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
        add(connection, "never")

    with pytest.raises(Unavailable, match="Nothing was stored"):
        database.write_blocking(run)
    assert tries == TRIES
    assert database.read_blocking(names) == []


def test_connections_lost_between_transactions_are_not_noticed(
    database: Database, administrator: psycopg.Connection
) -> None:
    database.write_blocking(add, "a")
    for name in ("b", "c"):
        assert kill_all(administrator) > 0
        assert database.write_blocking(add, name) == name
        assert database.read_blocking(names)[-1] == name


def test_a_connection_lost_during_the_commit_leaves_the_outcome_open_and_says_so(
    database: Database, administrator: psycopg.Connection
) -> None:
    """The server dies after the COMMIT was sent: nobody can know, so it is not made again."""
    administrator.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
    )
    administrator.execute(
        "CREATE CONSTRAINT TRIGGER dies_at_commit AFTER INSERT ON queues "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"
    )
    tries: list[int] = []

    def run(connection: Connection) -> None:
        tries.append(1)
        add(connection, "perhaps")

    with pytest.raises(Unavailable, match="not known whether the change was stored"):
        database.write_blocking(run)
    assert len(tries) == 1
    administrator.execute("DROP TRIGGER dies_at_commit ON queues")
    assert database.write_blocking(add, "certainly") == "certainly"


def test_a_database_that_refuses_connections_is_unavailable(
    database: Database,
    database_url: str,
    administrator: psycopg.Connection,
    postgresql_server: PostgreSQLServer,
) -> None:
    database.write_blocking(add, "a")
    name = database_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(postgresql_server.uri, autocommit=True) as outside:
        outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        kill_all(administrator)
        with pytest.raises(Unavailable):
            database.write_blocking(add, "b")
        with pytest.raises(Unavailable):
            database.read_blocking(names)
        outside.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert database.write_blocking(add, "c") == "c"
    assert database.read_blocking(names) == ["a", "c"]


def test_a_deadlock_is_resolved_by_making_one_of_the_writes_again(database: Database) -> None:
    for name in ("a", "b"):
        database.write_blocking(add, name)
    together = threading.Barrier(2)
    tries: list[str] = []

    def rename(first: str, second: str) -> str:
        meet = True

        def run(connection: Connection) -> None:
            nonlocal meet
            tries.append(first)
            for position, name in enumerate((first, second)):
                connection.execute(
                    text(
                        "UPDATE queues SET held_why = concat(held_why, CAST(:by AS text)) WHERE name = :name"
                    ),
                    {"name": name, "by": first},
                )
                if position == 0 and meet:
                    meet = False
                    together.wait(timeout=30)

        database.write_blocking(run)
        return first

    with ThreadPoolExecutor(2) as threads:
        one, two = threads.submit(rename, "a", "b"), threads.submit(rename, "b", "a")
        assert {one.result(timeout=60), two.result(timeout=60)} == {"a", "b"}
    assert len(tries) >= 3
    query = text("SELECT held_why FROM queues")
    found = database.read_blocking(lambda connection: set(connection.execute(query).scalars()))
    assert found in ({"ab"}, {"ba"}), "each was made once, one after the other"


def raising(sqlstate: str, *, times: int) -> tuple[Callable[[Connection], str], list[int]]:
    """Return a write that PostgreSQL refuses so many times, and where its tries are counted."""
    tries: list[int] = []

    def run(connection: Connection) -> str:
        tries.append(1)
        add(connection, "row")
        if len(tries) <= times:
            connection.exec_driver_sql(
                f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$"
            )
        return "done"

    return run, tries


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_transaction_that_postgresql_gave_up_is_made_again(
    database: Database, sqlstate: str
) -> None:
    run, tries = raising(sqlstate, times=TRIES - 1)
    assert database.write_blocking(run) == "done"
    assert len(tries) == TRIES
    assert database.read_blocking(names) == ["row"]


@pytest.mark.parametrize(
    ("sqlstate", "error", "told", "tries_made"),
    [
        ("40001", ServerFault, "Try again", TRIES),
        ("53100", DiskFull, "Free some space", 1),
        ("57P01", Unavailable, "Nothing was stored", 1),
        ("22012", DBAPIError, "refused", 1),
    ],
)
def test_what_postgresql_says_of_its_surroundings_becomes_an_error_of_ours(
    database: Database, sqlstate: str, error: type[Exception], told: str, tries_made: int
) -> None:
    run, tries = raising(sqlstate, times=99)
    with pytest.raises(error, match=told):
        database.write_blocking(run)
    assert len(tries) == tries_made
    assert database.read_blocking(names) == []


def test_topics_reach_other_servers(database: Database, other: Database) -> None:
    topics, _ = heard_by(other)
    database.write_blocking(notify, "queue:7")
    until(lambda: "queue:7" in topics)


def test_a_listener_that_lost_its_connection_says_that_topics_may_be_missing(
    database: Database, other: Database, administrator: psycopg.Connection
) -> None:
    topics, _ = heard_by(other)
    topics.clear()
    kill_all(administrator)
    until(lambda: "*" in topics)
    until(lambda: reaches(database, topics, "again"))


async def test_one_server_at_a_time_leads(database: Database, other: Database) -> None:
    assert await database.lead("janitor")
    assert not await other.lead("janitor")
    assert await database.lead("janitor")
    assert await other.lead("scheduler")
    assert not await database.lead("scheduler")
    database.close()
    # The server may need a moment to see that the connection is gone.
    deadline = time.monotonic() + PATIENCE_S
    while not await other.lead("janitor"):
        assert time.monotonic() < deadline


async def test_leadership_goes_with_the_connection_that_held_it(
    database: Database, other: Database, administrator: psycopg.Connection
) -> None:
    assert await database.lead("janitor")
    kill_all(administrator)
    assert not await database.lead("janitor"), "it cannot know who leads now"
    led = [await database.lead("janitor"), await other.lead("janitor")]
    assert led.count(True) == 1


def test_every_connection_asks_for_durable_commits(database: Database) -> None:
    setting = text("SHOW synchronous_commit")
    assert database.write_blocking(lambda c: c.execute(setting).scalar_one()) == "on"

"""What a database promises on SQLite and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from longshore.clock import ManualClock
from longshore.errors import ConfigurationError, Conflict, LongshoreError, Unavailable
from longshore.storage import Database, after_commit, notify, now_us, open_database
from tests.storage.waiting import until


def add(connection: Connection, name: str) -> str:
    """Insert a queue of that name; the plainest row there is."""
    connection.execute(
        text(
            "INSERT INTO queues (organisation_id, surface, name, attempts_max, backoff_s,"
            " backoff_max_s, created_us) VALUES ('og', 'test', :name, 1, 1, 1, 0)"
        ),
        {"name": name},
    )
    return name


def names(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT name FROM queues ORDER BY id")).scalars())


async def test_what_a_write_did_is_there_for_the_next_read(database: Database) -> None:
    assert await database.write(add, "a") == "a"
    assert await database.read(names) == ["a"]
    assert database.write_blocking(add, "b") == "b"
    assert database.read_blocking(names) == ["a", "b"]


async def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def add_and_fail(connection: Connection) -> None:
        add(connection, "a")
        raise Conflict("not today")

    with pytest.raises(Conflict, match="not today"):
        await database.write(add_and_fail)
    assert await database.read(names) == []
    assert await database.write(add, "b") == "b"


def test_what_was_written_outlives_the_database_object(
    database_url: str, clock: ManualClock
) -> None:
    for name in ("a", "b"):
        database = open_database(database_url, clock=clock)
        database.write_blocking(add, name)
        database.close()
    database = open_database(database_url, clock=clock)
    assert database.read_blocking(names) == ["a", "b"]
    database.close()


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises((DBAPIError, LongshoreError)):
        database.read_blocking(add, "a")
    assert database.read_blocking(names) == []
    assert database.write_blocking(add, "b") == "b"


def test_a_closed_database_says_so(database: Database) -> None:
    database.close()
    with pytest.raises(Unavailable, match="stopping"):
        database.write_blocking(add, "a")
    with pytest.raises(Unavailable, match="stopping"):
        database.read_blocking(names)
    database.close()


async def test_a_closed_database_leads_nothing(database: Database) -> None:
    assert await database.lead("janitor")
    database.close()
    assert not await database.lead("janitor")


def test_closing_finishes_what_is_under_way(database_url: str, clock: ManualClock) -> None:
    database = open_database(database_url, clock=clock)
    started, go_on = threading.Event(), threading.Event()

    def add_slowly(connection: Connection) -> str:
        started.set()
        assert go_on.wait(timeout=30)
        return add(connection, "slow")

    slow = database.submit_write(add_slowly)
    assert started.wait(timeout=30)
    waiting = [database.submit_write(partial(add, name=f"w{n}")) for n in range(3)]
    closing = threading.Thread(target=database.close)
    closing.start()
    until(lambda: _refuses(database))
    go_on.set()
    closing.join(timeout=30)
    assert slow.result(timeout=0) == "slow"
    assert [future.result(timeout=0) for future in waiting] == ["w0", "w1", "w2"]
    again = open_database(database_url, clock=clock)
    assert set(again.read_blocking(names)) == {"slow", "w0", "w1", "w2"}
    again.close()


def _refuses(database: Database) -> bool:
    try:
        database.submit_read(names).result(timeout=30)
    except Unavailable:
        return True
    return False


def test_the_time_of_a_transaction_is_that_of_the_databases_clock(
    database: Database, clock: ManualClock
) -> None:
    assert database.read_blocking(now_us) == clock.now_us()
    clock.advance(-5)
    assert database.write_blocking(now_us) == clock.now_us()


def heard_by(database: Database) -> tuple[list[str], Callable[[], None]]:
    """Subscribe; return the list of topics heard, and what ends the subscription."""
    topics: list[str] = []
    end = database.subscribe(topics.append)
    # PostgreSQL's listener may still be connecting; what it missed it cannot pass on.
    until(lambda: reaches(database, topics, "ready"))
    return topics, end


def reaches(database: Database, topics: list[str], topic: str) -> bool:
    database.write_blocking(notify, topic)
    return topic in topics


def test_a_topic_is_published_once_after_its_transaction(database: Database) -> None:
    topics, _ = heard_by(database)

    def add_and_tell(connection: Connection) -> None:
        add(connection, "a")
        notify(connection, "queue:7")
        notify(connection, "queue:7")
        assert "queue:7" not in topics

    database.write_blocking(add_and_tell)
    until(lambda: "queue:7" in topics)
    database.write_blocking(notify, "end")
    until(lambda: "end" in topics)
    assert topics.count("queue:7") == 1


def test_effects_of_a_transaction_that_failed_are_dropped(database: Database) -> None:
    topics, _ = heard_by(database)
    called: list[str] = []

    def tell_and_fail(connection: Connection) -> None:
        notify(connection, "queue:7")
        after_commit(connection, lambda: called.append("callback"))
        raise LookupError

    with pytest.raises(LookupError):
        database.write_blocking(tell_and_fail)
    database.write_blocking(notify, "end")
    until(lambda: "end" in topics)
    assert "queue:7" not in topics
    assert called == []


def test_a_callback_runs_once_the_transaction_can_be_read(database: Database) -> None:
    seen: list[list[str]] = []

    def add_and_call(connection: Connection) -> None:
        add(connection, "a")
        after_commit(connection, lambda: seen.append(database.read_blocking(names)))

    database.write_blocking(add_and_call)
    until(lambda: seen)
    assert seen == [["a"]]


def test_a_callback_that_fails_does_not_make_the_write_look_failed(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def add_and_call(connection: Connection) -> str:
        after_commit(connection, _explode)
        return add(connection, "a")

    assert database.write_blocking(add_and_call) == "a"
    assert database.write_blocking(add, "b") == "b"
    assert "a callback after a commit failed" in caplog.text


def test_a_subscriber_that_fails_takes_nothing_down(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.subscribe(_explode)
    topics, _ = heard_by(database)
    for topic in ("one", "two"):
        database.write_blocking(notify, topic)
    until(lambda: {"one", "two"} <= set(topics))
    assert "a subscriber failed on topic" in caplog.text


def _explode(*_: str) -> None:
    raise RuntimeError("of its own making")


def test_an_ended_subscription_hears_nothing_more(database: Database) -> None:
    ended, end = heard_by(database)
    topics, _ = heard_by(database)
    end()
    end()
    database.write_blocking(notify, "queue:7")
    until(lambda: "queue:7" in topics)
    assert "queue:7" not in ended


async def test_many_writers_and_readers_at_once_lose_nothing(database: Database) -> None:
    written = [f"w{number}" for number in range(200)]

    async def write_and_read(name: str) -> bool:
        await database.write(add, name)
        return name in await database.read(names)

    assert all(await asyncio.gather(*map(write_and_read, written)))
    assert sorted(await database.read(names)) == sorted(written)


async def test_a_write_may_make_a_savepoint_of_its_own(database: Database) -> None:
    def add_two(connection: Connection) -> None:
        add(connection, "kept")
        savepoint = connection.begin_nested()
        add(connection, "dropped")
        savepoint.rollback()
        add(connection, "also kept")

    # Together, so that they share a commit where the database does that.
    await asyncio.gather(database.write(add_two), database.write(add, "beside"))
    assert set(await database.read(names)) == {"kept", "also kept", "beside"}


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:////no/such/folder/x.db"]
)
def test_an_address_that_cannot_be_used_is_refused_in_words(url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        open_database(url)
    assert len(refusal.value.message) > 40


def test_a_server_that_is_not_there_is_a_matter_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match="Check the address") as refusal:
        open_database("postgresql://ann:secret@127.0.0.1:1/longshore")
    assert "secret" not in refusal.value.message


def test_a_file_that_is_no_database_is_refused(tmp_path: object) -> None:
    path = f"{tmp_path}/notes.txt"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path as a text
        file.write("not a database, but long enough to be looked at " * 50)
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        open_database(f"sqlite:///{path}")


def test_a_database_describes_itself(database: Database) -> None:
    assert "durable" in database.describe()
    assert ("FULL" in database.describe()) == (database.dialect == "sqlite")

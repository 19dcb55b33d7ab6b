"""Group commit, and a disk that is full."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from longshore.errors import DiskFull, LongshoreError, Unavailable
from longshore.storage import after_commit, notify
from longshore.storage.sqlite import BATCH_WRITES, SQLiteDatabase
from tests.storage.test_database import add, names

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def busy(database: SQLiteDatabase) -> Iterator[None]:
    """Keep the writer busy, so that what is written meanwhile waits and shares one commit."""
    started, go_on = threading.Event(), threading.Event()

    def block(_: Connection) -> None:
        started.set()
        assert go_on.wait(timeout=30)

    blocked = database.submit_write(block)
    assert started.wait(timeout=30)
    try:
        yield
    finally:
        go_on.set()
        blocked.result(timeout=30)


def adding(name: str) -> Callable[[Connection], str]:
    return lambda connection: add(connection, name)


def failing(name: str) -> Callable[[Connection], str]:
    def run(connection: Connection) -> str:
        add(connection, name)
        notify(connection, name)
        after_commit(connection, lambda: pytest.fail("a dropped effect was run"))
        raise LookupError(name)

    return run


def test_writes_that_wait_are_committed_together_and_in_order(database: SQLiteDatabase) -> None:
    with busy(database):
        before = database.batches
        futures = [database.submit_write(adding(f"w{number}")) for number in range(50)]
    assert [future.result(timeout=30) for future in futures] == [f"w{n}" for n in range(50)]
    assert database.batches - before == 1
    assert database.read_blocking(names) == [f"w{number}" for number in range(50)]


def test_a_batch_is_bounded(database: SQLiteDatabase) -> None:
    with busy(database):
        before = database.batches
        futures = [database.submit_write(adding(f"w{n}")) for n in range(BATCH_WRITES + 1)]
    assert len({future.result(timeout=30) for future in futures}) == BATCH_WRITES + 1
    assert database.batches - before == 2


def test_a_failing_write_takes_nothing_else_of_its_batch_with_it(database: SQLiteDatabase) -> None:
    topics: list[str] = []
    database.subscribe(topics.append)
    with busy(database):
        before = database.batches
        works = [adding("a"), failing("b"), adding("c"), failing("d"), _telling("e")]
        futures: list[Future[str]] = [database.submit_write(work) for work in works]
    errors = [future.exception(timeout=30) for future in futures]
    assert [type(error) for error in errors] == [
        type(None), LookupError, type(None), LookupError, type(None),
    ]  # fmt: skip
    assert database.batches - before == 1
    assert database.read_blocking(names) == ["a", "c", "e"]
    database.write_blocking(add, "f")  # whatever the batch published is out by now
    assert topics == ["e"]


def _telling(name: str) -> Callable[[Connection], str]:
    def run(connection: Connection) -> str:
        notify(connection, name)
        return add(connection, name)

    return run


def test_a_statement_that_the_database_refuses_fails_alone(database: SQLiteDatabase) -> None:
    database.write_blocking(add, "a")
    with busy(database):
        futures = [database.submit_write(adding(name)) for name in ("b", "a", "c")]
    assert [future.exception(timeout=30) is None for future in futures] == [True, False, True]
    assert database.read_blocking(names) == ["a", "b", "c"]


async def test_a_write_whose_caller_gave_up_before_its_turn_is_not_made(
    database: SQLiteDatabase,
) -> None:
    with busy(database):
        task = asyncio.create_task(database.write(add, "given up"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        kept = database.submit_write(adding("kept"))
    assert kept.result(timeout=30) == "kept"
    assert database.read_blocking(names) == ["kept"]


def test_what_a_write_acknowledged_is_in_the_files(
    database: SQLiteDatabase, tmp_path: Path
) -> None:
    """A copy of the files as they are, as after a kill, has it."""
    for number in range(20):
        database.write_blocking(add, f"w{number}")
        copy = tmp_path / f"copy{number}.db"
        shutil.copy(database.path, copy)
        shutil.copy(f"{database.path}-wal", f"{copy}-wal")
        with sqlite3.connect(copy) as connection:
            assert connection.execute("SELECT count(*) FROM queues").fetchone() == (number + 1,)
        connection.close()


def test_the_writer_is_set_up_for_durability(database: SQLiteDatabase) -> None:
    def pragma(connection: Connection) -> dict[str, Any]:
        names = ("synchronous", "journal_mode", "foreign_keys", "auto_vacuum")
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names}

    assert database.write_blocking(pragma) == {
        "synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "auto_vacuum": 2,
    }  # fmt: skip


def test_closing_leaves_one_file(database: SQLiteDatabase) -> None:
    database.write_blocking(add, "a")
    database.read_blocking(names)
    database.close()
    assert [path.name for path in database.path.parent.iterdir()] == [database.path.name]


def fill_the_disk(database: SQLiteDatabase, *, spare_pages: int = 0) -> None:
    """Let the file grow no further, as on a disk without space."""

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + spare_pages}")

    database.write_blocking(limit)


def free_the_disk(database: SQLiteDatabase) -> None:
    database.write_blocking(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    )


def adding_much(name: str, *, rows: int = 1) -> Callable[[Connection], str]:
    """Write far more than a page, in one statement of `rows` rows."""

    def run(connection: Connection) -> str:
        add(connection, name)
        connection.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
                " INSERT INTO payloads SELECT :name || i, :payload FROM n"
            ),
            {"name": name, "rows": rows, "payload": "x" * 100_000},
        )
        return name

    return run


@pytest.mark.parametrize("rows", [1, 20])
def test_a_full_disk_fails_the_write_and_reads_go_on(database: SQLiteDatabase, rows: int) -> None:
    database.write_blocking(add, "before")
    fill_the_disk(database, spare_pages=2)
    with pytest.raises(DiskFull, match="Free some space"):
        database.write_blocking(adding_much("big", rows=rows))
    assert database.read_blocking(names) == ["before"]
    assert database.write_blocking(add, "small") == "small"
    free_the_disk(database)
    assert database.write_blocking(adding_much("big")) == "big"
    assert database.read_blocking(names) == ["before", "small", "big"]


@pytest.mark.parametrize("rows", [1, 20])
def test_a_full_disk_fails_only_those_of_a_batch_that_do_not_fit(
    database: SQLiteDatabase, rows: int
) -> None:
    fill_the_disk(database, spare_pages=2)
    works = [adding("a"), adding_much("big", rows=rows), failing("b"), adding("c")]
    with busy(database):
        futures = [database.submit_write(work) for work in works]
    errors = [type(future.exception(timeout=30)) for future in futures]
    assert errors == [type(None), DiskFull, LookupError, type(None)]
    assert database.read_blocking(names) == ["a", "c"]
    free_the_disk(database)
    assert database.write_blocking(adding_much("big", rows=rows)) == "big"


def test_a_table_that_the_disk_took_the_use_of_is_unavailable(database: SQLiteDatabase) -> None:
    """A statement that fails for the surroundings, not for itself, may be tried again."""

    def read_only(connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")

    database.write_blocking(read_only)
    with pytest.raises(Unavailable, match="Check the disk") as error:
        database.write_blocking(add, "a")
    assert isinstance(error.value, LongshoreError)

"""SQLite: one writer thread with one connection, and readers that cannot write.

Waiting writes are committed together, each in a savepoint of its own, so that one fsync serves
them all and a failing one takes nothing else with it. The writer's connection also does the
checkpoints: SQLite before 3.51.3 can corrupt a WAL file when two connections write or
checkpoint at the same instant, so no second connection may ever do either.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool, StaticPool

from longshore.clock import Clock
from longshore.errors import ConfigurationError, DiskFull, LongshoreError, Unavailable
from longshore.storage import automaton, faults
from longshore.storage.database import Database, Effects, enter

T = TypeVar("T")

BATCH_WRITES: Final = 256
READERS: Final = 4
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    future: Future[T]
    value: T | None = None
    error: BaseException | None = None


class SQLiteDatabase(Database):
    """The embedded database of a single server process."""

    dialect: ClassVar[str] = "sqlite"

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open (or create) the file at `path` and start the writer."""
        super().__init__(clock)
        self.path = path
        self._writer_engine = _writer_engine(path)
        self._connection = _first_connection(self._writer_engine, path)
        self._reader_engine = _reader_engine(path)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._waiting: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._accepting = threading.Lock()
        self._closed = False
        self.batches = 0
        self.writes = 0
        self._writer = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._writer.start()

    def submit_write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue `work` for the writer thread."""
        future: Future[T] = Future()
        with self._accepting:
            if self._closed:
                raise Unavailable(
                    "The database is closed because the server is stopping. Try again later."
                )
            self._waiting.put(_Write(work, future))
        return future

    def submit_read(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a reader thread."""
        if self._closed:
            raise Unavailable(
                "The database is closed because the server is stopping. Try again later."
            )
        return self._readers.submit(self._read, work)

    @property
    def waiting(self) -> int:
        """How many writes wait for the writer now."""
        return self._waiting.qsize()

    async def lead(self, name: str) -> bool:
        """Return True: there is only one server on a SQLite file."""
        return not self._closed

    def describe(self) -> str:
        """Return product, version and durability."""
        return f"SQLite {sqlite3.sqlite_version}, durable (synchronous=FULL), {self.path}"

    def close(self) -> None:
        """Commit what waits, write the WAL back into the file and close it."""
        with self._accepting:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
        self._writer.join()
        self._readers.shutdown(wait=True)
        self._reader_engine.dispose()
        self._connection.close()
        self._writer_engine.dispose()

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reader_engine.connect() as connection, connection.begin():
                enter(connection, self)
                return work(connection)
        except DBAPIError as error:
            raise _translate(error) from error

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            last = False
            while len(batch) < BATCH_WRITES and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    last = True
                    break
                batch.append(following)
            self._commit([write for write in batch if write.future.set_running_or_notify_cancel()])
            if last:
                return

    def _commit(self, batch: list[_Write[Any]]) -> None:
        if not batch:
            return
        self.batches += 1
        self.writes += len(batch)
        try:
            effects = self._transact(batch)
        except BaseException as error:  # noqa: BLE001 - the futures carry it to who waits
            self._recover(batch, error)
            return
        # Subscribers may ask for more work at once; the answers go out first.
        for write in batch:
            if write.error is not None:
                write.future.set_exception(write.error)
            else:
                write.future.set_result(write.value)
        for done in effects:
            for topic in done.topics:
                self.publish(topic)

    def _transact(self, batch: list[_Write[Any]]) -> list[Effects]:
        """Run a batch in one transaction; raise when the transaction as a whole is lost."""
        connection = self._connection
        alone = len(batch) == 1
        kept: list[Effects] = []
        with connection.begin():
            for write in batch:
                effects = enter(connection, self)
                if not alone:
                    connection.exec_driver_sql("SAVEPOINT one_write")
                try:
                    write.value = write.work(connection)
                except Exception as error:
                    if alone or not self._in_transaction():
                        raise
                    connection.exec_driver_sql("ROLLBACK TO one_write")
                    write.error = _translate(error)
                else:
                    kept.append(effects)
                if not alone:
                    connection.exec_driver_sql("RELEASE one_write")
            marks = set().union(*(effects.marks for effects in kept))
            faults.reach(faults.BEFORE_COMMIT, marks)
        faults.reach(faults.AFTER_COMMIT, marks)
        for effects in kept:
            self.settle(effects)
        return kept

    def _in_transaction(self) -> bool:
        # SQLite ends the transaction by itself after some errors (a full disk, an I/O error).
        driver = self._connection.connection.driver_connection
        return driver is not None and bool(driver.in_transaction)

    def _recover(self, batch: list[_Write[Any]], error: BaseException) -> None:
        """Give each write of a lost batch its own answer."""
        if len(batch) == 1:
            batch[0].future.set_exception(_translate(error))
            return
        # Nothing of the batch was kept, so each can be run again in a transaction of its own.
        for write in batch:
            write.error = None
            self._commit([write])


def _writer_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        _add_functions(connection)
        for pragma in (
            "busy_timeout=5000",
            "auto_vacuum=INCREMENTAL",  # must come before the first table
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
            "journal_size_limit=67108864",
            # In 16 MiB the hot pages are written a dozen times, and go back to the file once.
            "wal_autocheckpoint=4000",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _first_connection(engine: Engine, path: Path) -> Connection:
    try:
        connection = engine.connect()
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
        connection.rollback()
    except DBAPIError as error:
        raise ConfigurationError(
            f"The database file {path} cannot be opened ({error.orig}). Check that its directory "
            "exists and is writable, and that the file is a SQLite database."
        ) from error
    return connection


def _reader_engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true",
        poolclass=QueuePool,
        pool_size=READERS,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        _add_functions(connection)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA busy_timeout=5000")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _add_functions(connection: sqlite3.Connection) -> None:
    # SQLite has no regular expressions; a filter of bucket works may ask for one.
    connection.create_function("longshore_matches", 3, automaton.matches, deterministic=True)


def _translate(error: BaseException) -> BaseException:
    """Turn what SQLite says about its surroundings into our errors; leave the rest alone."""
    if isinstance(error, LongshoreError) or not isinstance(error, OperationalError):
        return error
    code = getattr(error.orig, "sqlite_errorname", "")
    if code == "SQLITE_FULL":
        return DiskFull(
            "The disk that holds the database is full, so nothing was stored. Reads still work. "
            "Free some space or delete finished runs, then try again."
        )
    if code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_BUSY")):
        _log.error("SQLite: %s (%s)", error.orig, code)
        return Unavailable(
            f"The database could not be used ({code}); nothing was stored. Check the disk and the "
            "permissions of the data directory, then try again."
        )
    return error

"""PostgreSQL: a pool of connections, for more than one server.

Durability is `synchronous_commit=on`, asked for on every connection. A transaction that failed
before its COMMIT was sent is run again (deadlock, serialisation failure, lost connection); once
COMMIT was sent and no answer came, nobody can know, and the caller is told so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ClassVar, Final, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from longshore.clock import Clock
from longshore.errors import ConfigurationError, DiskFull, LongshoreError, ServerFault, Unavailable
from longshore.storage import faults
from longshore.storage.database import Database, Effects, enter

T = TypeVar("T")

CONNECTIONS: Final = 12
SETTINGS: Final = (
    "synchronous_commit=on",
    # The hot rows are in memory: with the default of 4, made for turning disks, a report on a
    # hundred works is planned as a scan of the whole table.
    "random_page_cost=1.1",
)
TRIES: Final = 5
CHANNEL: Final = "longshore"
RETRY_PAUSE_S: Final = 0.05
RECONNECT_PAUSE_S: Final = 0.5
_RETRYABLE: Final = ("40001", "40P01")
_log = logging.getLogger(__name__)


class PostgreSQLDatabase(Database):
    """A database that several servers share."""

    dialect: ClassVar[str] = "postgresql"

    def __init__(self, url: str, clock: Clock) -> None:
        """Connect to `url` (postgresql://user:password@host/database)."""
        super().__init__(clock)
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._engine = create_engine(
            self._url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"options": f"-c {' -c '.join(SETTINGS)}", "connect_timeout": 10},
        )
        self.version = self._check()
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="postgresql")
        self._closed = threading.Event()
        self.retries = 0
        """Transactions that were tried again, or given up."""
        self._leader = _Leader(self._url)
        self._listener = threading.Thread(
            target=self._listen, name="postgresql-listener", daemon=True
        )
        self._listening: psycopg.Connection | None = None
        self._listener.start()

    def submit_write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a thread, in a transaction of its own."""
        return self._submit(self._write, work)

    def submit_read(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a thread, in a read-only transaction."""
        return self._submit(self._read, work)

    async def lead(self, name: str) -> bool:
        """Return whether this process holds the advisory lock of `name`; take it if it is free."""
        if self._closed.is_set():
            return False
        return await asyncio.wrap_future(self._threads.submit(self._leader.holds, name))

    def describe(self) -> str:
        """Return product, version and durability."""
        return (
            f"PostgreSQL {self.version}, durable (synchronous_commit=on), "
            f"{self._url.host or 'local'}/{self._url.database}"
        )

    def close(self) -> None:
        """Let running transactions finish and close all connections."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._listening is not None:
            self._listening.close()
        self._listener.join(timeout=5)
        self._threads.shutdown(wait=True)
        self._leader.close()
        self._engine.dispose()

    def _submit(
        self, run: Callable[[Callable[[Connection], T]], T], work: Callable[[Connection], T]
    ) -> Future[T]:
        if self._closed.is_set():
            raise Unavailable(
                "The database is closed because the server is stopping. Try again later."
            )
        return self._threads.submit(run, work)

    def _check(self) -> str:
        try:
            with self._engine.connect() as connection:
                return str(connection.exec_driver_sql("SHOW server_version").scalar_one())
        except DBAPIError as error:
            raise ConfigurationError(
                f"PostgreSQL at {self._url.render_as_string(hide_password=True)} cannot be used "
                f"({str(error.orig).strip()}). Check the address, the database name and the password."
            ) from error

    def _write(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                return self._write_once(work)
            except _TryAgain as again:
                self.retries += 1
                if attempt == TRIES:
                    raise again.error from again.cause
                # Whoever made it fail gets the chance to finish first.
                self._closed.wait(random.uniform(0, RETRY_PAUSE_S * attempt))  # noqa: S311
        raise AssertionError("the loop above returns or raises")

    def _write_once(self, work: Callable[[Connection], T]) -> T:
        committing = False
        effects = Effects()
        try:
            with self._engine.connect() as connection:
                transaction = connection.begin()
                effects = enter(connection, self)
                value = work(connection)
                if effects.topics:
                    connection.execute(
                        text(
                            "SELECT pg_notify(:channel, topic) FROM unnest(CAST(:topics AS text[])) AS topic"
                        ),
                        {"channel": CHANNEL, "topics": effects.topics},
                    )
                faults.reach(faults.BEFORE_COMMIT, effects.marks)
                committing = True
                transaction.commit()
                faults.reach(faults.AFTER_COMMIT, effects.marks)
        except DBAPIError as error:
            translated = _translate(error, committing=committing)
            if not committing and _worth_another_try(error):
                raise _TryAgain(translated, error) from error
            raise translated from error
        self.settle(effects)
        return value

    def _read(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                with self._engine.connect() as connection:
                    connection.execution_options(postgresql_readonly=True)
                    with connection.begin():
                        enter(connection, self)
                        return work(connection)
            except DBAPIError as error:
                self.retries += 1
                if attempt == TRIES or not _worth_another_try(error):
                    raise _translate(error, committing=False) from error
        raise AssertionError("the loop above returns or raises")

    def _listen(self) -> None:
        """Pass on notifications until closed; tell subscribers when some may be missing."""
        while not self._closed.is_set():
            try:
                with psycopg.connect(_conninfo(self._url), autocommit=True) as connection:
                    self._listening = connection
                    connection.execute(f"LISTEN {CHANNEL}")
                    self.publish("*")
                    while not self._closed.is_set():
                        for notification in connection.notifies(timeout=1.0):
                            self.publish(notification.payload)
            except psycopg.Error as error:
                if self._closed.is_set():
                    return
                _log.warning("the notification listener lost its connection: %s", error)
                self._closed.wait(RECONNECT_PAUSE_S)


class _TryAgain(Exception):
    def __init__(self, error: BaseException, cause: BaseException) -> None:
        super().__init__(str(error))
        self.error = error
        self.cause = cause


class _Leader:
    """Advisory locks of this process, on one connection that lives as long as they do."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._held: set[str] = set()

    def holds(self, name: str) -> bool:
        with self._lock:
            try:
                return self._take(name)
            except psycopg.Error as error:
                # The locks went with the session; the next call starts over.
                _log.warning("leadership of %s is unknown: %s", name, error)
                self._drop()
                return False

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _take(self, name: str) -> bool:
        if self._connection is None:
            self._connection = psycopg.connect(_conninfo(self._url), autocommit=True)
        if name in self._held:
            self._connection.execute("SELECT 1")
            return True
        row = self._connection.execute(
            "SELECT pg_try_advisory_lock(%s)", (_lock_number(name),)
        ).fetchone()
        if row is not None and row[0]:
            self._held.add(name)
        return name in self._held

    def _drop(self) -> None:
        self._held.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _lock_number(name: str) -> int:
    return zlib.crc32(f"longshore/{name}".encode())


def _conninfo(url: URL) -> str:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return make_conninfo(plain, connect_timeout=10)


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _worth_another_try(error: DBAPIError) -> bool:
    return error.connection_invalidated or _sqlstate(error) in _RETRYABLE


def _translate(error: DBAPIError, *, committing: bool) -> BaseException:
    """Turn what PostgreSQL says about its surroundings into our errors; leave the rest alone."""
    state = _sqlstate(error)
    if isinstance(error.orig, LongshoreError):
        return error.orig
    if state == "53100":
        return DiskFull(
            "The disk of the PostgreSQL server is full, so nothing was stored. Reads still work. "
            "Free some space, then try again."
        )
    lost = error.connection_invalidated or state.startswith(("08", "57P")) or not state
    if lost and isinstance(error.orig, psycopg.OperationalError):
        known = (
            "It is not known whether the change was stored: repeat the request (with the same "
            "Idempotency-Key, where it creates something)."
            if committing
            else "Nothing was stored. Try again in a moment."
        )
        return Unavailable(f"The connection to PostgreSQL was lost. {known}")
    if state in _RETRYABLE:
        return ServerFault(
            "PostgreSQL gave up on a conflicting transaction; nothing was stored. Try again."
        )
    return error

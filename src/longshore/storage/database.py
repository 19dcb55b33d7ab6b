"""What the rest of the server knows of a database."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import ClassVar, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection

from longshore import tracing
from longshore.clock import Clock
from longshore.storage.tally import Tally

P = ParamSpec("P")
T = TypeVar("T")
Callback = Callable[[], None]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Effects:
    """What is to happen once a transaction is durable; dropped when it is rolled back."""

    topics: list[str] = field(default_factory=list)
    callbacks: list[Callback] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)
    traceparent: str | None = None
    """The span of the request that the transaction is for, where one is recorded."""


class Database(ABC):
    """A durable database; see the package for what `write` promises."""

    dialect: ClassVar[str]

    def __init__(self, clock: Clock) -> None:
        """Take the time of all transactions from `clock`."""
        self.clock = clock
        self.tally: Tally | None = None
        """Counts what transactions do, where somebody wants to know."""
        self._subscribers: list[Callable[[str], None]] = []

    @abstractmethod
    def submit_write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a write transaction; the future is done when it is durable."""

    @abstractmethod
    def submit_read(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run `work` in a read-only transaction."""

    @abstractmethod
    async def lead(self, name: str) -> bool:
        """Return whether this server is the one that does `name` now."""

    @abstractmethod
    def describe(self) -> str:
        """Return the product, its version and how durable a write is, for people."""

    @abstractmethod
    def close(self) -> None:
        """Finish waiting writes and let go of all connections; safe to call twice."""

    async def write(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `function(connection, ...)` in one transaction and return when it is durable.

        Raises:
            DiskFull: there is no space left; nothing was changed.
            Unavailable: the database cannot be reached; see the message for what is known.
            Exception: whatever `function` raised; nothing was changed.
        """
        work = _bind(function, *args, **kwargs)
        if tracing.spans is not None:
            return await self._traced("write", self.submit_write, work)
        return await asyncio.wrap_future(self.submit_write(work))

    async def read(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `function(connection, ...)` in one read-only transaction."""
        work = _bind(function, *args, **kwargs)
        if tracing.spans is not None:
            return await self._traced("read", self.submit_read, work)
        return await asyncio.wrap_future(self.submit_read(work))

    async def _traced(
        self,
        kind: str,
        submit: Callable[[Callable[[Connection], T]], Future[T]],
        work: Callable[[Connection], T],
    ) -> T:
        """Run `work` in a span of its own, if it is for a request that is recorded.

        The span lasts from the request's wish to its answer: waiting for the writer is part of it.
        """
        spans, traceparent = tracing.spans, tracing.carried()
        if spans is None or traceparent is None:
            return await asyncio.wrap_future(submit(work))

        def carrying(connection: Connection) -> T:
            _attached(connection)[1].traceparent = traceparent
            return work(connection)

        attributes = {"db.system.name": self.dialect, "db.operation.name": kind}
        with spans.span(f"database {kind}", attributes=attributes):
            return await asyncio.wrap_future(submit(carrying))

    def write_blocking(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do what `write` does, for callers that have no event loop."""
        return self.submit_write(_bind(function, *args, **kwargs)).result()

    def read_blocking(
        self,
        function: Callable[Concatenate[Connection, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Do what `read` does, for callers that have no event loop."""
        return self.submit_read(_bind(function, *args, **kwargs)).result()

    def subscribe(self, callback: Callable[[str], None]) -> Callback:
        """Call `callback(topic)` for each topic that a committed transaction notified.

        The callback runs in a thread of the database and must return quickly. The topic "*"
        says that some may have been missed. Returns a function that ends the subscription.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def publish(self, topic: str) -> None:
        """Tell the subscribers of this process about a topic."""
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(topic)
            except Exception:  # noqa: BLE001 - logged, see below
                # This runs in the thread that every later write or notification needs.
                _log.exception("a subscriber failed on topic %s", topic)

    def settle(self, effects: Effects) -> None:
        """Do what a transaction asked for, now that it is durable."""
        for callback in effects.callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - logged, see below
                # The transaction is durable: a failing callback must not make it look failed.
                _log.exception("a callback after a commit failed")


def _bind(
    function: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], T]:
    return lambda connection: function(connection, *args, **kwargs)


def enter(connection: Connection, database: Database) -> Effects:
    """Attach the database and a fresh list of effects to a transaction's connection."""
    effects = Effects()
    connection.info["longshore"] = (database, effects)
    return effects


def _attached(connection: Connection) -> tuple[Database, Effects]:
    return cast("tuple[Database, Effects]", connection.info["longshore"])


def database_of(connection: Connection) -> Database:
    """Return the database that the transaction of a connection is in."""
    return _attached(connection)[0]


def now_us(connection: Connection) -> int:
    """Return the time by the clock of the connection's database, in microseconds."""
    return _attached(connection)[0].clock.now_us()


def notify(connection: Connection, topic: str) -> None:
    """Tell subscribers on every server about `topic`, once the transaction is durable."""
    topics = _attached(connection)[1].topics
    if topic not in topics:
        topics.append(topic)


def after_commit(connection: Connection, callback: Callback) -> None:
    """Call `callback` in this process once the transaction is durable."""
    _attached(connection)[1].callbacks.append(callback)


def tally_of(connection: Connection) -> Tally | None:
    """Return what counts for the metrics of this process; use it in `after_commit`."""
    return _attached(connection)[0].tally


def traceparent(connection: Connection) -> str | None:
    """Return the span of the request that a transaction is for, where one is recorded."""
    return _attached(connection)[1].traceparent


def mark(connection: Connection, name: str) -> None:
    """Mark the transaction for longshore.storage.faults."""
    _attached(connection)[1].marks.add(name)


def reclaim(connection: Connection, *, pages: int = 2_000) -> None:
    """Give space that deletions freed back to the file system, a bounded piece at a time.

    SQLite keeps freed pages in its file until it is told to let go of them; PostgreSQL's
    autovacuum needs no telling.
    """
    if connection.dialect.name == "sqlite":
        # The pragma frees one page at each step of its statement, and the driver takes one step
        # of a statement that returns no columns.
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        for _ in range(min(free, pages)):
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")

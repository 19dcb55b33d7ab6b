"""Many small requests, one transaction.

A write costs more than what it stores. While one transaction is under way, the requests that
arrive are gathered and then written together in the next. Before each, those are let in that have
arrived already and only wait for their turn in the event loop; nobody waits for time to pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection

from longshore import tracing
from longshore.errors import ServerFault
from longshore.storage import Database

I = TypeVar("I")  # noqa: E741 - what is gathered: an item
R = TypeVar("R")

MOST: Final = 256
"""Requests that one transaction serves."""

QUIET_ROUNDS: Final = 4
"""Rounds of the event loop without a newcomer after which all that had arrived are in: a request
takes a few, from its bytes to here. They take some 20 microseconds when nothing else is to be done."""

Service = Callable[[Connection, Sequence[I]], Sequence[R]]


class Gatherer(Generic[I, R]):
    """Writes the items of many callers together; each gets the result of its own."""

    def __init__(self, database: Database, service: Service[I, R]) -> None:
        """Write by `service(connection, items)`, which returns a result for each item, in order."""
        self._database = database
        self._service = service
        self._waiting: list[tuple[I, asyncio.Future[R]]] = []
        self._writing = False

    async def write(self, item: I) -> R:
        """Write one item, and return its result when that is durable.

        An item that cannot be written fails alone: the others are then written one by one. Where
        the database is at fault all of them fail, since nobody knows what has become of them.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if tracing.spans is None:
            self._begin()
            return await future
        # The transaction belongs to many requests; each has a span of its own wait for it, and
        # the task must not take the span of the request that happens to start it for its own.
        Context().run(self._begin)
        with tracing.spans.span("database write", attributes={"longshore.gathered": True}):
            return await future

    def _begin(self) -> None:
        if not self._writing:
            self._writing = True
            asyncio.ensure_future(self._run()).add_done_callback(_raise)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._let_in()
                batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._write(batch)
        finally:
            self._writing = False

    async def _let_in(self) -> None:
        """Give way to requests that have arrived, as long as they keep coming."""
        quiet, count = 0, len(self._waiting)
        while quiet < QUIET_ROUNDS and count < MOST:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == count else 0
            count = len(self._waiting)

    async def _write(self, batch: list[tuple[I, asyncio.Future[R]]]) -> None:
        try:
            results = await self._database.write(self._service, [item for item, _ in batch])
        except ServerFault as error:
            for _, future in batch:
                _fail(future, error)
            return
        except Exception as error:  # noqa: BLE001 - each caller gets it, or its own
            if len(batch) == 1:
                _fail(batch[0][1], error)
                return
            for each in batch:
                await self._write([each])
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _raise(task: asyncio.Future[None]) -> None:
    task.result()

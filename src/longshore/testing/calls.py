"""The worker's own transport, for code that is no coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from longshore.worker.transport import Transport

T = TypeVar("T")


class Calls:
    """Calls to a server in a thread with a loop of its own.

    So the thread of the test has none, and user code that runs there may have one itself; a test
    that is a coroutine may call, too.
    """

    def __init__(self, url: str, key: str) -> None:
        """Open nothing yet."""
        self._url, self._key = url, key
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="longshore testing")
        self._runner: asyncio.Runner | None = None
        self._transport: Transport | None = None

    def __call__(self, ask: Callable[[Transport], Awaitable[T]]) -> T:
        """Let the transport do something, and return what that gives."""
        return self._pool.submit(self._run, ask).result()

    def close(self) -> None:
        """Close the connections and end the thread; nothing can be called any more."""
        self._pool.submit(self._end).result()
        self._pool.shutdown()

    def _run(self, ask: Callable[[Transport], Awaitable[T]]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()

        async def asked() -> T:
            if self._transport is None:
                self._transport = Transport(self._url, self._key)
            return await ask(self._transport)

        return self._runner.run(asked())

    def _end(self) -> None:
        if self._runner is None:
            return
        if self._transport is not None:
            self._runner.run(self._transport.close())
        self._runner.close()

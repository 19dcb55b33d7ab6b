"""Is the process alive, and can it do its work? Answered without a key, so without details."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from longshore import ids
from longshore.edge.context import Context
from longshore.errors import LongshoreError

REMEMBER_S: Final = 1.0
"""Asking more often than this gives the last answer, so that nobody can wear the disk by asking."""
REMEMBER_TROUBLE_S: Final = 0.1
"""What is not well may be so soon, and somebody waits for it."""
CHECK_S: Final = 5.0
JANITOR_LATE_S: Final = 30.0


class Health:
    """Looks at what a request needs: the database's write path, the blob store, the janitor."""

    def __init__(self, context: Context) -> None:
        """Look at the stores of `context`."""
        self._context = context
        self._answer: dict[str, str] = {}
        self._until_s = 0.0
        self._asking = asyncio.Lock()
        self.janitor_at_s: float | None = None
        """When a pass of this server's janitor last ended well, by time.monotonic."""
        self.failing: dict[str, tuple[int, str]] = {}
        """Background passes of this server that fail: since when, in microseconds, and why."""

    def failed(self, name: str, error: Exception) -> None:
        """Note that a background pass failed."""
        since_us, _ = self.failing.get(name, (self._context.clock.now_us(), ""))
        # What other errors say may hold data of any organisation; the log has it.
        why = error.message if isinstance(error, LongshoreError) else type(error).__name__
        self.failing[name] = since_us, why

    async def readiness(self) -> dict[str, str]:
        """Return each thing looked at with "ok" or what is wrong with it."""
        async with self._asking:
            if time.monotonic() >= self._until_s:
                self._answer = {
                    "server": self._server(),
                    "database": await _tried(self._write),
                    "blobs": await _tried(self._blobs),
                    "janitor": self._janitor(),
                }
                ready = all(answer == "ok" for answer in self._answer.values())
                self._until_s = time.monotonic() + (REMEMBER_S if ready else REMEMBER_TROUBLE_S)
        return self._answer

    def _server(self) -> str:
        if self._context.stopping:
            return "stopping"
        return "the worker beside it is starting" if self._context.starting else "ok"

    async def _write(self) -> None:
        await self._context.database.write(lambda _connection: None)

    async def _blobs(self) -> None:
        # Removing what is not there reaches the store and leaves nothing in it.
        await self._context.blobs.delete(ids.new(ids.BLOB))

    def _janitor(self) -> str:
        if self.janitor_at_s is None:
            return "has not run yet"
        late_s = time.monotonic() - self.janitor_at_s
        return "ok" if late_s < JANITOR_LATE_S else f"has not run for {late_s:.0f} s"


async def _tried(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:.0f} s"
    except (LongshoreError, OSError) as error:
        return getattr(error, "code", type(error).__name__)
    return "ok"

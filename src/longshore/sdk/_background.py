"""Doing something again and again beside the user's code, in both colours.

`AsyncBackground` uses a task and `Background` a thread, with the same members.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable


class Background:
    """A thread that calls `step` until it is stopped; each call says how long to pause after it."""

    def __init__(self, step: Callable[[], float], name: str) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            step: does the thing once and returns the pause until the next time, in seconds.
            name: of the thread, for those who look at a stuck program.
        """
        self._step = step
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._failure: BaseException | None = None

    def start(self, pause_s: float) -> None:
        """Begin, with a pause before the first call."""
        self._pause_s = pause_s
        self._thread.start()

    def stop(self, wait_s: float | None = None) -> BaseException | None:
        """End it, waiting for a call that is under way; return what `step` raised, if anything.

        Args:
            wait_s: do not wait longer than this for a call that is stuck in the user's own code;
                None waits for as long as it takes.
        """
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(wait_s)
        return self._failure

    def _run(self) -> None:
        pause_s = self._pause_s
        try:
            while not self._stopping.wait(pause_s):
                pause_s = self._step()
        except BaseException as error:  # noqa: BLE001 - handed to whoever calls stop()
            self._failure = error


class AsyncBackground:
    """A task that awaits `step` until it is stopped; see `Background`."""

    def __init__(self, step: Callable[[], Awaitable[float]], name: str) -> None:
        """Prepare; nothing runs before `start`."""
        self._step = step
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, pause_s: float) -> None:
        """Begin, with a pause before the first call."""
        self._task = asyncio.create_task(self._run(pause_s), name=self._name)

    async def stop(self, wait_s: float | None = None) -> BaseException | None:
        """End it, in the middle of a call too; return what `step` raised, if anything."""
        if self._task is None:
            return None
        self._task.cancel()
        (failure,) = await asyncio.gather(self._task, return_exceptions=True)
        return None if isinstance(failure, asyncio.CancelledError) else failure

    async def _run(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            pause_s = await self._step()

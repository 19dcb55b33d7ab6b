"""Records at which processes die: finding them, and going on without them.

A process writes down the record that it is at (`longshore.worker.progress`). When it dies, that
record, or that part of the columns of a vectorised function, is suspected. The chunk runs again in
a new process, what is suspected first and by itself, so that an innocent record is soon cleared
and a guilty one costs little more than the start of a process.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable

import msgspec

from longshore.limits import RECORD_ATTEMPTS
from longshore.worker.progress import NONE, SIZE_BYTES, Order, cells_of
from longshore.worker.troubles import RecordError

_MANY = 10
_LOOKS_PER_LIMIT = 10
_SHORTEST_LOOK_S = 0.01
_LONGEST_LOOK_S = 1.0


class Suspects:
    """What is known of the records of one chunk."""

    def __init__(self) -> None:
        """Suspect none."""
        self._apart: list[tuple[int, int]] = []
        self._deaths: dict[int, int] = {}
        self._lost: dict[int, RecordError] = {}

    def order(self) -> Order:
        """Return how to run the chunk now."""
        return Order(list(self._apart), dict(self._lost))

    def note(self, start: int, count: int, error: RecordError) -> None:
        """Take notice of a process that has died at `count` records from `start` on.

        A part of several records is halved. A single one gets `error` after a few deaths; where
        that has happened to many records of the chunk, the first death is enough for the others.
        """
        stop = start + count
        self._apart = [part for part in self._apart if part[1] <= start or stop <= part[0]]
        if count > 1:
            middle = (start + stop) // 2
            self._apart[:0] = [(start, middle), (middle, stop)]
            return
        deaths = self._deaths[start] = self._deaths.get(start, 0) + 1
        if deaths < (RECORD_ATTEMPTS if len(self._lost) < _MANY else 1):
            self._apart.insert(0, (start, stop))
            return
        times = "" if deaths == 1 else f" It ran {deaths} times."
        self._lost[start] = msgspec.structs.replace(error, message=error.message + times)


class SharedCells:
    """The cells of `longshore.worker.progress` in memory that a child process shares."""

    def __init__(self) -> None:
        """Get the memory; it is there for as long as this object."""
        if hasattr(os, "memfd_create"):
            self.descriptor = os.memfd_create("longshore-progress")
        else:
            with tempfile.TemporaryFile() as file:
                self.descriptor = os.dup(file.fileno())
        os.ftruncate(self.descriptor, SIZE_BYTES)
        self.cells = cells_of(mmap.mmap(self.descriptor, SIZE_BYTES))
        weakref.finalize(self, os.close, self.descriptor)

    def clear(self) -> None:
        """Let them say that no record is under way."""
        self.cells[0], self.cells[1] = NONE, 1


class Watch:
    """Looks whether a record takes longer than it may."""

    def __init__(
        self, cells: memoryview, timeout_s: float, on_overrun: Callable[[int], None]
    ) -> None:
        """Look from now on, and call `on_overrun` once for each record that takes too long.

        Args:
            cells: where the position is written.
            timeout_s: time limit of a record; columns of records have as much for each of them.
            on_overrun: called with the position.
        """
        self._loop = asyncio.get_running_loop()
        self._cells = cells
        self._timeout_s = timeout_s
        self._on_overrun = on_overrun
        self._at = (NONE, 1)
        self._since_s = 0.0
        self._told = NONE
        self._timer = self._loop.call_soon(self._look)

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        at, now_s = (self._cells[0], self._cells[1]), self._loop.time()
        if at != self._at:
            self._at, self._since_s = at, now_s
        elif NONE != at[0] != self._told and now_s - self._since_s >= self._timeout_s * at[1]:
            self._told = at[0]
            self._on_overrun(at[0])
        pause_s = min(max(self._timeout_s / _LOOKS_PER_LIMIT, _SHORTEST_LOOK_S), _LONGEST_LOOK_S)
        self._timer = self._loop.call_later(pause_s, self._look)


def cells_in(descriptor: int) -> memoryview:
    """Return the cells that the worker shares with this process."""
    memory = mmap.mmap(descriptor, SIZE_BYTES)
    os.close(descriptor)
    return cells_of(memory)

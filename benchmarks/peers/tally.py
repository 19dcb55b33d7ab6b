"""Counts the no-op tasks that workers run, in memory shared by all their processes.

The task of every system calls `ran` and nothing else. A file is mapped into memory; each worker
process has a line of its own with the number of tasks and the times of the first and the last,
which only its own threads
have to take turns for. Times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from pathlib import Path

LINES = 64
SAMPLES = 4096
_LINE = struct.Struct("=QQQQ")
"""Process id, tasks, first and last time in nanoseconds."""

_SAMPLE = struct.Struct("=Q")
_SAMPLES_AT = LINES * _LINE.size
SIZE = _SAMPLES_AT + SAMPLES * _SAMPLE.size
VARIABLE = "LONGSHORE_BENCH_TALLY"
"""Names the file for the worker processes."""


class Tally:
    """The counters in one file."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(SIZE))
        self._file = path.open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), SIZE)
        self._process = 0
        self._at = 0
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Forget everything; no worker may be running."""
        self._memory[:] = bytes(SIZE)

    def ran(self, sent_ns: int, number: int) -> None:
        """Count a task; number is its place among the latency samples, or negative."""
        now = time.monotonic_ns()
        with self._lock:
            if self._process != os.getpid():
                self._take_line()
            process, tasks, first, _ = _LINE.unpack_from(self._memory, self._at)
            _LINE.pack_into(self._memory, self._at, process, tasks + 1, first or now, now)
        if number >= 0:
            _SAMPLE.pack_into(self._memory, _SAMPLES_AT + number * _SAMPLE.size, now - sent_ns)

    def count(self) -> int:
        """Return how many tasks have run."""
        return sum(line[1] for line in self._lines())

    def seconds(self) -> float:
        """Return the time from the first task to the last."""
        used = [line for line in self._lines() if line[1]]
        return float(max(line[3] for line in used) - min(line[2] for line in used)) / 1e9

    def samples(self, count: int) -> list[float]:
        """Return the first latencies in milliseconds; 0 where none is noted yet."""
        parts = struct.unpack_from(f"={count}Q", self._memory, _SAMPLES_AT)
        return [part / 1e6 for part in parts]

    def _lines(self) -> list[tuple[int, int, int, int]]:
        return [_LINE.unpack_from(self._memory, at) for at in range(0, _SAMPLES_AT, _LINE.size)]

    def _take_line(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._process = os.getpid()
        for at in range(0, _SAMPLES_AT, _LINE.size):
            owner = _LINE.unpack_from(self._memory, at)[0]
            if owner in (0, self._process):
                self._at = at
                _LINE.pack_into(self._memory, at, self._process, 0, 0, 0)
                break
        else:
            raise RuntimeError(f"more than {LINES} worker processes")
        fcntl.flock(self._file, fcntl.LOCK_UN)


_tally: Tally | None = None
_opening = threading.Lock()


def ran(sent_ns: int, number: int) -> None:
    """Count a task in the file that the environment names."""
    global _tally  # noqa: PLW0603 - opened by the first task of a process
    if _tally is None:
        with _opening:
            # Another thread may have been quicker.
            _tally = globals()["_tally"] or Tally(Path(os.environ[VARIABLE]))
    _tally.ran(sent_ns, number)

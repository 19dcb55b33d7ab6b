"""Which record is being computed, where the worker sees it however the code ends."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from longshore.worker.troubles import RecordError

NONE: Final = -1
_CELLS: Final = 2
SIZE_BYTES: Final = mmap.PAGESIZE
"""What a process shares with its worker for this."""


OUT_OF_MEMORY_STATUS: Final = 112
"""With this a process ends that has run out of memory at a record."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chunk says which record it is at.

    Attributes:
        cells: see `cells_of`.
        shared: whether another process looks at them, so that this one may end at a record.
    """

    cells: memoryview
    shared: bool = False


class Order(msgspec.Struct, frozen=True, array_like=True):
    """How a chunk is run after processes have died at some of its records.

    Attributes:
        apart: parts, from and to before which record, that run first and each by itself.
        lost: records that are not run any more, and their errors.
    """

    apart: list[tuple[int, int]] = []
    lost: dict[int, RecordError] = {}


def parts(
    records: int, apart: Iterable[tuple[int, int]], lost: Iterable[int]
) -> list[tuple[int, int]]:
    """Return what to run of so many records, in order: what is apart, then the rest but the lost."""
    first = list(apart)
    rest, at = [], 0
    for start, stop in sorted([*first, *((index, index + 1) for index in lost)]):
        if at < start:
            rest.append((at, start))
        at = max(at, stop)
    if at < records:
        rest.append((at, records))
    return [*first, *rest]


def cells_of(buffer: mmap.mmap | None = None) -> memoryview:
    """Return two cells: the record that is under way, or NONE, and how many are computed at once.

    They lie in `buffer`, which other processes may see, or in memory of their own.
    """
    cells = memoryview(array("q", [0] * _CELLS) if buffer is None else buffer).cast("B").cast("q")
    cells[0], cells[1] = NONE, 1
    return cells

"""The functions that every system runs, over one record or over a chunk of them.

This imports neither Longshore nor any peer, so that all of them can: what is measured is the way
to the function and back, and the function is the same everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

Record = dict[str, Any]

CALIBRATION_S = 0.05
CALIBRATIONS = 20


def double(value: float) -> Record:
    """Return the output of a record: a little arithmetic."""
    return {"value": value * 2 + 1}


def busy(value: float, loops: int) -> Record:
    """Return the same after so many turns of a loop that keeps a processor busy."""
    total = 0
    for turn in range(loops):
        total += turn
    return {"value": value * 2 + 1 + total * 0}


def one(record: Record) -> Record:
    return double(**record)


def chunk(records: list[Record]) -> list[Record]:
    return [double(**record) for record in records]


def busy_chunk(records: list[Record]) -> list[Record]:
    return [busy(**record) for record in records]


def busy_loops(record_s: float) -> int:
    """Return how many turns of the loop of `busy` take so long in this process, undisturbed."""
    loops = 1000
    while (took := _fastest(loops)) < CALIBRATION_S / CALIBRATIONS:
        loops = int(loops * max(CALIBRATION_S / CALIBRATIONS / took, 1.1)) + 1
    return max(int(loops * record_s / took), 1)


def records(count: int) -> Iterator[Record]:
    """Make the records one by one, as a user's own iterator does."""
    return ({"value": number} for number in range(count))


def chunks(source: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(source)
    while part := list(islice(iterator, size)):
        yield part


def check(outputs: list[Record], count: int, *, ordered: bool) -> None:
    """Raise an AssertionError unless each record came out exactly once, and right."""
    values = [output["value"] for output in outputs]
    if not ordered:
        values.sort()
    assert len(values) == count, f"{len(values)} outputs of {count} records"
    assert values == list(range(1, 2 * count, 2)), "an output is wrong, lost or doubled"
    assert all(len(output) == 1 for output in outputs), "an output has more than its value"


def _fastest(loops: int) -> float:
    taken = []
    for _ in range(CALIBRATIONS):
        begun = time.perf_counter()
        busy(0, loops)
        taken.append(time.perf_counter() - begun)
    return min(taken)

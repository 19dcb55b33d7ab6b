"""How the elements of a process are split over the tasks of a worker run."""

from __future__ import annotations


def bounds(chunk: int | None, chunks: int, elements: int) -> tuple[int, int]:
    """Return the first place, and that behind the last, of a part of a process's elements.

    Args:
        chunk: which part, from 1; None where there is one.
        chunks: how many parts there are.
        elements: how many elements the process was started with.
    """
    if chunk is None:
        return 0, elements
    return elements * (chunk - 1) // chunks, elements * chunk // chunks

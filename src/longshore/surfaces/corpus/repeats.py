"""What a worker run says again is stored once.

An attempt that dies after it has stored a result is followed by one that finds the same; a client
that has not heard an answer asks again. Both speak for the same worker run, so what they repeat is
known by it: they are given what is stored, and nothing is added. People may repeat themselves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Said(Generic[K, V]):
    """Results of a worker run by what they say; each answers for one repetition."""

    def __init__(self, stored: Iterable[tuple[K, V]] = ()) -> None:
        """Take what is stored, as pairs of what it says and what it is, oldest first."""
        self._left: dict[K, deque[V]] = defaultdict(deque)
        for key, value in stored:
            self._left[key].append(value)

    def take(self, key: K) -> V | None:
        """Return a result that says this and has not been taken before, or None."""
        left = self._left.get(key)
        return left.popleft() if left else None

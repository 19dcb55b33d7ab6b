"""What the transactions of this process have done since it started: numbers for its metrics.

Only what has become durable is counted, so the numbers of all servers of a database add up to what
happened. Counting costs less than a microsecond for each thing; nothing is stored.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

BOUNDS_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0,
)  # fmt: skip
"""Upper bounds of the buckets of a histogram, in seconds; one more holds what is above them all."""

KEYS_MAX: Final = 10_000
"""Where nobody asks, so many queues are told apart; what is done in further ones counts for OTHERS."""
OTHERS: Final = 0
"""No queue has this id."""
Key = tuple[str, str | int, str]
"""Name of what is counted, the queue it is about (or ""), and a label of it (or "")."""


@dataclass(slots=True)
class Durations:
    """A histogram: how many values lie in each bucket, and their sum in seconds."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def merge(self, other: Durations) -> None:
        """Add what another has seen."""
        self.buckets = [a + b for a, b in zip(self.buckets, other.buckets, strict=True)]
        self.sum_s += other.sum_s


class Tally:
    """Counts and histograms by key; safe to use from several threads."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._counts: defaultdict[Key, int] = defaultdict(int)
        self._durations: defaultdict[Key, Durations] = defaultdict(Durations)

    def add(self, key: Key, amount: int = 1) -> None:
        """Count something `amount` times."""
        with self._lock:
            self._counts[key] += amount

    def add_each(self, name: str, label: str, queue_ids: Iterable[int]) -> None:
        """Count something once for each of these queues."""
        with self._lock:
            counts = self._counts
            for queue_id in queue_ids:
                key = (name, queue_id, label)
                if len(counts) >= KEYS_MAX and key not in counts:
                    key = (name, OTHERS, label)
                counts[key] += 1

    def observe(self, name: str, values: Iterable[tuple[int, float]]) -> None:
        """Take the durations of what happened in queues: pairs of a queue's id and seconds."""
        with self._lock:
            for queue_id, seconds in values:
                key = (name, queue_id, "")
                if len(self._durations) >= KEYS_MAX and key not in self._durations:
                    key = (name, OTHERS, "")
                seen = self._durations[key]
                seen.buckets[bisect_left(BOUNDS_S, seconds)] += 1
                seen.sum_s += seconds

    def take(self) -> tuple[dict[Key, int], dict[Key, Durations]]:
        """Return what has come since the last call, and forget it."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(int)
            durations, self._durations = self._durations, defaultdict(Durations)
        return dict(counts), dict(durations)

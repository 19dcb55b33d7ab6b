"""How many works to claim ahead: many while they are short, none while they are not."""

from __future__ import annotations

from longshore.limits import CLAIM_WORKS

_AHEAD_S = 0.1
_SHORT_S = 0.02
_SHORTEST_S = 0.000_1
_FEW = 4
_WEIGHT = 0.05
_AHEAD_BYTES = 16 << 20


class Pace:
    """Watches how long works take, and how large they are.

    A work that waits inside a worker cannot be taken by another one. So a worker claims ahead only
    what its slots do in a tenth of a second, and only while a claim would take longer than a work.
    """

    def __init__(self, slots: int) -> None:
        """Claim nothing ahead until a few works were seen."""
        self._slots = slots
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._count = 0
        self._mean_s = 0.0
        self._mean_bytes = 0.0

    def note(self, duration_s: float, size_bytes: int) -> None:
        """Take notice of a work that has ended."""
        self._count += 1
        weight = max(1 / self._count, _WEIGHT)
        self._mean_s += (duration_s - self._mean_s) * weight
        self._mean_bytes += (size_bytes - self._mean_bytes) * weight

    def ahead(self) -> int:
        """Return how many works may wait for a slot."""
        if self._count < _FEW or self._mean_s > _SHORT_S:
            return 0
        by_time = self._slots * _AHEAD_S / max(self._mean_s, _SHORTEST_S)
        by_size = _AHEAD_BYTES / max(self._mean_bytes, 1.0)
        return int(min(by_time, by_size, CLAIM_WORKS))

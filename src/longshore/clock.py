"""The only reader of the wall clock.

All times that Longshore stores or compares are integers: microseconds since 1970-01-01 UTC.
Surfaces convert at their edge to whatever their protocol speaks.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

SECOND_US = 1_000_000


class Clock(Protocol):
    """What the server takes the time from."""

    def now_us(self) -> int:
        """Return the time in microseconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return the machine's time in microseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, start_us: int = 1_700_000_000 * SECOND_US) -> None:
        """Start at `start_us` microseconds since 1970-01-01 UTC."""
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the time that was last set."""
        return self._now_us

    def advance(self, seconds: float) -> None:
        """Move by `seconds`; a negative number sets the clock back."""
        self._now_us += round(seconds * SECOND_US)


def to_us(seconds: float) -> int:
    """Convert seconds to whole microseconds."""
    return round(seconds * SECOND_US)


def iso(time_us: int | None) -> str | None:
    """Write a stored time as ISO 8601 in UTC with milliseconds, or None for None."""
    if time_us is None:
        return None
    moment = datetime.fromtimestamp(time_us / SECOND_US, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Waiting longer after each failure, up to a limit that is short."""

from __future__ import annotations

import asyncio
import random

_FIRST_S = 0.1
_LONGEST_S = 2.0


class Backoff:
    """Pauses that double from 0.1 s to at most 2 s, so that a server that is back is soon found."""

    def __init__(self, longest_s: float = _LONGEST_S) -> None:
        """Start with the shortest pause."""
        self._longest_s = longest_s
        self._next_s = _FIRST_S

    def reset(self) -> None:
        """Start again with the shortest pause."""
        self._next_s = _FIRST_S

    async def wait(self) -> None:
        """Pause; the jitter keeps many workers from coming back in the same instant."""
        await asyncio.sleep(self._next_s * random.uniform(0.5, 1.0))  # noqa: S311
        self._next_s = min(self._next_s * 2, self._longest_s)

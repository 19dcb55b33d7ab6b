"""Guessing is slowed down: few tries a minute from one address, and each further one later."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from longshore.clock import SECOND_US, Clock
from longshore.errors import BufferFull

FREE_TRIES: Final = 5
"""Wrong tries in a row that cost nothing but themselves."""
FIRST_WAIT_S: Final = 12.0
LONGEST_WAIT_S: Final = 600.0
"""Nobody who mistyped waits for longer."""
FORGET_S: Final = 900.0
MOST_ADDRESSES: Final = 10_000


@dataclass(slots=True)
class _Record:
    wrong: int
    last_us: int


class Throttle:
    """Counts wrong tries by address, in this process."""

    def __init__(self, clock: Clock) -> None:
        """Tell the time by `clock`."""
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def check(self, address: str) -> None:
        """Let a try pass.

        Raises:
            BufferFull: it comes too soon after too many wrong ones; nothing was looked up.
        """
        record = self._records.get(address)
        if record is None:
            return
        passed_s = (self._clock.now_us() - record.last_us) / SECOND_US
        if passed_s > FORGET_S:
            del self._records[address]
            return
        if record.wrong < FREE_TRIES:
            return
        wait_s = min(FIRST_WAIT_S * 2.0 ** (record.wrong - FREE_TRIES), LONGEST_WAIT_S)
        if passed_s < wait_s:
            left_s = int(wait_s - passed_s) + 1
            raise BufferFull(
                f"There were {record.wrong} wrong tries from this address. Wait {left_s} seconds "
                "before the next one.",
                details={"retry_after_s": left_s},
            )

    def wrong(self, address: str) -> None:
        """Count a wrong try."""
        record = self._records.pop(address, None)
        now_us = self._clock.now_us()
        self._records[address] = _Record(1 if record is None else min(record.wrong + 1, 50), now_us)
        while len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)

    def right(self, address: str) -> None:
        """Forget the wrong tries of an address from which somebody got in."""
        self._records.pop(address, None)

"""Ending in good order: a signal lets a worker finish the element that it is at."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

logger = logging.getLogger("longshore.corpus")

_DEFAULTS: Final = (signal.SIG_DFL, signal.default_int_handler)


class Stop:
    """Whether the worker shall end, and for which signal."""

    def __init__(self) -> None:
        """Nothing has been asked for yet."""
        self.signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def asked(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: the first asks to end, another one interrupts at once."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        logger.warning("%s: stopping after the current element", self.signal.name)

    def end_process(self) -> None:
        """End this process as the signal would have, if there was one.

        Whoever started it is told that it was stopped: neither success nor failure.
        """
        if self.signal is not None:
            signal.signal(self.signal, signal.SIG_DFL)
            os.kill(os.getpid(), self.signal)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Take SIGTERM and Ctrl-C for the block, unless the program handles them itself."""
    stop = Stop()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) in _DEFAULTS:
                before[number] = signal.signal(number, stop.asked)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.end_process()

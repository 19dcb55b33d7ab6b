"""Waiting for something in another thread or process, without guessing how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE_S = 30.0


def until(holds: Callable[[], object]) -> None:
    """Ask again and again until `holds` is true; fail after PATIENCE_S seconds."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        pause.wait(0.005)

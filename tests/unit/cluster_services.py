"""Services for the tests of clusters."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import longshore


@longshore.service("tests/double", version="1.0.0")
def double(value: int) -> dict[str, int]:
    return {"doubled": 2 * value, "pid": os.getpid()}


@longshore.service("tests/poison", version="1.0.0")
def poison(value: int) -> dict[str, int]:
    """Kill whatever runs it at 7."""
    if value == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": value}


@longshore.service("tests/gate", version="1.0.0")
def gate(directory: str) -> dict[str, int]:
    """Say where it runs, and wait for a file."""
    here = Path(directory)
    (here / f"begun-{os.getpid()}").touch()
    pause = threading.Event()
    while not (here / "open").exists():
        pause.wait(0.02)
    return {"pid": os.getpid()}


@longshore.service("tests/limited", version="1.0.0", timeout_s=0.5)
def limited(value: int) -> dict[str, int]:
    """Take too long at 3."""
    if value == 3:
        threading.Event().wait(60)
    return {"value": value}

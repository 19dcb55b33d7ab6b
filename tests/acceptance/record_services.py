"""The services of the acceptance tests of pipelines; `behave` does what its records say.

Each chunk may name a log in its parameters: a line with the process's id goes there when the
first record of the chunk is begun. The module is loaded by real workers, so it depends on nothing
but Longshore.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import longshore

NAP_S = 0.02
LIMIT_S = 2.0
_pause = threading.Event()


def _note(log: str) -> None:
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")


@longshore.service("acceptance/square", version="1.0.0")
def square(value: int, nap_s: float = 0.0, padding: str = "") -> dict[str, Any]:
    """Square a value, after a while in which it can be killed."""
    if nap_s:
        _pause.wait(nap_s)
    return {"value": value, "square": value * value, "padding": padding}


@longshore.service("acceptance/gate", version="1.0.0")
def gate(value: int, marker: str, log: str = "") -> dict[str, Any]:
    """Wait for a marker, and start a grandchild meanwhile."""
    if not Path(marker).exists():
        _note(log)
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        while not Path(marker).exists():
            _pause.wait(NAP_S)
    return {"value": value, "square": value * value}


def _raise() -> None:
    raise ValueError("this record is poison")


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    _pause.wait(60)


def _exit() -> None:
    os._exit(7)


def _hog() -> None:
    piece = os.urandom(1024) * 1024 * 64
    kept: list[bytearray] = []
    while len(kept) * len(piece) < 100 * 1024**3:
        # Each piece is written to, or the kernel would only promise it.
        kept.append(bytearray(piece))


def _loop() -> None:
    for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(polite, signal.SIG_IGN)
    while True:
        pass


_VERBS: dict[str, Callable[[], None]] = {
    "raise": _raise,
    "segfault": _segfault,
    "exit": _exit,
    "hog": _hog,
    "loop": _loop,
}


@longshore.service("acceptance/behave", version="1.0.0", timeout_s=LIMIT_S)
def behave(value: int, verb: str = "fine") -> dict[str, Any]:
    """Square a value, or do what the verb says."""
    if verb != "fine":
        _VERBS[verb]()
    return {"value": value, "square": value * value}

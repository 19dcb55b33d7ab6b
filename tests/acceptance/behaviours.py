"""The apps of the acceptance tests: `echo`, and `behave`, which does what its input file says.

A file for `behave` holds one line, `VERB [ARGUMENT]`, and so does a work of bucket `behave`. The
module is loaded by real workers, so it depends on nothing but Longshore.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import longshore

OWNER = "acceptance"
TIMEOUT_S = 3.0
SLOW_S = 0.03
NAP_S = 0.02
"""So long a child waits between two looks at a marker."""


def _document(**values: str) -> list[longshore.Document]:
    fields = [longshore.Field(name=name, value=value) for name, value in values.items()]
    return [longshore.Document(fields=fields)]


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


@longshore.app("Echo", owner=OWNER, attempts_max=100)
def echo(file: longshore.InputFile) -> list[longshore.Document]:
    """Give back the content of the file."""
    return _document(text=file.read_bytes().decode(), process=str(os.getpid()))


@longshore.app("Dawdle", owner=OWNER, attempts_max=100)
def dawdle(file: longshore.InputFile) -> list[longshore.Document]:
    """Give back the content of the file after a while in which it can be killed."""
    _pause(SLOW_S)
    return echo(file)


@longshore.app("Behave", owner=OWNER, timeout_s=TIMEOUT_S, attempts_max=3)
def behave(file: longshore.InputFile) -> list[longshore.Document]:
    """Do what the file says, well or badly."""
    return _obey(file)


@longshore.app("Patient", owner=OWNER, timeout_s=600.0, attempts_max=3)
def patient(file: longshore.InputFile) -> list[longshore.Document]:
    """Do what the file says, and take as long as it takes."""
    return _obey(file)


@longshore.function("behave")
def behave_for_a_bucket(line: str) -> dict[str, str]:
    """Do what the line says; the works of bucket `behave` carry it as a parameter."""
    verb, _, argument = line.partition(" ")
    _VERBS[verb](argument)
    return {"did": verb}


def _obey(file: longshore.InputFile) -> list[longshore.Document]:
    verb, _, argument = file.read_bytes().decode().strip().partition(" ")
    _VERBS[verb](argument)
    return _document(text=verb)


def _fine(_argument: str) -> None:
    return


def _raise(argument: str) -> None:
    raise ValueError(f"this file is poison: {argument}")


def _raise_once(argument: str) -> None:
    marker = Path(argument)
    if not marker.exists():
        marker.touch()
        raise ValueError("this file is poison at first")


def _reject(argument: str) -> None:
    raise longshore.Reject(f"this file can never be read: {argument}")


def _segfault(_argument: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    _pause(60)


def _exit(argument: str) -> None:
    os._exit(int(argument))


def _hog(_argument: str) -> None:
    """Take 100 GB, piece by piece; each is written to, or the kernel would only promise it."""
    piece = os.urandom(1024) * 1024 * 64
    kept: list[bytearray] = []
    while len(kept) * len(piece) < 100 * 1024**3:
        kept.append(bytearray(piece))


def _loop(_argument: str) -> None:
    number = 0
    while True:
        number += 1


def _deaf_loop(_argument: str) -> None:
    for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(polite, signal.SIG_IGN)
    _loop("")


def _until(argument: str) -> None:
    marker = Path(argument)
    while not marker.exists():
        _pause(NAP_S)


def _print(argument: str) -> None:
    for number in range(int(argument)):
        print(f"line {number}")
        print(f"trouble {number}", file=sys.stderr)


def _spawn(argument: str) -> None:
    """Start a grandchild that never ends, then wait for the marker."""
    marker, _, log = argument.partition(" ")
    grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    # Whoever waits for the file reads it at once: it must not be seen while it is empty.
    written = Path(f"{marker}.new")
    written.write_text(str(grandchild.pid), encoding="utf-8")
    written.replace(log or f"{marker}.pid")
    _until(marker)


def _nap(argument: str) -> None:
    deadline = time.monotonic() + float(argument)
    while (rest := deadline - time.monotonic()) > 0:
        _pause(rest)


_VERBS: dict[str, Callable[[str], None]] = {
    "fine": _fine,
    "raise": _raise,
    "raise-once": _raise_once,
    "reject": _reject,
    "segfault": _segfault,
    "exit": _exit,
    "hog": _hog,
    "loop": _loop,
    "deaf-loop": _deaf_loop,
    "until": _until,
    "print": _print,
    "spawn": _spawn,
    "nap": _nap,
}

"""Services that a user might write, good and bad; loaded by real workers."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import longshore

LIMIT_S = 0.5
_pause = threading.Event()


@dataclass
class Quote:
    """What `quote` returns."""

    premium: float
    note: str = ""


class Sums(TypedDict):
    """What `columns` returns."""

    total: list[float]
    half: list[float]


@longshore.service("tests/quote", version="1.2.0", subservices={"money": ["premium"]})
def quote(age: int, sum_insured: float = 1000.0, *, smoker: bool | None = None) -> Quote:
    """Compute a premium.

    More about it.
    """
    if age < 0:
        raise ValueError("nobody is that young")
    if age > 99:
        warnings.warn("a very old person", stacklevel=1)
    return Quote(age * sum_insured / 1000 * (2 if smoker else 1))


@longshore.service("tests/whole")
def whole(record: longshore.Record) -> dict[str, Any]:
    return {"record": record}


@longshore.service("tests/anything")
def anything(**inputs: Any) -> int:
    return len(inputs)


@longshore.service("tests/value")
def value(value: Any) -> Any:
    """Return what JSON has no word for, and other oddities."""
    odd: dict[Any, Any] = {
        "nan": {"x": float("nan")},
        "deep": {"x": [1, {"y": float("inf")}]},
        "set": {"x": {1}},
        "object": {"x": object()},
        "key": {(1, 2): 3},
        "surrogate": {"x": "\ud800"},
        "large": {"x": 2**70},
        "none": None,
        "null": {"x": None},
        "text": "null",
    }
    if value == "exit":
        raise SystemExit(3)
    if value == "stop":
        raise KeyboardInterrupt
    if value == "memory":
        raise MemoryError
    if value == "reject":
        raise longshore.Reject("not for us")
    if value == "later":
        raise longshore.RetryLater("the rates are not there yet", delay_s=7)
    return odd.get(value, {"x": value})


@longshore.service("tests/slow")
def slow(seconds: float) -> dict[str, Any]:
    _pause.wait(seconds)
    return {}


CALLS: list[int] = []


@longshore.service("tests/columns", batch=True)
def columns(value: list[float], factor: list[float] = 2.0) -> Sums:  # type: ignore[assignment]
    """Refuse all values together if one is negative."""
    CALLS.append(len(value))
    if any(each < 0 for each in value):
        raise ValueError("a negative value")
    factors = factor if isinstance(factor, list) else [factor] * len(value)
    total = [each * by for each, by in zip(value, factors, strict=True)]
    return {"total": total, "half": [each / 2 for each in total]}


@longshore.service("tests/columns-as-dicts", batch=True)
def dicts(columns: longshore.Record) -> list[dict[str, Any]]:
    return [{"sum": sum(row)} for row in zip(*columns.values(), strict=True)]


@longshore.service("tests/wrong-columns", batch=True)
def wrong(value: list[float]) -> Any:
    if value[0] == 1:
        return {"x": value[1:]}
    return {"x": 1.5}


def _raise() -> None:
    raise ValueError("this record is poison")


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _exit() -> None:
    os._exit(7)


def _hog() -> None:
    bytearray(100 << 30)


LEAKED: list[bytearray] = []


def _leak() -> None:
    LEAKED.append(bytearray(300 << 20))


def _need() -> None:
    bytearray(100 << 20)


def _loop() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _spin()


def _spin() -> None:
    while True:
        pass


def _later() -> None:
    raise longshore.RetryLater("not now", delay_s=7)


def _print() -> None:
    print("computing")


_VERBS = {
    "raise": _raise,
    "segfault": _segfault,
    "exit": _exit,
    "hog": _hog,
    "loop": _loop,
    "spin": _spin,
    "leak": _leak,
    "need": _need,
    "later": _later,
    "print": _print,
}


@longshore.service("tests/behave", timeout_s=LIMIT_S)
def behave(value: int, verb: str = "fine", directory: str = "") -> dict[str, Any]:
    """Do what the verb says, and note in a directory how often it was begun."""
    if directory:
        with (Path(directory) / str(value)).open("a", encoding="ascii") as file:
            file.write(".")
    if verb != "fine":
        _VERBS[verb]()
    return {"value": value}


@longshore.service("tests/lethal-columns", batch=True)
def lethal(value: list[int]) -> dict[str, list[int]]:
    if 37 in value:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": value}


@longshore.service("tests/gate")
def gate(value: int, marker: str) -> dict[str, Any]:
    print("ready", flush=True)
    while not Path(marker).exists():
        _pause.wait(0.02)
    return {"value": value}

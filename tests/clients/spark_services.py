"""The services that the tests of the published client `cspark` run.

The module is loaded by real workers, so it depends on nothing but Longshore.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import longshore

SLOW_S = 0.05
_LOOK_S = 0.02
_pause = threading.Event()


@longshore.service(
    "my-folder/my-service",
    version="0.4.2",
    active_since="2020-01-01",
    subservices={"sums": ["total"]},
)
def my_service(value: float, common: float = 0, label: str = "") -> dict[str, Any]:
    """Add what is common to a value."""
    return {"value": value, "total": value + common, "label": label}


@longshore.service("my folder/Prämien & more", version="1.0.0")
def oddly_named(value: float) -> dict[str, Any]:
    """Double a value."""
    return {"value": value * 2}


@longshore.service("my-folder/whole", version="1.0.0")
def whole(record: longshore.Record) -> dict[str, Any]:
    """Give back the whole record."""
    return {"record": record}


@longshore.service("my-folder/columns", version="1.0.0", batch=True)
def columns(value: list[float]) -> dict[str, list[float]]:
    """Double a column."""
    return {"value": [each * 2 for each in value]}


@longshore.service("my-folder/versions", version="1.0.0", active_since="2020-01-01")
def first(value: float) -> dict[str, Any]:
    """Tell the version."""
    return {"version": "1.0.0", "value": value}


@longshore.service("my-folder/versions", version="1.4.9", active_since="2022-01-01")
def ninth(value: float) -> dict[str, Any]:
    """Tell the version."""
    return {"version": "1.4.9", "value": value}


@longshore.service("my-folder/versions", version="1.4.10", active_since="2023-01-01")
def tenth(value: float) -> dict[str, Any]:
    """Tell the version."""
    return {"version": "1.4.10", "value": value}


@longshore.service("my-folder/versions", version="2.0.0", active_since="2024-01-01")
def second(value: float) -> dict[str, Any]:
    """Tell the version."""
    return {"version": "2.0.0", "value": value}


@longshore.service("my-folder/gate", version="1.0.0")
def gate(value: float, gate: str) -> dict[str, Any]:
    """Wait until the file at `gate` is there."""
    while not Path(gate).exists():
        _pause.wait(_LOOK_S)
    return {"value": value}


@longshore.service("my-folder/wordy", version="1.0.0")
def wordy(words: int) -> dict[str, Any]:
    """Give back so many words."""
    return {"text": "word " * words}


@longshore.service("seed/fast", version="1.0.0")
def fast(value: int) -> dict[str, Any]:
    """Square a value at once."""
    return {"value": value, "square": value * value}


@longshore.service("seed/slow", version="1.0.0")
def slow(value: int) -> dict[str, Any]:
    """Square a value after a while."""
    _pause.wait(SLOW_S)
    return {"value": value, "square": value * value}


@longshore.service("seed/failing", version="1.0.0")
def failing(value: int) -> dict[str, Any]:
    """Square a value, but for one in a hundred."""
    if value % 100 == 7:
        raise ValueError(f"{value} cannot be squared today")
    return {"value": value, "square": value * value}

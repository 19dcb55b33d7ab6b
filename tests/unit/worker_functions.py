"""What a user of buckets might write, good and bad."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import click

import longshore
from longshore import Work


@longshore.function("square")
def square(value: float) -> dict[str, float]:
    return {"square": value * value}


@longshore.function("hurry", timeout_s=0.3)
def hurry() -> None:
    while True:
        pass


def files(directory: str) -> tuple[dict[str, int], list[Path], list[str]]:
    """Make a product and a plot, and name one more plot that is not there."""
    product, plot = Path(directory, "data.csv"), Path(directory, "plot.png")
    product.write_text("1,2\n")
    plot.write_bytes(b"png")
    return {"rows": 1}, [product], [str(plot), "nowhere.png"]


def whole(work: Work) -> Work:
    work.results = {"tags": work.tags, "again": (work.results or {}).get("first")}
    work.products = ["made.csv"]
    return work


def unmarked(work) -> dict[str, Any]:
    return {"pipeline": work.pipeline}


@click.command()
@click.argument("name")
@click.option("--shout", is_flag=True)
@click.option("-n", "--times", default=1)
@click.option("--tag", multiple=True)
@click.option("--span", nargs=2, type=float)
@click.option("-v", "verbose", count=True)
def greet(**given: Any) -> dict[str, Any]:
    print("greeting")
    return {**given, "tag": list(given["tag"])}


def answer(what: str) -> object:
    return {
        "none": None,
        "number": 42,
        "set": {1, 2},
        "set inside": {"a": {1, 2}},
        "nan": {"snr": float("nan"), "fine": 1},
        "nul": {"text": "a\x00b"},
        "tuple": ({"a": 1}, [], ["plot.png"]),
        "odd tuple": ({"a": 1}, "text"),
        "surrogate": {"text": "\udc80"},
    }[what]


def fails() -> None:
    raise ValueError("no pulse in it")


def leaves() -> None:
    sys.exit(3)


def crashes() -> None:
    print("about to read address zero", flush=True)
    ctypes.string_at(0)


def endless() -> None:
    print("begun", flush=True)
    while True:
        pass


def pid() -> dict[str, int]:
    return {"pid": os.getpid()}


def noisy() -> None:
    line = "x" * 99
    for _ in range(1_000_000):
        print(line)


def gated(gate: str) -> dict[str, Any]:
    print("ready", flush=True)
    while not Path(gate).exists():
        pass
    return {}

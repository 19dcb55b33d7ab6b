"""Pauses, parallel uploads and progress bars."""

from __future__ import annotations

import asyncio
import io
import itertools
import sys

import pytest

from longshore.errors import WaitTimeout
from longshore.sdk import _progress
from longshore.sdk._waiting import async_in_parallel, in_parallel, pauses_s


def test_pauses_grow_up_to_two_seconds() -> None:
    pauses = list(itertools.islice(pauses_s(None, "it"), 20))
    assert pauses[0] == 0.1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2.0


def test_a_pause_never_outlasts_the_time_left() -> None:
    assert next(pauses_s(0.05, "it")) <= 0.05


def test_no_time_left_is_a_timeout() -> None:
    with pytest.raises(WaitTimeout, match="Run rn_1 is not finished after 0 s"):
        next(pauses_s(0, "Run rn_1"))


async def test_outcomes_keep_the_order_of_the_items() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2

    assert in_parallel(lambda number: number * 2, range(9), limit=3) == list(range(0, 18, 2))
    assert await async_in_parallel(double, range(9), limit=3) == list(range(0, 18, 2))
    assert in_parallel(lambda number: number, [], limit=3) == []
    assert await async_in_parallel(double, [], limit=3) == []


async def test_a_failure_cancels_what_is_still_waiting() -> None:
    begun: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("first")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="first"):
        await async_in_parallel(work, range(10), limit=2)
    assert len(begun) < 10
    assert ended == [number for number in begun if number != 0]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with _progress.bar("12 files", shown=True, total=10, sized=True) as shown:
        shown.advance(10)
    assert "12 files" in terminal.getvalue()
    with _progress.bar("Run rn_1", shown=True) as shown:
        shown.update(1, total=2, note="waiting for a worker")
    assert "1/2" in terminal.getvalue()
    assert "waiting for a worker" in terminal.getvalue()


@pytest.mark.parametrize(("shown", "terminal"), [(False, Terminal()), (True, io.StringIO())])
def test_nothing_is_drawn_elsewhere(
    monkeypatch: pytest.MonkeyPatch, shown: bool, terminal: io.StringIO
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    with _progress.bar("12 files", shown=shown, total=10) as drawn:
        drawn.advance(1)
        drawn.update(2)
    assert terminal.getvalue() == ""

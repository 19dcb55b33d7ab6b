"""The life of a work as spans of time: where it was, from when to when, and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from longshore.clock import SECOND_US
from longshore.engine.works import Event, Work

WIDTH: Final = 1_000.0
LANE: Final = 26
_LANES: Final = 12
"""Attempts that are drawn; the table has all."""


@dataclass(frozen=True, slots=True)
class Span:
    """A time in one state; `until_us` is None where it lasts."""

    state: str
    reason: str
    attempt: int
    actor: str
    from_us: int
    until_us: int | None
    length_s: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as it is drawn."""

    span: Span
    x: float
    y: int
    width: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """All bars, and the size of the drawing."""

    bars: list[Bar]
    lanes: list[tuple[int, int]]
    height: int
    length_s: float


def spans(work: Work, events: Sequence[Event], now_us: int) -> list[Span]:
    """Return the times between the changes of a work; one that is over has no last one."""
    found = []
    for event, following in zip(events, [*events[1:], None], strict=True):
        if following is None and work.final:
            break
        until_us = None if following is None else following.at_us
        length_us = (now_us if until_us is None else until_us) - event.at_us
        state = "held" if event.reason == "held" else event.to_state
        found.append(
            Span(
                state,
                event.reason,
                event.attempt,
                event.actor,
                event.at_us,
                until_us,
                max(length_us, 0) / SECOND_US,
            )
        )
    return found


def draw(found: Sequence[Span]) -> Drawing | None:
    """Lay spans out, one lane an attempt; None where there is nothing to draw."""
    if not found:
        return None
    begin_us = found[0].from_us
    whole_s = max((found[-1].from_us - begin_us) / SECOND_US + found[-1].length_s, 0.001)
    # What waits is the beginning of the attempt that comes next.
    attempts = sorted({_lane(span) for span in found})[-_LANES:]
    bars = []
    for span in found:
        if _lane(span) not in attempts:
            continue
        x = (span.from_us - begin_us) / SECOND_US / whole_s * WIDTH
        width = max(span.length_s / whole_s * WIDTH, 1.5)
        y = attempts.index(_lane(span)) * LANE
        bars.append(Bar(span, round(min(x, WIDTH - 1.5), 2), y, round(width, 2)))
    lanes = [(attempt, index * LANE) for index, attempt in enumerate(attempts)]
    return Drawing(bars, lanes, len(attempts) * LANE, whole_s)


def _lane(span: Span) -> int:
    return span.attempt if span.state in ("running", "failure") else span.attempt + 1

"""A run over time as bars: waits, attempts, and what is expected of the rest. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from longshore.clock import SECOND_US, iso
from longshore.dashboard.formats import length
from longshore.dashboard.pages.workflows.drawing import shortened

LABELS: Final = 190
"""Width of the names, in pixels."""
PLOT: Final = 880
ROW: Final = 22
AXIS: Final = 26
MARGIN: Final = 12
ROWS_MAX: Final = 250
_TICKS: Final = 8
_STEPS_S: Final = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800,
    21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time of a step; `kind` is wait, forecast, running, or how an attempt ended."""

    kind: str
    from_us: int
    until_us: int
    title: str


@dataclass(frozen=True, slots=True)
class Track:
    """The stretches of one step."""

    name: str
    href: str
    critical: bool
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch as a rectangle, in pixels."""

    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A step with its rectangles; `y` is the upper edge of the row."""

    name: str
    shown: str
    href: str
    critical: bool
    y: int
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Tick:
    """A line over all rows, with what stands at it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A Gantt chart that can be drawn; sizes in pixels."""

    width: int
    height: int
    rows: list[Row]
    ticks: list[Tick]
    now_x: float | None
    left_out: int


def chart(tracks: Sequence[Track], now_us: int | None) -> Chart | None:
    """Draw tracks over one axis; None where nothing has begun or is expected.

    Args:
        tracks: in the order in which they are drawn; those without stretches are left out.
        now_us: where the line of now is drawn, or None for none.
    """
    shown = [track for track in tracks if track.spans]
    if not shown:
        return None
    first_us = min(span.from_us for track in shown for span in track.spans)
    last_us = max(span.until_us for track in shown for span in track.spans)
    if now_us is not None:
        last_us = max(last_us, now_us)
    scale = _Scale(first_us, max(last_us - first_us, SECOND_US // 10))
    rows = [
        Row(
            track.name,
            shortened(track.name, 24),
            track.href,
            track.critical,
            AXIS + number * ROW,
            [scale.bar(span) for span in track.spans],
        )
        for number, track in enumerate(shown[:ROWS_MAX])
    ]
    return Chart(
        width=LABELS + PLOT + MARGIN,
        height=AXIS + len(rows) * ROW + MARGIN,
        rows=rows,
        ticks=scale.ticks(),
        now_x=None if now_us is None or now_us < first_us else scale.x(now_us),
        left_out=max(len(shown) - ROWS_MAX, 0),
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    first_us: int
    length_us: int

    def x(self, at_us: int) -> float:
        return round(LABELS + PLOT * (at_us - self.first_us) / self.length_us, 1)

    def bar(self, span: Span) -> Bar:
        x = self.x(span.from_us)
        return Bar(span.kind, x, max(round(self.x(span.until_us) - x, 1), 1.5), span.title)

    def ticks(self) -> list[Tick]:
        whole_s = self.length_us / SECOND_US
        step_s = next((each for each in _STEPS_S if whole_s / each <= _TICKS), _STEPS_S[-1])
        step_us = round(step_s * SECOND_US)
        # By the clock where it is long enough for that, else from the beginning of the run.
        if step_s >= 60:
            start_us = -(-self.first_us // step_us) * step_us
            marks = range(start_us, self.first_us + self.length_us + 1, step_us)
            return [Tick(self.x(at), _clock(at, step_s)) for at in marks]
        marks = range(0, self.length_us + 1, step_us)
        return [Tick(self.x(self.first_us + at), _after(at)) for at in marks]


def _clock(at_us: int, step_s: float) -> str:
    text = str(iso(at_us))
    return text[5:10] if step_s >= 86_400 else text[11:16]


def _after(passed_us: int) -> str:
    seconds = passed_us / SECOND_US
    return "0" if not passed_us else f"+{seconds:g} s" if seconds < 60 else f"+{length(seconds)}"

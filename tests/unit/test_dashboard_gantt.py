"""Gantt charts: bars at their times, ticks at round ones, and no more rows than can be read."""

from __future__ import annotations

from longshore.dashboard.pages.workflow_runs.gantt import (
    LABELS,
    PLOT,
    ROWS_MAX,
    Span,
    Track,
    chart,
)

S = 1_000_000
MORNING = 1_800_000_000 * S
"""2027-01-15 08:00:00 UTC."""


def track(name: str, *spans: tuple[str, float, float]) -> Track:
    made = [Span(kind, MORNING + round(a * S), MORNING + round(b * S), "") for kind, a, b in spans]
    return Track(name, f"?step={name}", False, made)


def test_bars_lie_where_their_times_are() -> None:
    drawn = chart([track("a", ("finished", 0, 50)), track("b", ("running", 50, 100))], None)
    assert drawn is not None
    (a,), (b,) = (row.bars for row in drawn.rows)
    assert (a.x, a.width) == (LABELS, PLOT / 2)
    assert (b.x, b.width) == (LABELS + PLOT / 2, PLOT / 2)
    assert drawn.rows[1].y > drawn.rows[0].y
    assert drawn.now_x is None


def test_short_bars_are_seen_and_now_is_marked() -> None:
    drawn = chart([track("a", ("finished", 0, 0.001))], MORNING + 60 * S)
    assert drawn is not None
    assert drawn.rows[0].bars[0].width == 1.5
    assert drawn.now_x == LABELS + PLOT


def test_long_runs_are_marked_by_the_clock_and_short_ones_from_their_beginning() -> None:
    long = chart([track("a", ("finished", 100, 3_700))], None)
    assert long is not None
    assert [tick.label for tick in long.ticks] == [
        "08:10",
        "08:20",
        "08:30",
        "08:40",
        "08:50",
        "09:00",
    ]
    short = chart([track("a", ("finished", 0.3, 4.3))], None)
    assert short is not None
    assert [tick.label for tick in short.ticks][:3] == ["0", "+0.5 s", "+1 s"]
    assert short.ticks[0].x == LABELS


def test_what_has_no_times_is_left_out_and_too_many_rows_are_counted() -> None:
    assert chart([track("a")], None) is None
    many = [track(f"s{number}", ("finished", number, number + 1)) for number in range(ROWS_MAX + 7)]
    drawn = chart([track("none"), *many], None)
    assert drawn is not None
    assert (len(drawn.rows), drawn.left_out) == (ROWS_MAX, 7)

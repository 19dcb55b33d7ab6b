"""What went on and how much there is, from what the background pass keeps: quick at any size.

    activity_tables      where it is kept
    activity_counting    from events to buckets of ten seconds
    activity_rolling     buckets: put together to longer ones, forgotten when they are old
    activity_census      how many works of each queue are in which state
    activity_histograms  lengths of time

Everything here says as of when it is: some seconds ago, unless no server ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select, tuple_

from longshore.clock import SECOND_US, to_us
from longshore.engine import activity_census as census
from longshore.engine import activity_histograms as histograms
from longshore.engine import activity_rolling as rolling
from longshore.engine import queues
from longshore.engine.activity_census import QueueCount
from longshore.engine.activity_rolling import CHANGES, DEPTHS, Tally
from longshore.engine.activity_tables import buckets, queue_counts
from longshore.engine.tables import queues as queues_table
from longshore.storage import now_us

WINDOWS_S: Final = {
    "15m": 900, "1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 7 * 86_400, "90d": 90 * 86_400,
}  # fmt: skip
"""Windows that charts offer, by name."""
_Depth = tuple[int, ...]
RECENT_S: Final = 300
"""Rates of surfaces are those of so many seconds."""
_STEPS_S: Final = ((900, 10, 10), (3_600, 10, 30), (86_400, 300, 300), (7 * 86_400, 3_600, 3_600))
"""Longest window, length of the buckets to read, length of a step of the chart."""


@dataclass(frozen=True, slots=True)
class Series:
    """What went on over time, a value for each step of it.

    Attributes:
        at_us: as of when, or None where nothing was counted yet.
        step_s: length of a step, in seconds.
        times_s: when each step began, in seconds since 1970-01-01 UTC.
        rates: changes per second, by the names in CHANGES.
        run_p50_s, run_p95_s: how long attempts took that ended in the step; None where none did.
        wait_p50_s, wait_p95_s: how long works could have been claimed before they were.
        depth: most works at once by the names in DEPTHS, as of the last census before or in it.
    """

    at_us: int | None
    step_s: int
    times_s: list[int]
    rates: dict[str, list[float]]
    run_p50_s: list[float | None]
    run_p95_s: list[float | None]
    wait_p50_s: list[float | None]
    wait_p95_s: list[float | None]
    depth: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Totals:
    """How many works an organisation has, by the states of a census.

    Attributes:
        at_us: as of when, or None where nothing was counted yet.
        took_us: how long the count took; it pauses a multiple of that.
        by_state: how many, by the names in activity_census.STATES.
    """

    at_us: int | None
    took_us: int
    by_state: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SurfaceActivity:
    """A surface: its works as of the census, and changes per second lately."""

    surface: str
    counts: QueueCount
    queues: int
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class QueueActivity:
    """A queue and its works as of the census."""

    queue: queues.Queue
    counts: QueueCount


def series(
    connection: Connection, organisation_id: str, window_s: int, surface: str | None = None
) -> Series:
    """Return what went on in an organisation during the last `window_s` seconds.

    Args:
        connection: the transaction.
        organisation_id: whose works.
        window_s: how long, in seconds; one of WINDOWS_S, or anything else up to 90 days.
        surface: of one surface only.
    """
    base_s, step_s = next(
        ((base, step) for most, base, step in _STEPS_S if window_s <= most), (86_400, 86_400)
    )
    step_us = step_s * SECOND_US
    end_us = now_us(connection) // step_us * step_us + step_us
    from_us = end_us - window_s // step_s * step_us
    steps = range(from_us, end_us, step_us)
    found: dict[int, Tally] = {}
    depths: dict[int, dict[str, _Depth]] = {}
    for row in _rows(connection, organisation_id, surface, base_s, from_us):
        begins_us = row.begins_us // step_us * step_us
        tally = rolling.tally_of(row)
        if tally.depth is not None:
            of_step = depths.setdefault(begins_us, {})
            of_step[row.surface] = rolling.deepest(of_step.get(row.surface), tally.depth) or ()
        if (both := found.get(begins_us)) is None:
            found[begins_us] = tally
        else:
            both.add(tally)
    before = _depths_before(connection, organisation_id, surface, base_s, from_us)
    looked = rolling.progress_of(connection, rolling.LOOKED)
    at_us = None if looked is None else looked.at_us
    return _series(steps, step_s, found, _carried(steps, before, depths), at_us)


def totals(connection: Connection, organisation_id: str) -> Totals:
    """Return how many works an organisation has in each state, as of the last census."""
    sums = [func.sum(queue_counts.c[state]).label(state) for state in census.STATES]
    row = connection.execute(
        select(*sums)
        .select_from(_joined())
        .where(queues_table.c.organisation_id == organisation_id)
    ).one()
    by_state = {state: int(getattr(row, state) or 0) for state in census.STATES}
    progress = rolling.progress_of(connection, census.NAME)
    at_us, took_us = (None, 0) if progress is None else progress
    return Totals(at_us, took_us, by_state)


def per_surface(connection: Connection, organisation_id: str) -> list[SurfaceActivity]:
    """Return the surfaces in which the organisation has queues, by name."""
    sums = [func.sum(queue_counts.c[state]).label(state) for state in census.STATES]
    rows = connection.execute(
        select(
            queues_table.c.surface,
            func.count().label("queues"),
            *sums,
            func.min(queue_counts.c.oldest_us).label("oldest_us"),
            func.max(queue_counts.c.failed_us).label("failed_us"),
        )
        .select_from(_joined())
        .where(queues_table.c.organisation_id == organisation_id)
        .group_by(queues_table.c.surface)
        .order_by(queues_table.c.surface)
    ).all()
    rates = _recent(connection, organisation_id)
    return [
        SurfaceActivity(
            row.surface, census.from_row(row), int(row.queues), rates.get(row.surface, {})
        )
        for row in rows
    ]


def per_queue(
    connection: Connection,
    organisation_id: str,
    *,
    surface: str | None = None,
    after: tuple[str, str] | None = None,
    limit: int = 50,
) -> list[QueueActivity]:
    """Return queues with their works as of the census, by surface and name.

    Args:
        connection: the transaction.
        organisation_id: whose.
        surface: of one surface only.
        after: surface and name of the last queue of the page before.
        limit: most queues.
    """
    query = _queues(organisation_id).order_by(queues_table.c.surface, queues_table.c.name)
    if surface is not None:
        query = query.where(queues_table.c.surface == surface)
    if after is not None:
        query = query.where(tuple_(queues_table.c.surface, queues_table.c.name) > tuple_(*after))
    return of_rows(connection.execute(query.limit(limit)).all())


def of_rows(rows: Sequence[Any]) -> list[QueueActivity]:
    """Return what rows say that have the columns of `queues` and of `queue_counts`."""
    settings = queues.Queue.__dataclass_fields__
    return [
        QueueActivity(
            queues.Queue(**{name: getattr(row, name) for name in settings}), census.from_row(row)
        )
        for row in rows
    ]


def _queues(organisation_id: str) -> Select[Any]:
    counts = [column for column in queue_counts.c if column.name != "queue_id"]
    return (
        select(queues_table, *counts)
        .select_from(_joined())
        .where(queues_table.c.organisation_id == organisation_id)
    )


def _joined() -> Any:
    return queues_table.outerjoin(queue_counts, queue_counts.c.queue_id == queues_table.c.id)


def _recent(connection: Connection, organisation_id: str) -> dict[str, dict[str, float]]:
    """Return changes per second by surface, over the last RECENT_S seconds."""
    looked = rolling.progress_of(connection, rolling.LOOKED)
    if looked is None:
        return {}
    length_us = rolling.LENGTH_S * SECOND_US
    from_us = (now_us(connection) - to_us(RECENT_S)) // length_us * length_us
    sums = [func.sum(buckets.c[name]).label(name) for name in CHANGES]
    rows = connection.execute(
        select(buckets.c.surface, *sums)
        .where(_of(organisation_id, rolling.LENGTH_S), buckets.c.begins_us >= from_us)
        .group_by(buckets.c.surface)
    )
    return {
        row.surface: {name: int(getattr(row, name)) / RECENT_S for name in CHANGES} for row in rows
    }


def _of(organisation_id: str, length_s: int) -> Any:
    return (buckets.c.organisation_id == organisation_id) & (buckets.c.length_s == length_s)


def _rows(
    connection: Connection, organisation_id: str, surface: str | None, base_s: int, from_us: int
) -> list[Any]:
    """Return buckets from a time on: the longest, and shorter ones of what is not put together yet."""
    found: list[Any] = []
    for length_s in reversed(rolling.LENGTHS_S):
        if length_s > base_s:
            continue
        query = select(buckets).where(
            _of(organisation_id, length_s), buckets.c.begins_us >= from_us
        )
        if length_s != rolling.LENGTH_S:
            done = rolling.progress_of(connection, f"{length_s} s")
            if done is None or done.at_us <= from_us:
                continue
            query = query.where(buckets.c.begins_us < done.at_us)
            from_us = done.at_us
        if surface is not None:
            query = query.where(buckets.c.surface == surface)
        found += connection.execute(query).all()
    return found


def _depths_before(
    connection: Connection, organisation_id: str, surface: str | None, base_s: int, from_us: int
) -> dict[str, tuple[int, ...]]:
    """Return the depth of each surface at the beginning of a window."""
    query = (
        select(buckets.c.surface, *(buckets.c[name] for name in DEPTHS))
        .where(
            _of(organisation_id, base_s),
            buckets.c.begins_us < from_us,
            buckets.c.begins_us >= from_us - 60 * base_s * SECOND_US,
            buckets.c.queued.is_not(None),
        )
        .order_by(buckets.c.begins_us)
    )
    if surface is not None:
        query = query.where(buckets.c.surface == surface)
    return {row[0]: tuple(row[1:]) for row in connection.execute(query)}


def _carried(
    steps: range, before: Mapping[str, _Depth], depths: Mapping[int, Mapping[str, _Depth]]
) -> list[_Depth]:
    """Return the depth of each step over all surfaces: where nobody looked, it is as it was."""
    latest = dict(before)
    found: list[_Depth] = []
    for begins_us in steps:
        latest |= depths.get(begins_us, {})
        found.append(tuple(map(sum, zip(*latest.values(), strict=True))) or (0,) * len(DEPTHS))
    return found


def _series(
    steps: range,
    step_s: int,
    found: Mapping[int, Tally],
    depths: Sequence[_Depth],
    at_us: int | None,
) -> Series:
    """Put what was found into the order of the steps."""
    tallies = [found.get(begins_us) or Tally() for begins_us in steps]
    # The newest step has only begun.
    passed_s = [step_s if at_us is None else (at_us - begins_us) / SECOND_US for begins_us in steps]
    lengths_s = [min(max(passed, 1.0), float(step_s)) for passed in passed_s]

    def of_runs(share: float) -> list[float | None]:
        return [histograms.percentile(tally.run_times, share) for tally in tallies]

    def of_waits(share: float) -> list[float | None]:
        return [histograms.percentile(tally.waits, share) for tally in tallies]

    return Series(
        at_us=at_us,
        step_s=step_s,
        times_s=[begins_us // SECOND_US for begins_us in steps],
        rates={
            name: [
                tally.changes.get(name, 0) / length_s
                for tally, length_s in zip(tallies, lengths_s, strict=True)
            ]
            for name in CHANGES
        },
        run_p50_s=of_runs(0.5),
        run_p95_s=of_runs(0.95),
        wait_p50_s=of_waits(0.5),
        wait_p95_s=of_waits(0.95),
        depth={name: [depth[position] for depth in depths] for position, name in enumerate(DEPTHS)},
    )

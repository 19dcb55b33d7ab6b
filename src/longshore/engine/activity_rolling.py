"""The roll-up: from events to how much went on in each ten seconds, and from those to longer times.

A bucket is counted from the events of its time, which an index finds, and replaces what was there.
The newest ones are looked at again for a minute: a transaction that took long, or whose server's
clock is behind, commits events of a time that was counted already. Events go with their works
when those are deleted; what was counted stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.clock import SECOND_US, to_us
from longshore.engine import activity_histograms as histograms
from longshore.engine.activity_histograms import Histogram
from longshore.engine.activity_tables import buckets, progress
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows

LENGTH_S: Final = 10
"""Length of the buckets that are counted from events."""
LENGTHS_S: Final = (LENGTH_S, 300, 3_600, 86_400)
"""Lengths of all buckets; each is put together from the one before."""
KEPT_S: Final = {
    LENGTH_S: limits.ACTIVITY_KEPT_S,
    300: limits.ACTIVITY_MINUTES_KEPT_S,
    3_600: limits.ACTIVITY_HOURS_KEPT_S,
    86_400: limits.ACTIVITY_HOURS_KEPT_S,
}
SETTLED_S: Final = 60.0
"""A bucket is looked at again for so long after its end."""
CHANGES: Final = ("submitted", "claimed", "succeeded", "failed", "cancelled", "retried", "lost")
DEPTHS: Final = ("waiting", "queued", "running")
COUNTED: Final = "counted"
"""Until when all buckets of ten seconds are over and counted."""
LOOKED: Final = "looked"
"""When the events were looked at last: what is said of the newest bucket is as of then."""
IDS_PER_STATEMENT: Final = 500
BUCKETS_PER_COMPACTION: Final = 24
_COLUMNS: Final = (
    "organisation_id", "length_s", "begins_us", "surface", *CHANGES, *DEPTHS, "run_times", "waits",
)  # fmt: skip
_KEY: Final = ", ".join(column.name for column in buckets.primary_key)
_FIRST: Final = _COLUMNS.index(CHANGES[0])
_DEPTH: Final = _COLUMNS.index(DEPTHS[0])

Key = tuple[int, str, str]
"""A bucket's begin, the organisation, the surface."""


@dataclass(slots=True)
class Tally:
    """What went on in a bucket.

    Attributes:
        changes: how often each of CHANGES happened; absent ones did not.
        depth: the most works that were in each of DEPTHS at once, or None where nobody looked.
        run_times: how long attempts took that ended in it.
        waits: how long works could have been claimed before they were.
    """

    changes: dict[str, int] = field(default_factory=dict)
    depth: tuple[int, ...] | None = None
    run_times: Histogram = field(default_factory=dict)
    waits: Histogram = field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Add what went on in another time: changes add up, depths do not."""
        for name, many in other.changes.items():
            self.changes[name] = self.changes.get(name, 0) + many
        self.depth = deepest(self.depth, other.depth)
        histograms.add(self.run_times, other.run_times)
        histograms.add(self.waits, other.waits)

    def cover(self, other: Tally) -> None:
        """Take over what another count of the same time saw more of."""
        for name, many in other.changes.items():
            self.changes[name] = max(self.changes.get(name, 0), many)
        self.depth = deepest(self.depth, other.depth)
        self.run_times = max(self.run_times, other.run_times, key=_many)
        self.waits = max(self.waits, other.waits, key=_many)


class Progress(NamedTuple):
    """How far something has got, and how long that took the last time."""

    at_us: int
    took_us: int


def deepest(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Return the larger of each of two depths."""
    if one is None or other is None:
        return other if one is None else one
    return tuple(map(max, one, other))


def progress_of(connection: Connection, name: str) -> Progress | None:
    """Return how far `name` has got, or None where it has not begun."""
    row = connection.execute(
        select(progress.c.at_us, progress.c.took_us).where(progress.c.name == name)
    ).one_or_none()
    return None if row is None else Progress(*row)


def advance(connection: Connection, name: str, at_us: int, *, took_us: int) -> bool:
    """Note how far `name` has got, unless it is further already; return whether it was noted.

    Others that would note the same wait until this transaction ends.
    """
    begin = {"name": name, "at_us": -1, "took_us": 0}
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(progress).values(begin).on_conflict_do_nothing())
    else:
        connection.execute(postgresql.insert(progress).values(begin).on_conflict_do_nothing())
    changed = connection.execute(
        update(progress)
        .where(progress.c.name == name, progress.c.at_us <= at_us)
        .values(at_us=at_us, took_us=took_us)
    )
    return changed.rowcount == 1


def merge(connection: Connection, length_s: int, found: Mapping[Key, Tally]) -> None:
    """Put what was counted into the buckets of a length; what is there and larger stays."""
    if not found:
        return
    begins = [begins_us for begins_us, _, _ in found]
    # What was found is of one stretch of time, which the index gives as a whole.
    rows = connection.execute(
        select(buckets).where(
            buckets.c.length_s == length_s,
            buckets.c.begins_us >= min(begins),
            buckets.c.begins_us <= max(begins),
        )
    )
    there = {(row.begins_us, row.organisation_id, row.surface): row for row in rows}
    changed = []
    for key, tally in found.items():
        if (row := there.get(key)) is None:
            changed.append(_row(length_s, key, tally))
            continue
        kept = tally_of(row)
        kept.cover(tally)
        if (fresh := _row(length_s, key, kept)) != tuple(row):
            changed.append(fresh)
    insert_rows(connection, buckets, _COLUMNS, changed, replace_on=_KEY)


def compact(connection: Connection) -> bool:
    """Put buckets together to longer ones, as far as they are settled; return whether more are due."""
    counted = progress_of(connection, COUNTED)
    if counted is None:
        return False
    settled_us = counted.at_us - to_us(SETTLED_S)
    more = False
    for shorter_s, length_s in pairwise(LENGTHS_S):
        settled_us, left = _compact(connection, shorter_s, length_s, settled_us)
        more = more or left
    return more


def _compact(
    connection: Connection, shorter_s: int, length_s: int, settled_us: int
) -> tuple[int, bool]:
    """Make buckets of a length until `settled_us`; return how far it got, and whether more wait."""
    length_us = length_s * SECOND_US
    name = f"{length_s} s"
    before = progress_of(connection, name)
    at_us = 0 if before is None else before.at_us
    for _ in range(BUCKETS_PER_COMPACTION):
        first_us = connection.execute(
            select(func.min(buckets.c.begins_us)).where(
                buckets.c.length_s == shorter_s, buckets.c.begins_us >= at_us
            )
        ).scalar()
        if first_us is None or first_us // length_us * length_us + length_us > settled_us:
            # Nothing more is there; times in which nothing went on are done with too.
            at_us = max(at_us, settled_us // length_us * length_us)
            break
        begins_us = first_us // length_us * length_us
        found: dict[Key, Tally] = {}
        for row in connection.execute(
            select(buckets).where(
                buckets.c.length_s == shorter_s,
                buckets.c.begins_us >= begins_us,
                buckets.c.begins_us < begins_us + length_us,
            )
        ):
            key = (begins_us, row.organisation_id, row.surface)
            found.setdefault(key, Tally()).add(tally_of(row))
        merge(connection, length_s, found)
        at_us = begins_us + length_us
    if before is None or at_us > before.at_us:
        advance(connection, name, at_us, took_us=0)
    return at_us, at_us < settled_us // length_us * length_us


def forget(connection: Connection) -> int:
    """Delete some of the buckets that are past their time; return how many."""
    at_us = now_us(connection)
    count = 0
    for length_s, longer_s in zip(LENGTHS_S, (*LENGTHS_S[1:], None), strict=True):
        limit_us = at_us - to_us(KEPT_S[length_s])
        if longer_s is not None:
            # Never before they were put together to longer ones.
            done = progress_of(connection, f"{longer_s} s")
            limit_us = min(limit_us, 0 if done is None else done.at_us)
        old = buckets.c.length_s == length_s
        first_us = connection.execute(select(func.min(buckets.c.begins_us)).where(old)).scalar()
        if first_us is not None and first_us < limit_us:
            some_us = min(limit_us, first_us + 360 * length_s * SECOND_US)
            gone = delete(buckets).where(old, buckets.c.begins_us < some_us)
            count += connection.execute(gone).rowcount
    return count


def tally_of(row: Any) -> Tally:
    """Return what a row of `activity_buckets` says."""
    values = tuple(row)
    changes = {
        name: many for name, many in zip(CHANGES, values[_FIRST:_DEPTH], strict=True) if many
    }
    depth = values[_DEPTH : _DEPTH + len(DEPTHS)]
    return Tally(
        changes,
        None if None in depth else depth,
        histograms.from_text(values[-2]),
        histograms.from_text(values[-1]),
    )


def _row(length_s: int, key: Key, tally: Tally) -> tuple[Any, ...]:
    begins_us, organisation_id, surface = key
    return (
        organisation_id,
        length_s,
        begins_us,
        surface,
        *(tally.changes.get(name, 0) for name in CHANGES),
        *(tally.depth or (None, None, None)),
        histograms.to_text(tally.run_times),
        histograms.to_text(tally.waits),
    )


def _many(histogram: Histogram) -> int:
    return sum(histogram.values())

"""Counting events by time, for the roll-up: what is read, and how much of it at once.

Bounded work: a look takes as many whole buckets as have EVENTS events together, at least one, and
no more than BUCKETS.
Counts are exact; of the lengths of attempts and waits, a sample of what busy queues did is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from longshore import limits
from longshore.clock import SECOND_US, to_us
from longshore.engine import activity_histograms as histograms
from longshore.engine import activity_rolling as rolling
from longshore.engine.activity_rolling import Key, Tally
from longshore.engine.states import Reason
from longshore.engine.tables import events, queues
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows

EVENTS: Final = 50_000
"""Most events that one look takes, unless a single bucket has more."""
BUCKETS: Final = 360
SAMPLED: Final = 1_000
"""Of a queue with more ends or claims in one look, about so many lengths are read."""
_LENGTH_US: Final = rolling.LENGTH_S * SECOND_US
_CHANGE: Final = {
    Reason.CLAIMED: "claimed",
    Reason.DONE: "succeeded",
    Reason.FAILED: "failed",
    Reason.TIMED_OUT: "failed",
    Reason.REJECTED: "failed",
    Reason.LEASE_EXPIRED: "lost",
    Reason.WORKER_LOST: "lost",
    Reason.CANCELLED: "cancelled",
    Reason.CANCEL_CONFIRMED: "cancelled",
    Reason.DEPENDENCY_FAILED: "cancelled",
    Reason.RETRIED: "retried",
    Reason.REOPENED: "retried",
}
_ENDS: Final = tuple(
    str(reason)
    for reason, change in _CHANGE.items()
    if change in ("succeeded", "failed", "lost") or reason is Reason.CANCEL_CONFIRMED
)
"""Changes that end an attempt, whose length is then known."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the events found.

    Attributes:
        tallies: what went on in each bucket.
        events: how many events there were in each bucket that was looked at, for the next look.
        until_us: all buckets before it are over and counted.
        at_us: when it was taken.
        more: whether there are events that this look had no room for.
    """

    tallies: Mapping[Key, Tally]
    events: Mapping[int, int]
    until_us: int
    at_us: int
    more: bool


def look(connection: Connection, known: Mapping[int, int]) -> Look:
    """Count the events since the last look; reads only.

    Args:
        connection: the transaction.
        known: what earlier looks found in `Look.events`: buckets that have as many events still
            are not counted again.
    """
    at_us = now_us(connection)
    from_us, recent = _begin(connection, known, at_us)
    open_us = at_us // _LENGTH_US * _LENGTH_US
    until_us, more = _end(connection, from_us, open_us + _LENGTH_US)
    counted = _counted(connection, from_us, until_us)
    many = dict(recent)
    for row in counted:
        many[row.bucket * _LENGTH_US] = 0
    for row in counted:
        many[row.bucket * _LENGTH_US] += row.many
    return Look(
        _tallies(connection, counted, from_us, until_us),
        {begins_us: count for begins_us, count in many.items() if begins_us < until_us},
        min(until_us, open_us),
        min(at_us, until_us),
        more,
    )


def keep(connection: Connection, found: Look, *, took_us: int) -> None:
    """Put what a look found into the buckets."""
    # Before anything else, so that two servers do this one after the other.
    rolling.advance(connection, rolling.COUNTED, found.until_us, took_us=took_us)
    rolling.advance(connection, rolling.LOOKED, found.at_us, took_us=took_us)
    rolling.merge(connection, rolling.LENGTH_S, found.tallies)


def _begin(
    connection: Connection, known: Mapping[int, int], at_us: int
) -> tuple[int, dict[int, int]]:
    """Return from when on to count, and how many events the buckets have that count again."""
    progress = rolling.progress_of(connection, rolling.COUNTED)
    earliest_us = at_us - to_us(limits.ACTIVITY_HOURS_KEPT_S)
    if progress is None:
        return _first(connection, earliest_us, at_us), {}
    since_us = progress.at_us - to_us(rolling.SETTLED_S)
    bucket = _bucket()
    rows = connection.execute(
        select(bucket, func.count())
        .where(events.c.at_us >= since_us, events.c.at_us < progress.at_us)
        .group_by(bucket)
    )
    recent = {number * _LENGTH_US: many for number, many in rows}
    changed = [begins_us for begins_us, many in recent.items() if known.get(begins_us) != many]
    if changed:
        return min(changed), recent
    return _first(connection, max(progress.at_us, earliest_us), at_us), recent


def _first(connection: Connection, since_us: int, at_us: int) -> int:
    """Return the begin of the first bucket with an event since then, or that of the open one."""
    found = connection.execute(
        select(func.min(events.c.at_us)).where(events.c.at_us >= since_us)
    ).scalar()
    first_us = at_us if found is None else min(int(found), at_us)
    return max(first_us, since_us) // _LENGTH_US * _LENGTH_US


def _end(connection: Connection, from_us: int, open_end_us: int) -> tuple[int, bool]:
    """Return until when one look may count, and whether it has to stop before the present."""
    most_us = min(open_end_us, from_us + BUCKETS * _LENGTH_US)
    beyond = connection.execute(
        select(events.c.at_us)
        .where(events.c.at_us >= from_us, events.c.at_us < most_us)
        .order_by(events.c.at_us)
        .limit(1)
        .offset(EVENTS)
    ).scalar()
    if beyond is None:
        return max(most_us, from_us), most_us < open_end_us
    until_us = max(beyond // _LENGTH_US * _LENGTH_US, from_us + _LENGTH_US)
    return until_us, until_us < open_end_us


def _counted(connection: Connection, from_us: int, until_us: int) -> list[Row[Any]]:
    bucket, fresh = _bucket(), case((events.c.from_state.is_(None), 1), else_=0).label("fresh")
    counted = connection.execute(
        select(bucket, events.c.queue_id, events.c.reason, fresh, func.count().label("many"))
        .where(events.c.at_us >= from_us, events.c.at_us < until_us)
        .group_by(bucket, events.c.queue_id, events.c.reason, fresh)
    )
    return list(counted)


def _tallies(
    connection: Connection, counted: list[Row[Any]], from_us: int, until_us: int
) -> dict[Key, Tally]:
    places = _places(connection, {row.queue_id for row in counted})
    tallies: dict[Key, Tally] = {}
    lengths: dict[int, int] = {}
    for row in counted:
        if row.queue_id not in places:
            continue  # It was deleted with its works just now.
        change = "submitted" if row.fresh else _CHANGE.get(Reason(row.reason))
        if change is None:
            continue
        tally = tallies.setdefault((row.bucket * _LENGTH_US, *places[row.queue_id]), Tally())
        tally.changes[change] = tally.changes.get(change, 0) + row.many
        lengths[row.queue_id] = lengths.get(row.queue_id, 0) + row.many
    steps = {queue_id: many // SAMPLED for queue_id, many in lengths.items() if many >= 2 * SAMPLED}
    for row in connection.execute(*_lengths(connection.dialect.name, steps, from_us, until_us)):
        key = (row.bucket * _LENGTH_US, *places.get(row.queue_id, ("", "")))
        found = tallies.get(key)
        if found is None or row.since_us is None:
            continue
        histogram = found.waits if row.reason == Reason.CLAIMED else found.run_times
        seconds = (row.at_us - row.since_us) / SECOND_US
        histograms.observe(histogram, seconds, steps.get(row.queue_id, 1))
    return tallies


def _lengths(
    dialect: str, steps: Mapping[int, int], from_us: int, until_us: int
) -> tuple[Any, dict[str, Any]]:
    """Return a query for lengths of attempts that ended and of waits that ended, and what it takes.

    The event before tells since when: the work's last entry into the queue, or the claim of the
    same attempt. It is asked for one by one, through the index of a work's events.
    """
    before = events.alias("before")
    queued = (
        select(func.max(before.c.at_us))
        .where(
            before.c.work_id == events.c.work_id,
            before.c.to_state == "queued",
            before.c.seq < events.c.seq,
        )
        .scalar_subquery()
    )
    claimed = (
        select(func.max(before.c.at_us))
        .where(
            before.c.work_id == events.c.work_id,
            before.c.attempt == events.c.attempt,
            before.c.reason == str(Reason.CLAIMED),
        )
        .scalar_subquery()
    )
    is_claim = events.c.reason == literal_column(f"'{Reason.CLAIMED}'")
    given = given_rows(dialect, queue_id=BigInteger, step=Integer)
    of_queue = select(given.c.step).where(given.c.queue_id == events.c.queue_id).scalar_subquery()
    query = select(
        _bucket(),
        events.c.queue_id,
        events.c.reason,
        events.c.at_us,
        case((is_claim, queued), else_=claimed).label("since_us"),
    ).where(
        events.c.at_us >= bindparam("from_us", type_=BigInteger),
        events.c.at_us < bindparam("until_us", type_=BigInteger),
        or_(is_claim, events.c.reason.in_(_ENDS)),
    )
    parameters: dict[str, Any] = {"from_us": from_us, "until_us": until_us}
    if steps:
        busy = events.c.queue_id.in_(select(given.c.queue_id))
        query = query.where(or_(~busy, and_(busy, events.c.seq % of_queue == 0)))
        parameters |= given_parameters(dialect, sorted(steps.items()), 2)
    return query, parameters


def _places(connection: Connection, queue_ids: set[int]) -> dict[int, tuple[str, str]]:
    """Return organisation and surface of queues."""
    found: dict[int, tuple[str, str]] = {}
    ordered = sorted(queue_ids)
    for begin in range(0, len(ordered), rolling.IDS_PER_STATEMENT):
        some = ordered[begin : begin + rolling.IDS_PER_STATEMENT]
        rows = connection.execute(
            select(queues.c.id, queues.c.organisation_id, queues.c.surface).where(
                queues.c.id.in_(some)
            )
        )
        found |= {row.id: (row.organisation_id, row.surface) for row in rows}
    return found


def _bucket() -> Any:
    return (events.c.at_us // literal_column(str(_LENGTH_US), BigInteger)).label("bucket")

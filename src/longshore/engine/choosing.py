"""Which works a claim would take: the order of the queues, and their limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    Row,
    Select,
    bindparam,
    func,
    literal,
    select,
    union_all,
)

from longshore.engine import queues
from longshore.engine.tables import works

CANDIDATES_PER_KEYED_CLAIM = 1_000
QUEUES_PER_STATEMENT = 50


def choose(
    connection: Connection,
    usable: Sequence[queues.Queue],
    limit: int,
    at_us: int,
    among: Sequence[str] | None,
) -> list[str]:
    """Pick works under the limits of their queues, which are derived from live leases."""
    # On PostgreSQL two claims must not both count the same free slot.
    queues.lock(connection, [queue.id for queue in usable if queue.limited])
    candidates: list[Row[Any]] = []
    for queue in usable:
        candidates += _candidates(connection, queue, limit, at_us, among)
    candidates.sort(key=lambda row: (-row.priority, row.due_us, row.id))
    return [row.id for row in candidates[:limit]]


def _candidates(
    connection: Connection,
    queue: queues.Queue,
    limit: int,
    at_us: int,
    among: Sequence[str] | None,
) -> Sequence[Row[Any]]:
    running = _running(connection, queue.id, at_us) if queue.limited else Counter()
    if queue.concurrency_max is not None:
        limit = min(limit, queue.concurrency_max - running.total())
    if limit <= 0:
        return []
    if among is None:
        query = next_of(bindparam("queue_id", queue.id), works.c.concurrency_key)
    else:
        query = _next_among(queue.id, among)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    if queue.key_concurrency_max is None:
        return connection.execute(query.limit(limit)).all()
    return _under_key_limit(connection, query, running, limit, queue.key_concurrency_max)


def _under_key_limit(
    connection: Connection,
    query: Select[Any],
    running: Counter[str | None],
    limit: int,
    most: int,
) -> list[Row[Any]]:
    """Pick up to `limit` works so that no more than `most` of one concurrency key run."""
    full = [key for key, count in running.items() if key is not None and count >= most]
    if full:
        key = works.c.concurrency_key
        query = query.where(key.is_(None) | key.not_in(full))
    chosen = []
    for row in connection.execute(query.limit(max(limit, CANDIDATES_PER_KEYED_CLAIM))):
        if row.concurrency_key is not None:
            if running[row.concurrency_key] >= most:
                continue
            running[row.concurrency_key] += 1
        chosen.append(row)
        if len(chosen) == limit:
            break
    return chosen


def _running(connection: Connection, queue_id: int, at_us: int) -> Counter[str | None]:
    """Count the live leases of a queue by concurrency key; a lease that is over frees its slot."""
    rows = connection.execute(
        select(works.c.concurrency_key, func.count())
        .where(
            works.c.queue_id == queue_id,
            works.c.state == literal("running"),
            works.c.lease_until_us > at_us,
        )
        .group_by(works.c.concurrency_key)
    )
    return Counter(dict(rows.all()))


def next_of(queue_id: Any, *more: Any) -> Select[Any]:
    """Return the query for the queued works of a queue in the order of a claim."""
    # `state = 'queued'` is written out: SQLite uses a partial index only for a constant.
    return (
        select(works.c.id, works.c.priority, works.c.due_us, *more)
        .where(works.c.queue_id == queue_id, works.c.state == constant("queued"))
        .order_by(works.c.priority.desc(), works.c.due_us, works.c.id)
    )


def _next_among(queue_id: int, work_ids: Sequence[str]) -> Select[Any]:
    # The few works are found by their keys; the index of all that wait would be walked otherwise.
    return (
        select(works.c.id, works.c.priority, works.c.due_us, works.c.concurrency_key)
        .where(
            works.c.id.in_(work_ids),
            works.c.queue_id == queue_id,
            works.c.state.concat("") == literal("queued"),
        )
        .order_by(works.c.priority.desc(), works.c.due_us, works.c.id)
    )


def constant(value: str) -> Any:
    """Return a value that is written into the SQL, where an index depends on it."""
    return literal(value, literal_execute=True)


def best_heads(connection: Connection, usable: Sequence[queues.Queue]) -> list[Row[Any]]:
    """Find the queues whose first works come first, as many as one statement can name."""
    found = list(heads(connection, [queue.id for queue in usable]))
    found.sort(key=lambda row: (-row.priority, row.due_us, row.id))
    return found[:QUEUES_PER_STATEMENT]


def heads(connection: Connection, queue_ids: Sequence[int]) -> Iterator[Row[Any]]:
    """Look at the first work of each queue that has one."""
    for start in range(0, len(queue_ids), QUEUES_PER_STATEMENT):
        some = queue_ids[start : start + QUEUES_PER_STATEMENT]
        parameters = {f"queue_{index}": queue_id for index, queue_id in enumerate(some)}
        yield from connection.execute(_first_of(len(some)), parameters)


@cache
def _first_of(queue_count: int) -> CompoundSelect[Any]:
    # In the order of the claim index: without it, PostgreSQL may take a full queue for the whole
    # table and, once the works are finished, read all of them.
    heads = [
        next_of(bindparam(f"queue_{index}", type_=BigInteger), works.c.queue_id)
        .limit(1)
        .subquery(f"head_{index}")
        for index in range(queue_count)
    ]
    return union_all(*[select(head) for head in heads])

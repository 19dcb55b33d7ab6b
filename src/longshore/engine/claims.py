"""Claiming works and keeping the leases alive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CompoundSelect,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Text,
    UpdateBase,
    bindparam,
    cast,
    func,
    literal,
    select,
    union_all,
    update,
)

from longshore.clock import to_us
from longshore.engine import queues
from longshore.engine.states import Reason, State
from longshore.engine.tables import payloads, works
from longshore.engine.transitions import record
from longshore.errors import InvalidRequest
from longshore.limits import CLAIM_WORKS, LEASE_S
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows

CANDIDATES_PER_KEYED_CLAIM = 1_000
QUEUES_PER_STATEMENT = 50


@dataclass(frozen=True, slots=True)
class Lease:
    """One claimed work."""

    id: str
    attempt: int
    queue_id: int
    surface: str
    payload: bytes
    lease_until_us: int
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A lease that its holder must give up, and why.

    Attributes:
        reason: for people: what became of the work.
        cancelled: True where the work is to be stopped and then reported as cancelled.
    """

    work_id: str
    attempt: int
    reason: str
    cancelled: bool = False


def claim(
    connection: Connection, queue_ids: Sequence[int], *, limit: int, holder: str, lease_s: float
) -> list[Lease]:
    """Lease up to `limit` works to `holder`: highest priority first, then oldest, over all queues.

    Raises:
        InvalidRequest: `limit` or `lease_s` is out of range.
        NotFound: a queue does not exist.
    """
    if not 1 <= limit <= CLAIM_WORKS:
        raise InvalidRequest(f"limit is {limit}; claim 1 to {CLAIM_WORKS} works at once.")
    if not 0 < lease_s <= LEASE_S:
        raise InvalidRequest(f"lease_s is {lease_s}; give a lease of up to {LEASE_S:.0f} seconds.")
    known = queues.get_many(connection, set(queue_ids))
    usable = [queue for queue in known.values() if queue.held_us is None]
    if len(usable) > QUEUES_PER_STATEMENT:
        usable = [known[row.queue_id] for row in _best_heads(connection, usable)]
    if not usable:
        return []
    at_us = now_us(connection)
    parameters = {"now_us": at_us, "lease_until_us": at_us + to_us(lease_s), "holder": holder}
    dialect = connection.dialect.name
    if any(queue.limited for queue in usable):
        chosen = _choose(connection, usable, limit, at_us)
        if not chosen:
            return []
        statement = _claim_given(dialect)
        parameters |= given_parameters(dialect, [(work_id,) for work_id in chosen], 1)
    else:
        statement = _claim_next(dialect, len(usable))
        parameters |= {"claim_limit": limit}
        parameters |= {f"queue_{index}": queue.id for index, queue in enumerate(usable)}
    claimed = connection.execute(statement, parameters).all()
    if not claimed:
        return []
    # What RETURNING gives is in no promised order.
    claimed = sorted(claimed, key=lambda row: (-row.priority, row.due_us, row.id))
    record(
        connection,
        Reason.CLAIMED,
        [(row.id, row.queue_id, row.attempt, None) for row in claimed],
        leaving=State.QUEUED,
        actor=holder,
        at_us=at_us,
    )
    bodies = _payloads(connection, [row.id for row in claimed])
    return [
        Lease(
            id=row.id,
            attempt=row.attempt,
            queue_id=row.queue_id,
            surface=known[row.queue_id].surface,
            payload=bodies[row.id],
            lease_until_us=parameters["lease_until_us"],  # type: ignore[arg-type]
            timeout_s=row.timeout_s,
        )
        for row in claimed
    ]


def claimable(connection: Connection, queue_ids: Iterable[int]) -> bool:
    """Return whether a claim might find something, so that an idle long poll writes nothing."""
    usable = [
        queue.id
        for queue in queues.get_many(connection, set(queue_ids)).values()
        if queue.held_us is None
    ]
    if not usable:
        return False
    return next(_heads(connection, usable), None) is not None


def renew(
    connection: Connection, held: Sequence[tuple[str, int]], *, holder: str, lease_s: float
) -> list[Lost]:
    """Lengthen the leases of `holder` to `lease_s` from now; return those that are lost.

    A work that is to be cancelled keeps its lease and is returned with `cancelled`, until its
    holder reports that it let go.
    """
    if not held:
        return []
    at_us = now_us(connection)
    dialect = connection.dialect.name
    rows = connection.execute(
        _renewal(dialect),
        {
            "holder": holder,
            "lease_until_us": at_us + to_us(lease_s),
            **given_parameters(dialect, list(held), 2),
        },
    ).all()
    reasons = {(row.id, row.attempt): row.reason for row in rows}
    lost = [
        Lost(work_id, attempt, Reason.CANCEL_REQUESTED, cancelled=True)
        for (work_id, attempt), reason in reasons.items()
        if reason == Reason.CANCEL_REQUESTED
    ]
    return lost + explain_lost(connection, [pair for pair in held if tuple(pair) not in reasons])


def grant_grace(connection: Connection, *, lease_s: float) -> int:
    """Lengthen every lease that would end sooner to `lease_s` from now; return how many.

    For the moment after a time in which nobody could renew: the server was down, or without its
    database. The holders are most likely alive, and their next renewals are about to come.
    """
    until_us = now_us(connection) + to_us(lease_s)
    return connection.execute(
        update(works)
        .where(works.c.state == _constant("running"), works.c.lease_until_us < until_us)
        .values(lease_until_us=until_us)
    ).rowcount


def explain_lost(connection: Connection, pairs: Sequence[tuple[str, int]]) -> list[Lost]:
    """Say of each (work, attempt) that is no longer held what became of the work."""
    if not pairs:
        return []
    rows = connection.execute(
        select(works.c.id, works.c.state, works.c.reason, works.c.attempt, works.c.worker_id).where(
            works.c.id.in_([work_id for work_id, _ in pairs])
        )
    )
    now = {row.id: row for row in rows}
    return [Lost(work_id, attempt, _fate(now.get(work_id), attempt)) for work_id, attempt in pairs]


def _fate(row: Any, attempt: int) -> str:
    if row is None:
        return "the work does not exist (any more)"
    if row.attempt > attempt:
        return f"attempt {row.attempt} has begun since (state {row.state}, held by {row.worker_id or 'nobody'})"
    if row.state == State.RUNNING and row.attempt == attempt:
        return f"attempt {attempt} is running and held by {row.worker_id}"
    return f"the attempt is over: state {row.state}, because {row.reason}"


def _choose(
    connection: Connection, usable: Sequence[queues.Queue], limit: int, at_us: int
) -> list[str]:
    """Pick works under the limits of their queues, which are derived from live leases."""
    # On PostgreSQL two claims must not both count the same free slot.
    queues.lock(connection, [queue.id for queue in usable if queue.limited])
    candidates: list[Any] = []
    for queue in usable:
        candidates += _candidates(connection, queue, limit, at_us)
    candidates.sort(key=lambda row: (-row.priority, row.due_us, row.id))
    return [row.id for row in candidates[:limit]]


def _candidates(connection: Connection, queue: queues.Queue, limit: int, at_us: int) -> list[Any]:
    running = _running(connection, queue.id, at_us) if queue.limited else Counter()
    if queue.concurrency_max is not None:
        limit = min(limit, queue.concurrency_max - running.total())
    if limit <= 0:
        return []
    query = _next_of(bindparam("queue_id", queue.id), works.c.concurrency_key)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    most = queue.key_concurrency_max
    if most is None:
        return list(connection.execute(query.limit(limit)))
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


def _next_of(queue_id: Any, *more: Any) -> Select[Any]:
    # `state = 'queued'` is written out: SQLite uses a partial index only for a constant.
    return (
        select(works.c.id, works.c.priority, works.c.due_us, *more)
        .where(works.c.queue_id == queue_id, works.c.state == _constant("queued"))
        .order_by(works.c.priority.desc(), works.c.due_us, works.c.id)
    )


def _constant(value: str) -> Any:
    return literal(value, literal_execute=True)


def _best_heads(connection: Connection, usable: Sequence[queues.Queue]) -> list[Row[Any]]:
    """Find the queues whose first works come first, as many as one statement can name."""
    heads = list(_heads(connection, [queue.id for queue in usable]))
    heads.sort(key=lambda row: (-row.priority, row.due_us, row.id))
    return heads[:QUEUES_PER_STATEMENT]


def _heads(connection: Connection, queue_ids: Sequence[int]) -> Iterator[Row[Any]]:
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
        _next_of(bindparam(f"queue_{index}", type_=BigInteger), works.c.queue_id)
        .limit(1)
        .subquery(f"head_{index}")
        for index in range(queue_count)
    ]
    return union_all(*[select(head) for head in heads])


@cache
def _claim_next(dialect: str, queue_count: int) -> UpdateBase:
    """Return the claim of the next works of so many queues without limits."""
    limit: Any = bindparam("claim_limit", type_=Integer)
    arms = []
    for index in range(queue_count):
        arm = _next_of(bindparam(f"queue_{index}", type_=BigInteger)).limit(limit)
        if dialect == "postgresql":
            # Rows are locked in a CTE: a bare `IN (SELECT ... LIMIT)` can be evaluated again and
            # claim more than the limit.
            arms.append(arm.with_for_update(skip_locked=True).cte(f"arm_{index}"))
        else:
            arms.append(arm.subquery(f"arm_{index}"))  # type: ignore[arg-type]
    if queue_count == 1:
        return _claiming(arms[0])
    merged = union_all(*[select(arm.c.id, arm.c.priority, arm.c.due_us) for arm in arms]).subquery(
        "merged"
    )
    chosen = (
        select(merged.c.id)
        .order_by(merged.c.priority.desc(), merged.c.due_us, merged.c.id)
        .limit(limit)
    )
    return _claiming(chosen.cte("chosen") if dialect == "postgresql" else chosen.subquery("chosen"))


@cache
def _claim_given(dialect: str) -> UpdateBase:
    return _claiming(given_rows(dialect, id=Text))


def _claiming(chosen: FromClause) -> UpdateBase:
    return (
        update(works)
        .where(works.c.id.in_(select(chosen.c.id)), works.c.state.concat("") == literal("queued"))
        .values(
            state=str(State.RUNNING),
            reason=str(Reason.CLAIMED),
            attempt=works.c.attempt + 1,
            worker_id=bindparam("holder", type_=Text),
            lease_until_us=bindparam("lease_until_us", type_=BigInteger),
            started_us=bindparam("now_us", type_=BigInteger),
        )
        .returning(
            works.c.id,
            works.c.attempt,
            works.c.queue_id,
            works.c.priority,
            works.c.due_us,
            works.c.timeout_s,
        )
    )


@cache
def _renewal(dialect: str) -> UpdateBase:
    given = given_rows(dialect, work_id=Text, attempt=Integer)
    return (
        update(works)
        .where(
            works.c.id == given.c.work_id,
            works.c.attempt == given.c.attempt,
            works.c.state.concat("") == literal("running"),
            works.c.worker_id == bindparam("holder", type_=Text),
        )
        .values(lease_until_us=cast(bindparam("lease_until_us"), BigInteger))
        .returning(works.c.id, works.c.attempt, works.c.reason)
    )


@cache
def _payload_query(dialect: str) -> Select[Any]:
    given = given_rows(dialect, work_id=Text)
    return select(payloads.c.work_id, payloads.c.payload).where(
        payloads.c.work_id == given.c.work_id
    )


def _payloads(connection: Connection, work_ids: Sequence[str]) -> dict[str, bytes]:
    dialect = connection.dialect.name
    rows = connection.execute(
        _payload_query(dialect), given_parameters(dialect, [(work_id,) for work_id in work_ids], 1)
    )
    return {row.work_id: row.payload.encode() for row in rows}

"""Claiming works and keeping the leases alive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
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

from longshore.clock import SECOND_US, to_us
from longshore.engine import queues
from longshore.engine.choosing import (
    QUEUES_PER_STATEMENT,
    best_heads,
    choose,
    constant,
    heads,
    next_of,
)
from longshore.engine.states import Reason, State
from longshore.engine.tables import payloads, works
from longshore.engine.transitions import record
from longshore.errors import InvalidRequest
from longshore.limits import CLAIM_WORKS, LEASE_S
from longshore.storage import after_commit, now_us, tally_of
from longshore.storage.bulk import given_parameters, given_rows

WAITS: Final = "waits"
"""What `storage.Tally` calls how long works could have been claimed before they were."""


class Lease(Struct, frozen=True):
    """One claimed work; its payload is `null` where the surface keeps it by itself."""

    id: str
    attempt: int
    queue_id: int
    surface: str
    payload: bytes
    started_us: int
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


def claim(  # noqa: PLR0913 - one argument a wish, all by name
    connection: Connection,
    queue_ids: Sequence[int],
    *,
    limit: int,
    holder: str,
    lease_s: float | None,
    grace_s: float = 0.0,
    among: Sequence[str] | None = None,
    with_payloads: bool = True,
) -> list[Lease]:
    """Lease up to `limit` works to `holder`: highest priority first, then oldest, over all queues.

    Args:
        connection: the transaction.
        queue_ids: where to look; queues that are held give nothing.
        limit: at most so many works.
        holder: who may renew and end the attempts.
        lease_s: length of the leases; None gives each work a lease of its own time limit, for a
            holder that cannot renew.
        grace_s: what such a lease is longer than the time limit.
        among: only works of these ids, such as those that a filter has found; whichever of them
            are not queued any more are passed over.
        with_payloads: read them, too; a surface that keeps them by itself need not.

    Raises:
        InvalidRequest: `limit` or `lease_s` is out of range.
        NotFound: a queue does not exist.
    """
    _check(limit, lease_s)
    known = queues.get_many(connection, set(queue_ids))
    usable = [queue for queue in known.values() if queue.held_us is None]
    if len(usable) > QUEUES_PER_STATEMENT:
        usable = [known[row.queue_id] for row in best_heads(connection, usable)]
    if not usable:
        return []
    at_us = now_us(connection)
    length: dict[str, Any] = {"now_us": at_us, "holder": holder}
    if lease_s is None:
        length["grace_us"] = to_us(grace_s)
    else:
        length["lease_until_us"] = at_us + to_us(lease_s)
    claimed = _take(connection, usable, limit, among, length)
    if not claimed:
        return []
    record(
        connection,
        Reason.CLAIMED,
        [(work_id, queue_id, attempt, None) for work_id, attempt, queue_id, *_ in claimed],
        leaving=State.QUEUED,
        actor=holder,
        at_us=at_us,
    )
    if (tally := tally_of(connection)) is not None:
        waits = [(row[2], max(at_us - row[4], 0) / SECOND_US) for row in claimed]
        after_commit(connection, partial(tally.observe, WAITS, waits))
    bodies = _payloads(connection, [row[0] for row in claimed]) if with_payloads else {}
    return _leases(claimed, known, bodies, at_us)


def _check(limit: int, lease_s: float | None) -> None:
    if not 1 <= limit <= CLAIM_WORKS:
        raise InvalidRequest(f"limit is {limit}; claim 1 to {CLAIM_WORKS} works at once.")
    if lease_s is not None and not 0 < lease_s <= LEASE_S:
        raise InvalidRequest(f"lease_s is {lease_s}; give a lease of up to {LEASE_S:.0f} seconds.")


def _leases(
    claimed: Sequence[Any],
    known: Mapping[int, queues.Queue],
    bodies: Mapping[str, bytes],
    at_us: int,
) -> list[Lease]:
    return [
        Lease(
            id=work_id,
            attempt=attempt,
            queue_id=queue_id,
            surface=known[queue_id].surface,
            payload=bodies.get(work_id, b"null"),
            started_us=at_us,
            lease_until_us=lease_until_us,
            timeout_s=timeout_s,
        )
        for work_id, attempt, queue_id, _, _, timeout_s, lease_until_us in claimed
    ]


def _take(
    connection: Connection,
    usable: Sequence[queues.Queue],
    limit: int,
    among: Sequence[str] | None,
    length: Mapping[str, Any],
) -> Sequence[Any]:
    """Lease the works that come first, in the order in which they come."""
    dialect = connection.dialect.name
    own_limit = "grace_us" in length
    parameters = dict(length)
    if among is not None or any(queue.limited for queue in usable):
        chosen = choose(connection, usable, limit, length["now_us"], among)
        if not chosen:
            return []
        statement = _claim_given(dialect, own_limit)
        parameters |= given_parameters(dialect, [(work_id,) for work_id in chosen], 1)
    else:
        statement = _claim_next(dialect, len(usable), own_limit)
        parameters |= {"claim_limit": limit}
        parameters |= {f"queue_{index}": queue.id for index, queue in enumerate(usable)}
    # What RETURNING gives is in no promised order. Rows are taken apart by position, which is
    # several times as fast as by name.
    return sorted(connection.execute(statement, parameters).all(), key=_order)


def _order(claimed: Row[*tuple[Any, ...]]) -> tuple[int, int, str]:
    """Return the place of what `_claiming` returns in the order of claims."""
    work_id, _, _, priority, due_us, _, _ = claimed
    return -priority, due_us, work_id


def claimable(connection: Connection, queue_ids: Iterable[int]) -> bool:
    """Return whether a claim might find something, so that an idle long poll writes nothing."""
    usable = [
        queue.id
        for queue in queues.get_many(connection, set(queue_ids)).values()
        if queue.held_us is None
    ]
    if not usable:
        return False
    return next(heads(connection, usable), None) is not None


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
        .where(works.c.state == constant("running"), works.c.lease_until_us < until_us)
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


@cache
def _claim_next(dialect: str, queue_count: int, own_limit: bool) -> UpdateBase:
    """Return the claim of the next works of so many queues without limits."""
    limit: Any = bindparam("claim_limit", type_=Integer)
    arms = []
    for index in range(queue_count):
        arm = next_of(bindparam(f"queue_{index}", type_=BigInteger)).limit(limit)
        if dialect == "postgresql":
            # Rows are locked in a CTE: a bare `IN (SELECT ... LIMIT)` can be evaluated again and
            # claim more than the limit.
            arms.append(arm.with_for_update(skip_locked=True).cte(f"arm_{index}"))
        else:
            arms.append(arm.subquery(f"arm_{index}"))  # type: ignore[arg-type]
    if queue_count == 1:
        return _claiming(arms[0], own_limit)
    merged = union_all(*[select(arm.c.id, arm.c.priority, arm.c.due_us) for arm in arms]).subquery(
        "merged"
    )
    chosen = (
        select(merged.c.id)
        .order_by(merged.c.priority.desc(), merged.c.due_us, merged.c.id)
        .limit(limit)
    )
    named = chosen.cte("chosen") if dialect == "postgresql" else chosen.subquery("chosen")
    return _claiming(named, own_limit)


@cache
def _claim_given(dialect: str, own_limit: bool) -> UpdateBase:
    return _claiming(given_rows(dialect, id=Text), own_limit)


def _claiming(chosen: FromClause, own_limit: bool) -> UpdateBase:
    at_us = bindparam("now_us", type_=BigInteger)
    until_us: Any = bindparam("lease_until_us", type_=BigInteger)
    if own_limit:
        length_s = func.coalesce(works.c.timeout_s, literal(LEASE_S))
        until_us = (
            at_us + bindparam("grace_us", type_=BigInteger) + cast(length_s * 1_000_000, BigInteger)
        )
    return (
        update(works)
        .where(works.c.id.in_(select(chosen.c.id)), works.c.state.concat("") == literal("queued"))
        .values(
            state=str(State.RUNNING),
            reason=str(Reason.CLAIMED),
            attempt=works.c.attempt + 1,
            worker_id=bindparam("holder", type_=Text),
            lease_until_us=until_us,
            started_us=at_us,
        )
        .returning(
            works.c.id,
            works.c.attempt,
            works.c.queue_id,
            works.c.priority,
            works.c.due_us,
            works.c.timeout_s,
            works.c.lease_until_us,
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
    return {work_id: payload.encode() for work_id, payload in rows.all()}

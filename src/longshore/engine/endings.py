"""How attempts end: reports of holders, expired leases, lost workers, and the next attempt."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Row, Select, select

from longshore.clock import to_us
from longshore.engine import dependencies, notices, queues
from longshore.engine.claims import Lost, explain_lost
from longshore.engine.states import OUTCOME_REASONS, TRANSITIONS, Outcome, Reason, State
from longshore.engine.tables import events, results, works
from longshore.engine.tables import queues as queues_table
from longshore.engine.transitions import Guard, Moved, move
from longshore.errors import InvalidRequest
from longshore.limits import PAUSE_MAX_S
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows

LEASE_OVER: Final = "the lease ended without a renewal"
_GIVEN_UP: Final = (
    works.c.id, works.c.queue_id, works.c.attempt, works.c.reason, works.c.worker_id,
)  # fmt: skip


class Ending(Struct, frozen=True):
    """What the holder of an attempt reports.

    Attributes:
        result: JSON text as UTF-8 bytes, for a success; None where the surface keeps it by itself.
        error: JSON text as UTF-8 bytes saying why it did not succeed.
        retry_delay_s: pause before the next attempt in seconds, where user code asked for one.
    """

    work_id: str
    attempt: int
    outcome: Outcome
    result: bytes | None = b"null"
    error: bytes | None = None
    retry_delay_s: float | None = None


def finish(connection: Connection, endings: Sequence[Ending], *, holder: str) -> list[Lost]:
    """Record how attempts ended; return those that the fence refused.

    Nothing is written for a refused one. Repeating a report that was accepted is accepted, so a
    holder may send it again until it is answered. A result for a work that was to be cancelled
    is dropped, the work becomes cancelled, and the answer says so.
    """
    latest = {(ending.work_id, ending.attempt): ending for ending in endings}
    done: set[tuple[str, int]] = set()
    all_moved: list[Moved] = []
    for outcome in Outcome:
        same = [ending for ending in latest.values() if ending.outcome is outcome]
        if not same:
            continue
        moved = _end(connection, outcome, same, holder=holder)
        done.update((row.work_id, row.attempt) for row in moved)
        all_moved += moved
    refused = [pair for pair in latest if pair not in done]
    lost, cancelled = _refuse(connection, refused, latest, holder=holder)
    all_moved += cancelled
    _follow(connection, all_moved, actor=holder)
    return lost


def expire(connection: Connection, *, limit: int, actor: str = "janitor") -> int:
    """End the attempts whose lease is over; return how many."""
    over = (
        select(*_GIVEN_UP)
        # Only what runs has a lease. Naming the state would let the planner take the index of
        # running works by queue, and walk and sort all of them.
        .where(works.c.lease_until_us <= now_us(connection))
        .order_by(works.c.lease_until_us)
        .limit(limit)
    )
    rows = connection.execute(_locked(connection, over, skip=True)).all()
    return _give_up(connection, rows, Reason.LEASE_EXPIRED, LEASE_OVER, actor=actor)


def expire_given(connection: Connection, work_ids: Sequence[str], *, actor: str) -> int:
    """End the attempts of those of `work_ids` that are running, whatever their lease says.

    For a caller that has a rule of its own for when an attempt has taken too long.
    """
    given = select(*_GIVEN_UP).where(
        works.c.id.in_(work_ids), works.c.state.concat("") == "running"
    )
    rows = connection.execute(_locked(connection, given, skip=True)).all()
    return _give_up(connection, rows, Reason.LEASE_EXPIRED, LEASE_OVER, actor=actor)


def abandon(connection: Connection, holder: str, *, actor: str, why: str) -> int:
    """End all attempts of a holder that was seen to die; return how many."""
    held = (
        select(*_GIVEN_UP)
        .where(works.c.state == "running", works.c.worker_id == holder)
        .order_by(works.c.id)
    )
    rows = connection.execute(_locked(connection, held)).all()
    return _give_up(connection, rows, Reason.WORKER_LOST, why, actor=actor)


def retry(connection: Connection, *, limit: int, actor: str = "janitor") -> int:
    """Queue the failed works whose next attempt is due; return how many."""
    rows = connection.execute(
        select(works.c.id, works.c.attempt)
        .where(works.c.retry_us <= now_us(connection))
        .order_by(works.c.retry_us)
        .limit(limit)
    ).all()
    moved = move(
        connection, Reason.RETRIED, [Guard(row.id, row.attempt) for row in rows], actor=actor
    )
    queues.wake(connection, (row.queue_id for row in moved))
    return len(moved)


def retry_given(
    connection: Connection, work_ids: Sequence[str], *, actor: str, why: str | None = None
) -> int:
    """Queue those of `work_ids` that failed and have attempts left, whenever they were due.

    Their events say `why`, where a person gave a reason.
    """
    rows = connection.execute(
        select(works.c.id, works.c.attempt).where(
            works.c.id.in_(work_ids), works.c.retry_us.is_not(None)
        )
    ).all()
    detail = None if why is None else json.dumps({"message": why})
    guards = [Guard(row.id, row.attempt, detail=detail) for row in rows]
    moved = move(connection, Reason.RETRIED, guards, actor=actor)
    queues.wake(connection, sorted({row.queue_id for row in moved}))
    return len(moved)


def backoff_s(attempt: int, *, base_s: float, max_s: float) -> float:
    """Return the pause after a failed `attempt`: doubled each time, with jitter, in seconds.

    The jitter takes away up to half, so that works which failed together do not return together.
    """
    # 2 ** 64 seconds is past any maximum; the cap keeps the power small.
    full = min(max_s, base_s * 2.0 ** min(attempt - 1, 64))
    return full * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def _end(
    connection: Connection, outcome: Outcome, endings: Sequence[Ending], *, holder: str
) -> list[Moved]:
    reason = OUTCOME_REASONS[outcome]
    dues = _dues(connection, endings) if TRANSITIONS[reason].retryable else {}
    guards = [
        Guard(
            ending.work_id,
            ending.attempt,
            dues.get(ending.work_id),
            ending.error.decode() if ending.error is not None else None,
        )
        for ending in endings
    ]
    moved = move(
        connection,
        reason,
        guards,
        actor=holder,
        held_by=holder,
        except_cancelling=outcome is not Outcome.CANCELLED,
    )
    if outcome is Outcome.SUCCESS:
        bodies = {ending.work_id: ending.result for ending in endings}
        rows = [
            (row.work_id, row.attempt, result.decode())
            for row in moved
            if (result := bodies[row.work_id]) is not None
        ]
        # A work that was reopened has a result of its earlier attempt.
        insert_rows(
            connection, results, ("work_id", "attempt", "result"), rows, replace_on="work_id"
        )
    return moved


def _dues(connection: Connection, endings: Sequence[Ending]) -> dict[str, int]:
    """Return when the next attempt of each work would be due."""
    at_us = now_us(connection)
    rows = connection.execute(
        select(works.c.id, works.c.attempt, queues_table.c.backoff_s, queues_table.c.backoff_max_s)
        .join(queues_table, queues_table.c.id == works.c.queue_id)
        .where(works.c.id.in_([ending.work_id for ending in endings]))
    )
    policies = {row.id: row for row in rows}
    dues = {}
    for ending in endings:
        policy = policies.get(ending.work_id)
        if policy is None:
            continue
        delay_s = ending.retry_delay_s
        if delay_s is None:
            delay_s = backoff_s(ending.attempt, base_s=policy.backoff_s, max_s=policy.backoff_max_s)
        if not 0 <= delay_s <= PAUSE_MAX_S:
            raise InvalidRequest(
                f"retry_delay_s is {delay_s}; give 0 to {PAUSE_MAX_S:.0f} seconds."
            )
        dues[ending.work_id] = at_us + to_us(delay_s)
    return dues


def _refuse(
    connection: Connection,
    pairs: Sequence[tuple[str, int]],
    endings: dict[tuple[str, int], Ending],
    *,
    holder: str,
) -> tuple[list[Lost], list[Moved]]:
    """Sort out reports that changed nothing: repeats, works to be cancelled, lost leases."""
    if not pairs:
        return [], []
    rows = connection.execute(
        select(works.c.id, works.c.attempt, works.c.state, works.c.reason, works.c.worker_id).where(
            works.c.id.in_([work_id for work_id, _ in pairs])
        )
    )
    now = {row.id: row for row in rows}
    before = _accepted(connection, pairs, holder)
    cancelling: list[Guard] = []
    gone: list[tuple[str, int]] = []
    for work_id, attempt in pairs:
        row = now.get(work_id)
        if row is not None and row.attempt == attempt and row.reason == Reason.CANCEL_REQUESTED:
            cancelling.append(Guard(work_id, attempt))
        if (work_id, attempt, OUTCOME_REASONS[endings[work_id, attempt].outcome]) not in before:
            gone.append((work_id, attempt))
    moved = move(connection, Reason.CANCEL_CONFIRMED, cancelling, actor=holder, held_by=holder)
    stopped = {(row.work_id, row.attempt) for row in moved}
    gone = [pair for pair in gone if pair not in stopped]
    lost = [
        Lost(row.work_id, row.attempt, Reason.CANCEL_REQUESTED, cancelled=True) for row in moved
    ]
    return lost + explain_lost(connection, gone), moved


def _accepted(
    connection: Connection, pairs: Sequence[tuple[str, int]], holder: str
) -> set[tuple[str, int, Reason]]:
    """Return what was accepted from the holder before, whatever became of the works since."""
    rows = connection.execute(
        select(events.c.work_id, events.c.attempt, events.c.reason).where(
            events.c.work_id.in_([work_id for work_id, _ in pairs]), events.c.actor == holder
        )
    )
    return {(row.work_id, row.attempt, Reason(row.reason)) for row in rows}


def _locked(
    connection: Connection, query: Select[*tuple[Any, ...]], *, skip: bool = False
) -> Select[*tuple[Any, ...]]:
    """Keep the rows of `query` as they were read, so that no renewal or cancellation is undone."""
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        return query.with_for_update(skip_locked=skip)
    return query


def _give_up(
    connection: Connection,
    rows: Sequence[Row[*tuple[Any, ...]]],
    reason: Reason,
    why: str,
    *,
    actor: str,
) -> int:
    stopped = [Guard(row.id, row.attempt) for row in rows if row.reason == Reason.CANCEL_REQUESTED]
    at_us = now_us(connection)
    known = queues.get_many(connection, {row.queue_id for row in rows})
    # The lease was the pause, unless the queue wants another: the next attempt may begin at once.
    others = [
        Guard(
            row.id,
            row.attempt,
            at_us + to_us(known[row.queue_id].expired_pause_s),
            _detail(row.worker_id, why),
        )
        for row in rows
        if row.reason != Reason.CANCEL_REQUESTED
    ]
    moved = move(connection, Reason.CANCEL_CONFIRMED, stopped, actor=actor)
    moved += move(connection, reason, others, actor=actor)
    _follow(connection, moved, actor=actor)
    return len(moved)


def _detail(worker_id: str | None, why: str) -> str:
    return json.dumps({"type": "LeaseLost", "message": why, "worker": worker_id})


def _follow(connection: Connection, moved: Sequence[Moved], *, actor: str) -> None:
    """Do what follows from attempts that ended: wake the queues, settle the dependents."""
    if not moved:
        return
    known = queues.get_many(connection, {row.queue_id for row in moved})
    limited = [queue.id for queue in known.values() if queue.limited]
    back = {row.queue_id for row in moved if row.state is State.QUEUED}
    queues.wake(connection, sorted(back.union(limited)))
    notices.tell(connection, [row for row in moved if known[row.queue_id].tells(row.state)])
    dependencies.settle(connection, moved, actor=actor)

"""Submitting works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, select

from longshore import ids
from longshore.clock import to_us
from longshore.engine import dependencies, queues, traces, transitions
from longshore.engine.states import TRANSITIONS, Reason
from longshore.engine.tables import payloads, works
from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import ATTEMPTS, DEPENDENCIES_PER_WORK, PAUSE_MAX_S
from longshore.storage import now_us, traceparent
from longshore.storage.bulk import insert_rows

WORK_COLUMNS: Final = (
    "id", "queue_id", "group_id", "priority", "due_us", "attempts_max", "timeout_s",
    "concurrency_key", "unique_key",
)  # fmt: skip
"""What differs between works that are submitted together."""
PRIORITY_MAX: Final = 1_000_000_000


class NewWork(Struct, frozen=True):
    """A work to be submitted.

    Attributes:
        queue_id: where it waits for a holder.
        payload: JSON text as UTF-8 bytes, stored and handed out as it is; None where the surface
            keeps what the work is about by itself.
        id: an id from longshore.ids, made unless given.
        group_id: what it is counted, cancelled and deleted with.
        priority: higher ones are claimed first.
        delay_s: how long it may not be claimed, in seconds.
        unique_key: a second submission to the queue with this key gives the first work.
        concurrency_key: works with the same key share the queue's limit per key.
        timeout_s: time limit of an attempt in seconds; the queue's unless given.
        attempts_max: attempts it may take; the queue's unless given.
        requires: ids of works that must end first.
        requires_success: whether those must succeed; if one does not, this is cancelled.
    """

    queue_id: int
    payload: bytes | None
    id: str | None = None
    group_id: str | None = None
    priority: int = 0
    delay_s: float = 0.0
    unique_key: str | None = None
    concurrency_key: str | None = None
    timeout_s: float | None = None
    attempts_max: int | None = None
    requires: tuple[str, ...] = ()
    requires_success: bool = True


class Submitted(Struct, frozen=True):
    """The work that a submission led to; `created` is False where its unique key was known."""

    id: str
    created: bool


def submit(connection: Connection, new: Sequence[NewWork], *, actor: str) -> list[Submitted]:
    """Submit works, in order; all of them or none.

    Raises:
        InvalidRequest: a value is outside its limits, or a required work does not exist.
        NotFound: a queue does not exist.
    """
    known = queues.get_many(connection, {work.queue_id for work in new})
    for work in new:
        _check(work)
    present = _present(connection, new)
    answers: list[Submitted] = []
    fresh: list[tuple[str, NewWork]] = []
    for work in new:
        key = (work.queue_id, work.unique_key)
        if work.unique_key is not None and key in present:
            answers.append(Submitted(present[key], created=False))
            continue
        work_id = work.id or ids.new(ids.WORK)
        if work.unique_key is not None:
            present[key] = work_id
        answers.append(Submitted(work_id, created=True))
        fresh.append((work_id, work))
    if fresh:
        _insert(connection, fresh, known, actor=actor)
    return answers


def _insert(
    connection: Connection,
    fresh: Sequence[tuple[str, NewWork]],
    known: dict[int, queues.Queue],
    *,
    actor: str,
) -> None:
    at_us = now_us(connection)
    blocked = dependencies.declare(connection, fresh)
    by_reason: dict[Reason, list[tuple[str, NewWork]]] = {}
    for work_id, work in fresh:
        by_reason.setdefault(_reason(work_id, work, blocked), []).append((work_id, work))
    for reason, group in by_reason.items():
        insert_rows(
            connection,
            works,
            WORK_COLUMNS,
            [_row(work_id, work, known[work.queue_id], at_us) for work_id, work in group],
            same={
                "state": TRANSITIONS[reason].target.value,
                "reason": reason.value,
                "attempt": 0,
                "created_us": at_us,
            },
        )
        transitions.record(
            connection,
            reason,
            [(work_id, work.queue_id, 0, None) for work_id, work in group],
            leaving=None,
            actor=actor,
            at_us=at_us,
        )
    insert_rows(
        connection,
        payloads,
        ("work_id", "payload"),
        [(work_id, work.payload.decode()) for work_id, work in fresh if work.payload is not None],
    )
    if (request := traceparent(connection)) is not None:
        traces.keep(connection, request, [work_id for work_id, _ in fresh])
    queues.wake(connection, Counter(work.queue_id for _, work in fresh))
    if blocked:
        # What they wait for may be over already.
        dependencies.settle_blocked(connection, sorted(blocked), actor=actor)


def _reason(work_id: str, work: NewWork, blocked: set[str]) -> Reason:
    if work_id in blocked:
        return Reason.BLOCKED
    return Reason.DELAYED if work.delay_s > 0 else Reason.SUBMITTED


def _row(work_id: str, work: NewWork, queue: queues.Queue, at_us: int) -> tuple[Any, ...]:
    """Return the values of WORK_COLUMNS for a new work."""
    return (
        work_id,
        work.queue_id,
        work.group_id,
        work.priority,
        at_us + to_us(work.delay_s) if work.delay_s else at_us,
        work.attempts_max or queue.attempts_max,
        work.timeout_s if work.timeout_s is not None else queue.timeout_s,
        work.concurrency_key,
        work.unique_key,
    )


def _present(connection: Connection, new: Sequence[NewWork]) -> dict[tuple[int, str | None], str]:
    """Find the works that the unique keys among `new` name already."""
    keyed = [work for work in new if work.unique_key is not None]
    if not keyed:
        return {}
    queue_ids = sorted({work.queue_id for work in keyed})
    # Two submissions of one key must not both find it absent.
    queues.lock(connection, queue_ids)
    rows = connection.execute(
        select(works.c.queue_id, works.c.unique_key, works.c.id).where(
            works.c.queue_id.in_(queue_ids),
            works.c.unique_key.in_({work.unique_key for work in keyed}),
        )
    )
    return {(row.queue_id, row.unique_key): row.id for row in rows}


def _check(work: NewWork) -> None:
    if abs(work.priority) > PRIORITY_MAX:
        raise InvalidRequest(
            f"Priority {work.priority} is out of range; give -{PRIORITY_MAX} to {PRIORITY_MAX}."
        )
    if work.attempts_max is not None and not 1 <= work.attempts_max <= ATTEMPTS:
        raise InvalidRequest(f"attempts_max is {work.attempts_max}; give 1 to {ATTEMPTS}.")
    if work.timeout_s is not None and not 0 < work.timeout_s <= PAUSE_MAX_S:
        raise InvalidRequest(
            f"timeout_s is {work.timeout_s}; give up to {PAUSE_MAX_S:.0f} seconds, above 0."
        )
    if not 0 <= work.delay_s <= PAUSE_MAX_S:
        raise InvalidRequest(f"delay_s is {work.delay_s}; give 0 to {PAUSE_MAX_S:.0f} seconds.")
    if len(work.requires) > DEPENDENCIES_PER_WORK:
        raise TooLarge(
            f"A work may require at most {DEPENDENCIES_PER_WORK} others, not {len(work.requires)}. "
            "Put a work between them."
        )

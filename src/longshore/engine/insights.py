"""What the engine knows about itself: counts, rates, the oldest, and why a work is where it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, and_, case, func, literal, select

from longshore.clock import iso, to_us
from longshore.engine import holding, queues, reading, workers
from longshore.engine.choosing import constant
from longshore.engine.states import TRANSITIONS, Reason, State
from longshore.engine.tables import dependencies, events, works
from longshore.engine.tables import queues as queues_table
from longshore.storage import now_us

AHEAD: Final = 10_000
"""Works in front of one up to which `why` counts them."""
_SERVED_BY_THE_SERVER = "system"
_SERVED_BY_CLIENTS = "buckets"
"""Surface whose works are also taken by clients that are not workers of ours."""
_SERVED_BY_TASKS = "activities"
"""Surface whose works are taken by programs that workers run as tasks."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Works by what became of them; submitted = done + failed + cancelled + pending, always."""

    submitted: int
    done: int
    failed: int
    cancelled: int
    pending: int
    by_state: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """A queue and the works in it; `oldest_us` is when the longest waiting one became due."""

    queue: queues.Queue
    counts: Counts
    oldest_us: int | None
    workers_online: int


@dataclass(frozen=True, slots=True)
class Why:
    """Why a work is where it is: one sentence for people, and the facts behind it."""

    work_id: str
    state: State
    reason: str
    text: str
    facts: dict[str, Any]


def group_counts(connection: Connection, group_id: str) -> Counts:
    """Return the counts of a group."""
    return _counts(connection, works.c.group_id == group_id)


def groups_counts(connection: Connection, group_ids: Sequence[str]) -> dict[str, Counts]:
    """Return the counts of several groups; one that has no works is missing."""
    rows = connection.execute(
        select(works.c.group_id, _FATE, func.count())
        .where(works.c.group_id.in_(group_ids))
        .group_by(works.c.group_id, _FATE)
    )
    found: dict[str, dict[str, int]] = {}
    for group_id, fate, count in rows:
        found.setdefault(group_id, {})[fate] = count
    return {group_id: summed(by_state) for group_id, by_state in found.items()}


def queue_counts(connection: Connection, organisation_id: str) -> list[QueueCounts]:
    """Return the organisation's queues with their counts, which are exact: all works are read."""
    found = []
    for queue in queues.listing(connection, organisation_id):
        oldest = connection.execute(
            select(func.min(works.c.due_us)).where(
                works.c.queue_id == queue.id, works.c.state == "queued"
            )
        ).scalar()
        found.append(
            QueueCounts(
                queue=queue,
                counts=_counts(connection, works.c.queue_id == queue.id),
                oldest_us=oldest,
                workers_online=workers.online(connection, queue.id),
            )
        )
    return found


def state_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many works of each (surface, state) there are, over all organisations."""
    rows = connection.execute(
        select(queues_table.c.surface, works.c.state, func.count())
        .join(queues_table, queues_table.c.id == works.c.queue_id)
        .group_by(queues_table.c.surface, works.c.state)
    )
    return {(surface, state): count for surface, state, count in rows}


def rates(
    connection: Connection, organisation_id: str, *, window_s: float = 300.0
) -> dict[str, float]:
    """Return changes per second by reason over the last `window_s` seconds."""
    since_us = now_us(connection) - to_us(window_s)
    rows = connection.execute(
        select(events.c.reason, func.count())
        .join(queues_table, queues_table.c.id == events.c.queue_id)
        .where(events.c.at_us > since_us, queues_table.c.organisation_id == organisation_id)
        .group_by(events.c.reason)
    )
    return {reason: count / window_s for reason, count in rows}


def why(connection: Connection, work_id: str) -> Why:
    """Explain why a work is where it is; NotFound if there is no such work."""
    work = reading.get(connection, work_id)
    queue = queues.get(connection, work.queue_id)
    facts: dict[str, Any] = {
        "queue": queue.name,
        "surface": queue.surface,
        "attempt": work.attempt,
        "attempts_max": work.attempts_max,
    }
    explain = {
        State.WAITING: _why_waiting,
        State.QUEUED: _why_queued,
        State.RUNNING: _why_running,
        State.FAILURE: _why_failure,
        State.SUCCESS: _why_ended,
        State.CANCELLED: _why_ended,
    }[work.state]
    text = explain(connection, work, queue, facts)
    return Why(work.id, work.state, work.reason, f"{work.state}: {text}", facts)


# A failure that will be tried again is pending.
_FATE: Final = case(
    (and_(works.c.state == "failure", works.c.retry_us.is_not(None)), literal("retrying")),
    else_=works.c.state,
).label("fate")


def _counts(connection: Connection, chosen: Any) -> Counts:
    rows = connection.execute(select(_FATE, func.count()).where(chosen).group_by(_FATE))
    return summed(dict(rows.all()))


def summed(by_state: dict[str, int]) -> Counts:
    """Return the counts of works of which so many are in each state, or retrying."""
    done = by_state.get("success", 0)
    failed = by_state.get("failure", 0)
    cancelled = by_state.get("cancelled", 0)
    submitted = sum(by_state.values())
    return Counts(
        submitted, done, failed, cancelled, submitted - done - failed - cancelled, by_state
    )


def _why_waiting(
    connection: Connection, work: reading.Work, _queue: queues.Queue, facts: dict[str, Any]
) -> str:
    if (held := holding.find(connection, work.id)) is not None:
        facts |= {
            "held_by": held.actor,
            "held_since": iso(held.at_us),
            "held_why": held.why,
        }
        return f"it is held since {iso(held.at_us)} by {held.actor}: {held.why}"
    if work.reason == Reason.DELAYED:
        facts["due"] = iso(work.due_us)
        left_s = (work.due_us - now_us(connection)) / 1_000_000
        return f"due at {iso(work.due_us)}, {_length(left_s)} from now"
    required = works.alias("required")
    rows = connection.execute(
        select(required.c.id, required.c.state)
        .join(dependencies, dependencies.c.requires_id == required.c.id)
        .where(
            dependencies.c.work_id == work.id,
            required.c.finished_us.is_(None) | required.c.retry_us.is_not(None),
        )
        .order_by(required.c.id)
        .limit(6)
    ).all()
    facts["requires"] = [{"id": row.id, "state": row.state} for row in rows]
    names = ", ".join(f"{row.id} ({row.state})" for row in rows[:5])
    return f"waits for other works to end: {names}{' and more' if len(rows) > 5 else ''}"


def _why_queued(
    connection: Connection, work: reading.Work, queue: queues.Queue, facts: dict[str, Any]
) -> str:
    again = (
        f" (attempt {work.attempt + 1} of {work.attempts_max} comes next)" if work.attempt else ""
    )
    if queue.held_us is not None:
        facts |= {
            "held_by": queue.held_by,
            "held_since": iso(queue.held_us),
            "held_why": queue.held_why,
        }
        return (
            f"the queue {queue.name!r} is held since {iso(queue.held_us)} by {queue.held_by}: "
            f"{queue.held_why}{again}"
        )
    running = _running(connection, queue.id, None)
    if queue.concurrency_max is not None and running >= queue.concurrency_max:
        facts |= {"limit": queue.concurrency_max, "running": running}
        return f"the limit of {queue.concurrency_max} running works of {queue.name!r} is reached{again}"
    if queue.key_concurrency_max is not None and work.concurrency_key is not None:
        same = _running(connection, queue.id, work.concurrency_key)
        if same >= queue.key_concurrency_max:
            facts |= {
                "key": work.concurrency_key,
                "limit": queue.key_concurrency_max,
                "running": same,
            }
            return f"the limit {work.concurrency_key}={queue.key_concurrency_max} is reached{again}"
    return f"{_in_line(connection, work, queue, running, facts)}{again}"


def _in_line(
    connection: Connection,
    work: reading.Work,
    queue: queues.Queue,
    running: int,
    facts: dict[str, Any],
) -> str:
    """Say why a work that may be claimed is not: what is before it, and who could take it."""
    if queue.surface == _SERVED_BY_TASKS:
        facts |= {"ahead": _ahead(connection, work), "running": running}
        return (
            f"{_in_front(facts['ahead'])} for worker run {queue.name}, {running} are being "
            f"processed; it waits for a task to take it"
        )
    online = workers.online(connection, queue.parent_id or queue.id)
    facts["workers_online"] = online
    if not online and queue.surface not in (_SERVED_BY_THE_SERVER, _SERVED_BY_CLIENTS):
        return f"no worker that offers {queue.name!r} is online (0 online)"
    ahead = _ahead(connection, work)
    facts["ahead"] = ahead
    if not online and queue.surface == _SERVED_BY_CLIENTS:
        return (
            f"{_in_front(ahead)}, and nobody has withdrawn it so far; no worker that "
            f"serves {queue.name!r} is online (0 online; clients that withdraw by themselves are "
            f"not counted)"
        )
    serving = f"{online} {'worker' if online == 1 else 'workers'} online"
    return f"{_in_front(ahead)}, {serving}, {running} running"


def _why_running(
    connection: Connection, work: reading.Work, _queue: queues.Queue, facts: dict[str, Any]
) -> str:
    assert work.lease_until_us is not None
    left_s = (work.lease_until_us - now_us(connection)) / 1_000_000
    facts |= {"worker": work.worker_id, "lease_until": iso(work.lease_until_us)}
    lease = (
        f"the lease ends in {_length(left_s)} unless it is renewed"
        if left_s > 0
        else "the lease is over, and the attempt is about to be given up"
    )
    stop = "it is to be cancelled; " if work.reason == Reason.CANCEL_REQUESTED else ""
    return (
        f"{stop}attempt {work.attempt} of {work.attempts_max} is held by {work.worker_id} "
        f"since {iso(work.started_us)}; {lease}"
    )


def _why_failure(
    connection: Connection, work: reading.Work, _queue: queues.Queue, facts: dict[str, Any]
) -> str:
    cause = TRANSITIONS[Reason(work.reason)].meaning
    output = reading.outputs(connection, [work.id]).get(work.id)
    error = json.loads(output.error) if output is not None and output.error is not None else {}
    facts["error"] = error
    told = f" ({error.get('type', 'error')}: {error.get('message', '')})" if error else ""
    if work.retry_us is not None:
        facts["retry"] = iso(work.retry_us)
        return f"{cause}{told} Attempt {work.attempt + 1} of {work.attempts_max} is due at {iso(work.retry_us)}"
    if work.reason == Reason.REJECTED:
        return f"{cause}{told}"
    if work.attempts_max == 1:
        return f"{cause}{told} Its only attempt is used up"
    return f"{cause}{told} All {work.attempts_max} attempts are used up"


def _why_ended(
    connection: Connection, work: reading.Work, _queue: queues.Queue, facts: dict[str, Any]
) -> str:
    last = reading.history(connection, work.id)[-1]
    detail = last.detail_object or {}
    facts |= {"by": last.actor, "at": iso(last.at_us), "detail": detail}
    told = f" ({detail['message']})" if detail.get("message") else ""
    return f"{TRANSITIONS[Reason(work.reason)].meaning}{told} By {last.actor} at {iso(last.at_us)}"


def _in_front(ahead: int) -> str:
    if ahead == 1:
        return "1 work is ahead of it"
    if ahead > AHEAD:
        return f"more than {AHEAD:,} works are ahead of it"
    return f"{ahead or 'no'} works are ahead of it"


def _running(connection: Connection, queue_id: int, key: str | None) -> int:
    query = (
        select(func.count())
        .select_from(works)
        .where(
            works.c.queue_id == queue_id,
            works.c.state == "running",
            works.c.lease_until_us > now_us(connection),
        )
    )
    if key is not None:
        query = query.where(works.c.concurrency_key == key)
    return int(connection.execute(query).scalar_one())


def _ahead(connection: Connection, work: reading.Work) -> int:
    """Count the works of the queue that a claim would take first, up to one more than AHEAD."""
    queued = (works.c.queue_id == work.queue_id, works.c.state == constant("queued"))
    same = works.c.priority == work.priority
    count = 0
    # Each is one range of the index of claims: together with OR, all that is queued would be read.
    for before in (
        works.c.priority > work.priority,
        same & (works.c.due_us < work.due_us),
        same & (works.c.due_us == work.due_us) & (works.c.id < work.id),
    ):
        some = select(works.c.id).where(*queued, before).limit(AHEAD + 1 - count).subquery("some")
        count += connection.execute(select(func.count()).select_from(some)).scalar_one()
        if count > AHEAD:
            break
    return count


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

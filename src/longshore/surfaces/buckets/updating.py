"""Updates of works: who may write what, by the fence that the protocol allows.

An update is the whole document of a work. Its `start` is the moment at which the attempt began,
in microseconds as we gave it, and its `attempt` the number of that attempt: together they tell
the holder of the present attempt from everybody who held an earlier one. `judge` decides; what it
refuses changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from longshore import limits
from longshore.clock import SECOND_US, to_us
from longshore.engine import works
from longshore.engine.states import Reason, State
from longshore.engine.works import Amendment, Ending, Outcome
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage import mark, now_us
from longshore.storage.bulk import update_rows
from longshore.surfaces.buckets import artifacts, documents, slack
from longshore.surfaces.buckets.depositing import asks_slack, attempts_max
from longshore.surfaces.buckets.documents import Kept, Plain, shown_start_us
from longshore.surfaces.buckets.tables import bucket_works
from longshore.surfaces.buckets.withdrawing import GRACE_S
from longshore.wire.buckets import WorkPayload, exact_works
from longshore.wire.payloads import FunctionResult

UPDATED: Final = "works_updated"
"""Mark of a transaction that writes an update, for longshore.storage.faults."""
_WHY_REOPENED: Final = "a client set its status to queued"


class Act(Enum):
    """What an update does to a work."""

    EDIT = auto()
    """The state stays; the document changes."""
    SUCCEED = auto()
    FAIL = auto()
    HAND_BACK = auto()
    REOPEN = auto()
    REFUSE = auto()


class Change(msgspec.Struct, frozen=True):
    """One work of an update, checked: as a struct, and as the JSON to be stored."""

    payload: WorkPayload
    document: str


class Accepted(msgspec.Struct, frozen=True):
    """A change that the fence lets pass.

    Attributes:
        work: the work as it is.
        change: what the client sent.
        act: what that does.
        before: the stored document, or None where it holds names beside the protocol's.
    """

    work: Kept
    change: Change
    act: Act
    before: Plain | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A work of an update that was left as it is, and why."""

    id: str | None
    code: str
    message: str
    state: str | None = None
    attempt: int | None = None
    holder: str | None = None


def judge(work: Kept, payload: WorkPayload) -> Act:
    """Decide what an update may do to a work.

    While it runs, its end is written by who knows the `start` of this attempt; `attempt` alone
    is enough where no `start` is sent, since the number can be set back by clients and a `start`
    cannot come twice. Whoever holds it may change `start` and `attempt` themselves, one at a
    time. When it does not run, only who has seen it as it is now may edit it or queue it again.
    """
    same_start = shown_start_us(payload) == work.started_us
    same_attempt = payload.attempt == work.shown_attempt
    wanted = "queued" if payload.status == "created" else payload.status
    if work.state is State.RUNNING:
        holds = same_start or (same_attempt and (wanted == "running" or payload.start is None))
        return _ENDS.get(wanted, Act.EDIT) if holds else Act.REFUSE
    if wanted == work.status and same_start and same_attempt:
        return Act.EDIT
    return Act.REOPEN if wanted == "queued" and same_start else Act.REFUSE


_ENDS: Final = {"success": Act.SUCCEED, "failure": Act.FAIL, "queued": Act.HAND_BACK}


@dataclass(frozen=True, slots=True)
class Request:
    """One request to update, as it waits to be written together with others."""

    organisation_id: str
    actor: str
    changes: Sequence[Change]


def read_changes(data: bytes, now_s: float) -> list[Change]:
    """Read the body of an update: a JSON list of works.

    Raises:
        InvalidRequest: it is no list, or one of them is no work; nothing of it is written then.
        TooLarge: there are too many.
    """
    payloads = exact_works(data)
    if payloads is not None:
        _check_count(len(payloads))
        changes = []
        for payload in payloads:
            if payload.creation is None:
                payload.creation = now_s
            changes.append(Change(payload, documents.encode(payload)))
    else:
        values = documents.decoded(data)
        if not isinstance(values, list):
            raise InvalidRequest("The body is no list. Send a JSON list of works, [{...}, ...].")
        _check_count(len(values))
        changes = [
            Change(payload, documents.encode(document))
            for payload, document in (documents.checked(value, now_s) for value in values)
        ]
    return changes


def _check_count(count: int) -> None:
    if count > limits.DEPOSIT_WORKS:
        raise TooLarge(
            f"{count} works in one request; send at most {limits.DEPOSIT_WORKS} at a time.",
            details={"limit": limits.DEPOSIT_WORKS},
        )


def apply_all(connection: Connection, requests: Sequence[Request]) -> list[list[Refused]]:
    """Serve many requests in one transaction, one after the other; see `apply`."""
    return [
        apply(connection, each.organisation_id, each.changes, actor=each.actor) for each in requests
    ]


def apply(
    connection: Connection, organisation_id: str, changes: Sequence[Change], *, actor: str
) -> list[Refused]:
    """Write the updates that the fence lets pass; return the others with who holds their works.

    A work whose attempt ends is moved by the engine, once. A repeat of an update that was
    accepted is accepted.
    """
    latest = {change.payload.id: change for change in changes if change.payload.id is not None}
    refused = [_without_id() for change in changes if change.payload.id is None]
    known = documents.read(connection, list(latest), organisation_id=organisation_id, lock=True)
    accepted: list[Accepted] = []
    for work_id, change in latest.items():
        work = known.get(work_id)
        if work is None:
            refused.append(_unknown(work_id))
            continue
        if change.payload.pipeline != work.pipeline:
            refused.append(_moved(work, change.payload.pipeline))
            continue
        act = judge(work, change.payload)
        if act is Act.REFUSE:
            refused.append(_late(work))
        else:
            accepted.append(Accepted(work, change, act, documents.plain(work.document)))
    asking = [
        (each.work.work_id, each.work.queue_id, msgspec.json.decode(each.change.document))
        for each in accepted
        if asks_slack(each.change.payload)
    ]
    if asking:
        slack.watch(connection, asking)
    mark(connection, UPDATED)
    lost = _end(connection, accepted)
    accepted = [each for each in accepted if each.work.work_id not in lost]
    refused += [_cancelled(known[work_id]) for work_id in lost]
    _store(connection, organisation_id, accepted)
    reopened = [each.work.work_id for each in accepted if each.act is Act.REOPEN]
    if reopened:
        works.reopen(connection, reopened, actor=actor, why=_WHY_REOPENED)
        works.retry_given(connection, reopened, actor=actor)
    return refused


def record(connection: Connection, organisation_id: str, endings: Sequence[Ending]) -> None:
    """Write what our own worker reported into the documents of works that have just ended.

    The engine has accepted these endings in this transaction; their results are of the form of
    `longshore.wire.payloads.FunctionResult`.
    """
    work_ids = [ending.work_id for ending in endings]
    known = documents.read(connection, work_ids, organisation_id=organisation_id)
    rows: list[tuple[str, str, int]] = []
    made: list[artifacts.Made] = []
    for ending in endings:
        work = known.get(ending.work_id)
        if work is None:
            continue
        document = msgspec.json.decode(work.document)
        document["stop"] = now_us(connection) / SECOND_US
        if ending.result is not None:
            result = msgspec.json.decode(ending.result, type=FunctionResult)
            document["results"] = msgspec.json.decode(result.results)
            document["products"], document["plots"] = result.products, result.plots
            made.append(
                artifacts.Made(
                    work.pipeline,
                    work.work_id,
                    result.products,
                    result.plots,
                    result.artifacts,
                )
            )
        rows.append((work.work_id, documents.encode(document), work.attempt_offset))
    _write(connection, rows)
    artifacts.register_many(connection, organisation_id, made)


def _end(connection: Connection, accepted: Sequence[Accepted]) -> set[str]:
    """End the attempts that are to end; return the works that turned out to be cancelled."""
    _prepare(connection, accepted)
    by_holder: dict[str, list[Ending]] = {}
    for each in accepted:
        work, outcome = each.work, _OUTCOMES.get(each.act)
        if outcome is not None and work.worker_id is not None:
            error = _error(each.change.payload) if each.act is Act.FAIL else None
            ending = Ending(work.work_id, work.attempt, outcome, result=None, error=error)
            by_holder.setdefault(work.worker_id, []).append(ending)
    lost: set[str] = set()
    for holder, endings in by_holder.items():
        lost |= {each.work_id for each in works.finish(connection, endings, holder=holder)}
    return lost


_OUTCOMES: Final = {
    Act.SUCCEED: Outcome.SUCCESS,
    Act.FAIL: Outcome.FAILURE,
    Act.HAND_BACK: Outcome.HANDED_BACK,
}


def _prepare(connection: Connection, accepted: Sequence[Accepted]) -> None:
    """Let the engine know what the documents change of its own: limits, priority, the start."""
    amendments = []
    for each in accepted:
        work, act, after = each.work, each.act, each.change.payload
        before = each.before or msgspec.json.decode(work.document, type=_Limits)
        values: dict[str, Any] = {}
        if before.priority != after.priority:
            values["priority"] = after.priority
        if before.timeout != after.timeout:
            values["timeout_s"] = float(after.timeout)
        offset = _offset(work, after)
        if (before.retries, work.attempt_offset) != (after.retries, offset):
            values["attempts_max"] = attempts_max(after, offset)
        started_us = shown_start_us(after)
        if work.state is State.RUNNING and act is Act.EDIT:
            if started_us is not None and started_us != work.started_us:
                values["started_us"] = started_us
            begun_us = values.get("started_us", work.started_us)
            if begun_us is not None and ("started_us" in values or "timeout_s" in values):
                # By our clock: a start that is still to come must not lengthen the lease.
                from_us = min(begun_us, now_us(connection))
                values["lease_until_us"] = from_us + to_us(after.timeout + GRACE_S)
        if values:
            amendments.append(Amendment(work_id=work.work_id, **values))
    works.amend(connection, amendments)


def _store(connection: Connection, organisation_id: str, accepted: Sequence[Accepted]) -> None:
    rows, made = [], []
    for each in accepted:
        work, payload, document = each.work, each.change.payload, each.change.document
        if each.before is None:
            # Clients drop the names that they do not know; what was deposited under them stays.
            both = {**msgspec.json.decode(work.document), **msgspec.json.decode(document)}
            document = documents.encode(both)
        rows.append((work.work_id, document, _offset(work, payload)))
        if payload.products is not None or payload.plots is not None:
            made.append(
                artifacts.Made(work.pipeline, work.work_id, payload.products, payload.plots)
            )
    _write(connection, rows)
    artifacts.register_many(connection, organisation_id, made)


def _write(connection: Connection, rows: Sequence[tuple[str, str, int]]) -> None:
    update_rows(connection, bucket_works, "work_id", ("document", "attempt_offset"), rows)


class _Limits(msgspec.Struct):
    """The part of a stored document that the engine has a copy of."""

    priority: int
    timeout: int
    retries: int


def _offset(work: Kept, payload: WorkPayload) -> int:
    return payload.attempt - work.attempt


def _error(payload: WorkPayload) -> bytes:
    """Return what a client says about a failure, in the form in which attempts keep errors."""
    told = (payload.results or {}).get("error")
    message = str(told) if told is not None else "the worker reported a failure without a text"
    return msgspec.json.encode({"type": "WorkFailed", "message": message[:16_384], "traceback": ""})


def _without_id() -> Refused:
    return Refused(
        None,
        "invalid_request",
        "A work without an id cannot be updated: only a deposit makes new ones. Send the work as "
        "it was withdrawn or viewed.",
    )


def _unknown(work_id: str) -> Refused:
    return Refused(
        work_id,
        "not_found",
        f"There is no work {work_id!r} in any bucket. It was deleted or has moved to the results; "
        "nothing was written.",
    )


def _moved(work: Kept, pipeline: str) -> Refused:
    return Refused(
        work.work_id,
        "invalid_request",
        f"The work is in bucket {work.pipeline!r} and cannot move to {pipeline!r}; nothing was "
        "written. Deposit a copy there, and delete this one.",
        state=str(work.state),
    )


def _cancelled(work: Kept) -> Refused:
    return Refused(
        work.work_id,
        "lease_lost",
        "The work was cancelled while it ran; what was reported for it is dropped.",
        state=str(State.CANCELLED),
        attempt=work.shown_attempt,
    )


def _late(work: Kept) -> Refused:
    attempt = work.shown_attempt
    if work.state is State.RUNNING:
        fate = f"attempt {attempt} is running and held by {work.worker_id}"
    elif work.state in (State.QUEUED, State.WAITING):
        fate = f"it is queued for another attempt after attempt {attempt} ({work.reason})"
    elif work.reason == Reason.LEASE_EXPIRED:
        fate = f"attempt {attempt} took longer than its time limit and counts as failed"
    else:
        fate = f"attempt {attempt} is over: {work.state} ({work.reason})"
        fate += f", by {work.worker_id}" if work.worker_id else ""
    return Refused(
        work.work_id,
        "lease_lost",
        f"The update is not of the attempt that holds the work, so nothing was written: {fate}. "
        "Drop what was made, or withdraw the work again.",
        state=str(work.state),
        attempt=attempt,
        holder=work.worker_id,
    )

"""Depositing works into buckets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection

from longshore import ids, limits
from longshore.access import answers
from longshore.engine import queues, traces, works
from longshore.engine.works import NewWork
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage.bulk import insert_rows
from longshore.surfaces.buckets import documents, retries, slack, webhooks
from longshore.surfaces.buckets.retries import Note
from longshore.surfaces.buckets.tables import bucket_works
from longshore.wire.buckets import WorkPayload, exact_works

SURFACE: Final = "buckets"
PAUSE_S: Final = 30.0
"""Pause before the second attempt, about; an auditor that comes every few seconds is first."""
PAUSE_MAX_S: Final = 3600.0
ATTEMPTS_MAX: Final = 2
"""What a work without `retries` may take, as the published client has it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to deposit, as it waits to be written together with others.

    Attributes:
        organisation_id: whose buckets.
        actor: the key that deposits.
        new: the works.
        note: what tells a retry of it from another deposit; None where `idempotency_key` does.
        idempotency_key: what the client calls this request, with the fingerprint of it.
        traceparent: the span of the request, where one is recorded.
    """

    organisation_id: str
    actor: str
    new: Sequence[Deposit]
    note: Note | None
    idempotency_key: tuple[str, str] | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Deposited:
    """The works that a request led to; `notes` are the names of those to be taken away."""

    ids: list[str]
    notes: tuple[str, ...] = ()
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Deposit:
    """One work to be deposited, checked: as a struct, and as the JSON to be stored."""

    payload: WorkPayload
    document: str


def read_deposits(data: bytes, now_s: float) -> list[Deposit]:
    """Read the body of a deposit: a JSON list of works.

    Raises:
        InvalidRequest: it is no list, or one of the works cannot be deposited.
        TooLarge: there are too many, or one is nested too deep.
    """
    payloads = exact_works(data)
    if payloads is not None:
        _check_count(len(payloads))
        deposits = []
        for payload in payloads:
            if payload.creation is None:
                payload.creation = now_s
            deposits.append(Deposit(payload, documents.encode(payload)))
        return deposits
    values = documents.decoded(data)
    if not isinstance(values, list):
        raise InvalidRequest("The body is no list. Send a JSON list of works, [{...}, ...].")
    _check_count(len(values))
    return [
        Deposit(payload, documents.encode(document))
        for payload, document in (documents.checked(value, now_s) for value in values)
    ]


def deposit_all(connection: Connection, requests: Sequence[Request]) -> list[Deposited]:
    """Serve many requests in one transaction, each as if it were alone; see `deposit`.

    A request that repeats an earlier one whose answer was lost gets the ids of that one.
    """
    served: dict[int, Deposited] = {}
    repeated = retries.known(connection, [each.note for each in requests if each.note is not None])
    fresh: list[tuple[int, Request]] = []
    for position, request in enumerate(requests):
        if request.note is not None and request.note.name in repeated:
            name, found = repeated[request.note.name]
            served[position] = Deposited(found, (name,), repeated=True)
        elif (kept := _kept_answer(connection, request)) is not None:
            served[position] = Deposited(kept, repeated=True)
        else:
            fresh.append((position, request))
    noted: list[tuple[Note, list[str]]] = []
    for (organisation_id, actor), group in _grouped(fresh).items():
        new = [each for _, request in group for each in request.new]
        made = iter(deposit(connection, organisation_id, new, actor=actor))
        for position, request in group:
            own = [next(made) for _ in request.new]
            names = () if request.note is None else (request.note.name,)
            served[position] = Deposited(own, names)
            if request.traceparent is not None:
                traces.keep(connection, request.traceparent, own)
            if request.note is not None:
                noted.append((request.note, own))
            _keep_answer(connection, request, own)
    retries.keep(connection, noted)
    return [served[position] for position in range(len(requests))]


def _grouped(
    fresh: Sequence[tuple[int, Request]],
) -> dict[tuple[str, str], list[tuple[int, Request]]]:
    groups: dict[tuple[str, str], list[tuple[int, Request]]] = {}
    for position, request in fresh:
        groups.setdefault((request.organisation_id, request.actor), []).append((position, request))
    return groups


def _kept_answer(connection: Connection, request: Request) -> list[str] | None:
    """Return the ids that a repeated idempotency key stands for, or None and take the key.

    The same key twice in one transaction finds no answer yet and raises; the two requests are
    then served one after the other.
    """
    if request.idempotency_key is None:
        return None
    kept = answers.begin(connection, request.actor, *request.idempotency_key)
    return None if kept is None else list(json.loads(kept.body))


def _keep_answer(connection: Connection, request: Request, ids_made: list[str]) -> None:
    if request.idempotency_key is not None:
        answer = answers.Answer(200, {}, json.dumps(ids_made).encode())
        answers.keep(connection, request.actor, request.idempotency_key[0], answer)


def _check_count(count: int) -> None:
    if count > limits.DEPOSIT_WORKS:
        raise TooLarge(
            f"{count} works in one request; send at most {limits.DEPOSIT_WORKS} at a time.",
            details={"limit": limits.DEPOSIT_WORKS},
        )


def deposit(
    connection: Connection, organisation_id: str, new: Sequence[Deposit], *, actor: str
) -> list[str]:
    """Queue works, all or none; return their ids in order.

    The server gives each an id, whatever the client wrote there, and `status` begins at queued.
    """
    names = sorted({each.payload.pipeline for each in new})
    buckets = {name: queue_of(connection, organisation_id, name) for name in names}
    made = [
        (ids.new(ids.WORK), buckets[each.payload.pipeline], each.payload, each.document)
        for each in new
    ]
    works.submit(
        connection,
        [_new_work(work_id, queue_id, payload) for work_id, queue_id, payload, _ in made],
        actor=actor,
    )
    insert_rows(
        connection,
        bucket_works,
        ("work_id", "queue_id", "document", "attempt_offset"),
        [
            (work_id, queue_id, document, payload.attempt)
            for work_id, queue_id, payload, document in made
        ],
    )
    asking = [each for each in made if asks_slack(each[2])]
    if asking:
        slack.watch(
            connection,
            [
                (work_id, queue_id, msgspec.to_builtins(payload))
                for work_id, queue_id, payload, _ in asking
            ],
        )
    return [each[0] for each in made]


def queue_of(connection: Connection, organisation_id: str, name: str) -> int:
    """Return the id of a bucket's queue, making it if it is not there."""
    found = queues.find(connection, organisation_id, SURFACE, name)
    if found is not None:
        return found.id
    return queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SURFACE,
        name=name,
        attempts_max=ATTEMPTS_MAX,
        backoff_s=PAUSE_S,
        backoff_max_s=PAUSE_MAX_S,
        expired_pause_s=PAUSE_S,
        notices=webhooks.for_new_bucket(connection, organisation_id),
    )


def asks_slack(payload: WorkPayload) -> bool:
    """Return whether a work names somebody to be told in Slack."""
    slack_wish = payload.notify.slack
    return bool(slack_wish.channel_id or slack_wish.member_ids)


def attempts_max(payload: WorkPayload, offset: int) -> int:
    """Return how many attempts of the engine a work's `retries` allow.

    The protocol queues a failed work again while its attempt is below `retries`, so that a work
    with 0 or 1 is tried once. `offset` is what the client's number has more than the engine's.
    """
    return max(1, payload.retries - offset)


def _new_work(work_id: str, queue_id: int, payload: WorkPayload) -> NewWork:
    return NewWork(
        queue_id,
        None,
        id=work_id,
        priority=payload.priority,
        timeout_s=float(payload.timeout),
        attempts_max=attempts_max(payload, payload.attempt),
    )

"""Documents of works: what a client deposited, and the engine's facts laid over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Double, Row, Select, Text, case, cast, select

from longshore import limits
from longshore.clock import SECOND_US
from longshore.edge.body import check_depth
from longshore.engine.states import State
from longshore.engine.tables import queues, works
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.buckets import query
from longshore.surfaces.buckets.tables import bucket_works
from longshore.wire.buckets import WorkPayload, read_work

Document = dict[str, Any]

STATUSES: Final[dict[State, str]] = {
    State.WAITING: "queued",
    State.QUEUED: "queued",
    State.RUNNING: "running",
    State.SUCCESS: "success",
    State.FAILURE: "failure",
    # The published client knows no other word for a work that will not succeed.
    State.CANCELLED: "failure",
}
assert set(STATUSES) == set(State), "every State has a status"

_STATES: Final = {state.value: state for state in State}
_KNOWN_PARTS: Final = ("config", "notify")


class Kept(msgspec.Struct, frozen=True):
    """A work of a bucket as it is stored: its document and what the engine knows of it."""

    work_id: str
    queue_id: int
    pipeline: str
    state: State
    reason: str
    attempt: int
    """The engine's, which only grows; the client's is `shown_attempt`."""
    attempt_offset: int
    started_us: int | None
    finished_us: int | None
    retry_us: int | None
    due_us: int
    lease_until_us: int | None
    worker_id: str | None
    document: str

    @property
    def shown_attempt(self) -> int:
        """The attempt as clients see it."""
        return self.attempt + self.attempt_offset

    @property
    def status(self) -> str:
        """The state in the protocol's words."""
        return STATUSES[self.state]

    def effective(self) -> Document:
        """Return the document as clients see it."""
        return lay_over(
            msgspec.json.decode(self.document),
            work_id=self.work_id,
            status=self.status,
            attempt=self.shown_attempt,
            started_us=self.started_us,
        )


class Plain(msgspec.Struct, forbid_unknown_fields=True):
    """A stored document that holds nothing but the names of the protocol, as nearly all do.

    What withdrawals and updates need not look at stays the JSON text that it is, so that reading
    and writing one takes a microsecond.
    """

    pipeline: msgspec.Raw
    site: msgspec.Raw
    user: msgspec.Raw
    function: msgspec.Raw
    parameters: msgspec.Raw
    command: msgspec.Raw
    results: msgspec.Raw
    products: msgspec.Raw
    plots: msgspec.Raw
    tags: msgspec.Raw
    event: msgspec.Raw
    id: str | None
    creation: msgspec.Raw
    start: float | None
    stop: msgspec.Raw
    attempt: int
    status: str
    timeout: int
    retries: int
    priority: int
    config: msgspec.Raw
    notify: msgspec.Raw


assert Plain.__struct_fields__ == WorkPayload.__struct_fields__, "Plain is a WorkPayload"
_PLAIN: Final = msgspec.json.Decoder(Plain)


def plain(document: str) -> Plain | None:
    """Return a stored document as a struct, or None where it holds other names too."""
    try:
        return _PLAIN.decode(document)
    except msgspec.ValidationError:
        return None


def shown(
    document: str, *, work_id: str, status: str, attempt: int, started_us: int | None
) -> Plain | Document:
    """Return a stored document as clients see it, ready to be encoded."""
    found = plain(document)
    if found is None:
        return lay_over(
            msgspec.json.decode(document),
            work_id=work_id,
            status=status,
            attempt=attempt,
            started_us=started_us,
        )
    found.id, found.status, found.attempt = work_id, status, attempt
    found.start = None if started_us is None else started_us / SECOND_US
    return found


def lay_over(
    document: Document, *, work_id: str, status: str, attempt: int, started_us: int | None
) -> Document:
    """Put the engine's facts into a stored document, and return it."""
    document["id"] = work_id
    document["status"] = status
    document["attempt"] = attempt
    document["start"] = None if started_us is None else started_us / SECOND_US
    return document


def checked(value: Any, now_s: float) -> tuple[WorkPayload, Document]:
    """Check what a client sent as a work; return it as a struct and as the document to store.

    The document has the protocol's defaults filled in, and whatever else the client put there.

    Raises:
        InvalidRequest: a field is missing, of the wrong type or out of range.
    """
    payload = read_work(value)
    if payload.creation is None:
        payload.creation = now_s
    return payload, _with_unknown(value, msgspec.to_builtins(payload))


def encode(document: Document | WorkPayload) -> str:
    """Return a document as it is stored.

    Raises:
        TooLarge: it is nested deeper than `limits.JSON_DEPTH`, or has too many bytes.
    """
    data = msgspec.json.encode(document)
    if len(data) > limits.DOCUMENT_BYTES:
        raise TooLarge(
            f"A work has {len(data)} bytes and may have {limits.DOCUMENT_BYTES}. Keep what is large "
            "in files, and name these as products.",
            details={"limit_bytes": limits.DOCUMENT_BYTES},
        )
    check_depth(data)
    return data.decode()


def shown_start_us(payload: WorkPayload) -> int | None:
    """Return the `start` that a client sent in microseconds, exact where it is one of ours."""
    return None if payload.start is None else round(payload.start * SECOND_US)


def read(
    connection: Connection, work_ids: Sequence[str], *, organisation_id: str, lock: bool = False
) -> dict[str, Kept]:
    """Return those of `work_ids` that are works of the organisation's buckets.

    With `lock` nothing else changes them until the transaction ends.
    """
    dialect = connection.dialect.name
    statement = _by_id(dialect).where(queues.c.organisation_id == organisation_id)
    if lock and dialect == "postgresql":
        # In the order of their ids, so that two updates of the same works cannot wait for each
        # other.
        statement = statement.order_by(works.c.id).with_for_update(of=works)
    chosen = given_parameters(dialect, [(work_id,) for work_id in sorted(set(work_ids))], 1)
    # All at once: an iteration fetches each row for itself.
    return {row[0]: kept(row) for row in connection.execute(statement, chosen).all()}


def stored(connection: Connection, work_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return document and attempt offset of works, by id."""
    dialect = connection.dialect.name
    chosen = given_parameters(dialect, [(work_id,) for work_id in work_ids], 1)
    rows = connection.execute(_stored(dialect), chosen).all()
    return {work_id: (document, offset) for work_id, document, offset in rows}


def kept(row: Row[*tuple[Any, ...]]) -> Kept:
    """Return a row of `selected()` as an object."""
    work_id, queue_id, pipeline, state, *rest = row
    return Kept(work_id, queue_id, pipeline, _STATES[state], *rest)


@cache
def selected() -> Select[Any]:
    """Return the query for works of buckets; its rows are for `kept`."""
    return (
        select(
            works.c.id.label("work_id"),
            works.c.queue_id,
            queues.c.name.label("pipeline"),
            works.c.state,
            works.c.reason,
            works.c.attempt,
            bucket_works.c.attempt_offset,
            works.c.started_us,
            works.c.finished_us,
            works.c.retry_us,
            works.c.due_us,
            works.c.lease_until_us,
            works.c.worker_id,
            bucket_works.c.document,
        )
        .join(bucket_works, bucket_works.c.work_id == works.c.id)
        .join(queues, queues.c.id == works.c.queue_id)
    )


@cache
def fields() -> query.Fields:
    """Return where the query language finds the fields of a work."""
    status = case({str(state): word for state, word in STATUSES.items()}, value=works.c.state)
    return query.Fields(
        document=bucket_works.c.document,
        columns={
            "id": query.Column(works.c.id, "text"),
            "pipeline": query.Column(queues.c.name, "text"),
            "status": query.Column(status, "text"),
            "attempt": query.Column(works.c.attempt + bucket_works.c.attempt_offset, "number"),
            "start": query.Column(cast(works.c.started_us, Double) / SECOND_US, "number"),
        },
    )


def error_of(error: bytes | None) -> Any:
    """Return the error of an attempt as an object, or None."""
    return None if error is None else msgspec.json.decode(error)


def decoded(data: bytes) -> Any:
    """Return the JSON value in `data`.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body is not usable JSON: {str(error)[:300]}.") from error


@cache
def _by_id(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return selected().where(works.c.id.in_(select(given.c.id)))


@cache
def _stored(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return select(
        bucket_works.c.work_id, bucket_works.c.document, bucket_works.c.attempt_offset
    ).where(bucket_works.c.work_id == given.c.id)


def _with_unknown(given: Mapping[str, Any], known: Document) -> Document:
    """Return `known` and what else `given` holds, in `config` and `notify` as well."""
    for name, value in given.items():
        if name not in known:
            known[name] = value
    for name in _KNOWN_PARTS:
        _fill(given.get(name), known[name])
    return known


def _fill(given: Any, known: Document) -> None:
    if not isinstance(given, Mapping):
        return
    for name, value in given.items():
        if name not in known:
            known[name] = value
        elif isinstance(known[name], dict):
            _fill(value, known[name])

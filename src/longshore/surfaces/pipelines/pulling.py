"""Pulling outputs: each chunk is handed out once, and can be had again until it is confirmed.

A pull takes chunks out of the output buffer and notes which delivery they went with. Their bytes
stay for a while, since nobody can know whether the answer arrived:

- where the connection broke before the answer was read, they return to the buffer at once;
- a client that confirms deliveries (`confirm`) has them erased, and can ask for all that it has
  not confirmed (`again`), as after a crash of its own;
- the same request sent again, by its x-request-id, gives the same chunks;
- what nobody confirms is erased after a time (`limits.DELIVERED_KEPT_S`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, delete, func, select, update

from longshore import ids, limits
from longshore.clock import to_us
from longshore.engine import queues
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import mark, now_us
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.pipelines import buffers, status
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import Pipeline
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipeline_outputs
from longshore.wire.payloads import ChunkResult

PULLED: Final = "chunks_pulled"
"""Mark of a transaction that hands out outputs, for longshore.storage.faults."""
ERASED: Final = 500
"""Chunks that one pass erases."""
_NULL: Final = b"null"
_NO_SUMMARY: Final = msgspec.Raw(b"[[]]")
_SHOWN_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pull asks for.

    Attributes:
        max_chunks: at most so many.
        max_bytes: at most so much, but at least one chunk.
        confirm: deliveries that have arrived, and need not be kept any more.
        again: everything that was delivered and not confirmed, in place of anything new.
        delivery: only the chunks of this delivery, once more.
        origin: key and x-request-id: the same request sent again gives the same chunks.
    """

    max_chunks: int = 100
    max_bytes: int = limits.PULL_BYTES
    confirm: Sequence[str] = ()
    again: bool = False
    delivery: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull gives: the status, and which chunks to read outputs of, as (work, chunk id)."""

    status: Mapping[str, Any]
    chunks: Sequence[tuple[str, str]]
    delivery: str | None


def glance(
    connection: Connection, organisation_id: str, pipeline_id: str, wanted: Wanted
) -> Pulled | None:
    """Answer a pull that changes nothing, in a read transaction; None where it would.

    Raises:
        NotFound: there is no such pipeline.
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id)
    if wanted.confirm or wanted.again or wanted.delivery:
        return None
    if _available(connection, pipeline, 1) or status.untold(connection, pipeline):
        return None
    if wanted.origin and _delivered(connection, pipeline, _delivery_of(pipeline, wanted.origin)):
        return None
    return Pulled(status.document(connection, pipeline), [], None)


def ready(connection: Connection, organisation_id: str, pipeline_id: str) -> bool:
    """Whether a pull need not wait: there are outputs, or there will not be any more.

    Raises:
        NotFound: there is no such pipeline.
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id)
    if pipeline.completed_us is not None or _available(connection, pipeline, 1):
        return True
    return not buffers.pending(connection, pipeline_id)


def pull(connection: Connection, organisation_id: str, pipeline_id: str, wanted: Wanted) -> Pulled:
    """Take outputs out of the buffer, or find those that were delivered before.

    Raises:
        NotFound: there is no such pipeline, or no such delivery (any more).
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id, lock=True)
    if wanted.confirm:
        _confirm(connection, pipeline, wanted.confirm)
    name = None if wanted.origin is None else _delivery_of(pipeline, wanted.origin)
    if wanted.again or wanted.delivery is not None:
        found = _delivered(connection, pipeline, wanted.delivery)
        if wanted.delivery is not None and not found:
            raise NotFound(
                f"There is no delivery {wanted.delivery[:_SHOWN_CHARACTERS]!r} in batch "
                f"{pipeline.id} (any more): it was confirmed, or is older than "
                f"{limits.DELIVERED_KEPT_S / 60:.0f} minutes."
            )
        chunks = _first(found, wanted.max_chunks, wanted.max_bytes)
        delivery = _redeliver(connection, chunks, wanted.delivery, name)
    else:
        repeated = _delivered(connection, pipeline, name) if name is not None else []
        chunks = list(repeated) or _take(
            connection, pipeline, wanted, name or ids.new(ids.DELIVERY)
        )
        delivery = chunks[0].delivery_id if chunks else None
    if pipeline.ending != "cancelled":
        buffers.balance(connection, pipeline)
    told = status.told(connection, stored.get(connection, organisation_id, pipeline_id))
    return Pulled(told, [(row.work_id, row.chunk_id) for row in chunks], delivery)


def results(connection: Connection, chunks: Sequence[tuple[str, str]]) -> list[bytes]:
    """Return the chunk results of the protocol, as JSON, in order.

    Chunks whose pipeline was cancelled meanwhile are left out.
    """
    dialect = connection.dialect.name
    given = given_rows(dialect, work_id=Text)
    query = select(pipeline_outputs.c.work_id, pipeline_outputs.c.body).join(
        given, given.c.work_id == pipeline_outputs.c.work_id
    )
    rows = connection.execute(query, given_parameters(dialect, [(one,) for one, _ in chunks], 1))
    bodies = {row.work_id: row.body for row in rows}
    return [
        _result(chunk_id, bodies.pop(work_id)) for work_id, chunk_id in chunks if work_id in bodies
    ]


def give_back(connection: Connection, pipeline_id: str, delivery: str) -> int:
    """Put chunks whose answer nobody has read back into the buffer; return how many."""
    pipeline = stored.lock_many(connection, {pipeline_id}).get(pipeline_id)
    if pipeline is None:
        return 0
    returned = connection.execute(
        update(pipeline_chunks)
        .where(
            pipeline_chunks.c.pipeline_id == pipeline_id,
            pipeline_chunks.c.delivery_id == delivery,
            pipeline_chunks.c.erased_us.is_(None),
        )
        .values(delivery_id=None, delivered_us=None)
    ).rowcount
    if returned:
        buffers.balance(connection, pipeline)
        queues.wake(connection, [pipeline.queue_id])
    return returned


def expire(connection: Connection) -> Mapping[str, int]:
    """Erase outputs that were pulled long ago."""
    chunks = pipeline_chunks.c
    before_us = now_us(connection) - to_us(limits.DELIVERED_KEPT_S)
    query = (
        select(chunks.work_id)
        .where(
            chunks.delivered_us.is_not(None),
            chunks.erased_us.is_(None),
            chunks.delivered_us < before_us,
        )
        .order_by(chunks.delivered_us)
        .limit(ERASED)
    )
    return {"erased": _erase(connection, list(connection.execute(query).scalars()))}


def listing(
    connection: Connection, organisation_id: str, pipeline_id: str, after: str | None, limit: int
) -> dict[str, Any]:
    """Return {"chunks": [{"id", "records", "digest", "state"}], "next"} in the order of the pushes.

    Raises:
        NotFound: there is no such pipeline.
        InvalidRequest: `limit` is out of range.
    """
    if not 1 <= limit <= limits.CHUNKS_PER_PUSH:
        raise InvalidRequest(f"limit is {limit}; give 1 to {limits.CHUNKS_PER_PUSH}.")
    pipeline = stored.get(connection, organisation_id, pipeline_id)
    chunks = pipeline_chunks.c
    query = (
        select(pipeline_chunks)
        .where(chunks.pipeline_id == pipeline.id, chunks.work_id > (after or ""))
        .order_by(chunks.work_id)
        .limit(limit + 1)
    )
    rows = connection.execute(query).all()
    shown = [
        {"id": row.chunk_id, "records": row.records, "digest": row.digest, "state": _state(row)}
        for row in rows[:limit]
    ]
    return {"chunks": shown, "next": rows[limit - 1].work_id if len(rows) > limit else None}


def _state(row: Any) -> str:
    if row.erased_us is not None:
        return "erased"
    if row.delivered_us is not None:
        return "delivered"
    return "pending" if row.finished_us is None else "available"


def _take(connection: Connection, pipeline: Pipeline, wanted: Wanted, delivery: str) -> list[Any]:
    found = _available(connection, pipeline, wanted.max_chunks)
    chosen = _first(found, wanted.max_chunks, wanted.max_bytes)
    if not chosen:
        return []
    _mark_delivered(connection, [row.work_id for row in chosen], delivery)
    _erase_oldest(connection, pipeline, delivery)
    mark(connection, PULLED)
    return [_Row(row.work_id, row.chunk_id, row.output_bytes, delivery) for row in chosen]


@dataclass(frozen=True, slots=True)
class _Row:
    work_id: str
    chunk_id: str
    output_bytes: int
    delivery_id: str


def _available(connection: Connection, pipeline: Pipeline, limit: int) -> Sequence[Any]:
    chunks = pipeline_chunks.c
    query = (
        select(chunks.work_id, chunks.chunk_id, chunks.output_bytes)
        .where(
            chunks.pipeline_id == pipeline.id,
            chunks.finished_us.is_not(None),
            chunks.delivered_us.is_(None),
            chunks.erased_us.is_(None),
        )
        .order_by(chunks.finished_us, chunks.work_id)
        .limit(limit)
    )
    return connection.execute(query).all()


def _delivered(connection: Connection, pipeline: Pipeline, delivery: str | None) -> Sequence[Any]:
    chunks = pipeline_chunks.c
    query = (
        select(chunks.work_id, chunks.chunk_id, chunks.output_bytes, chunks.delivery_id)
        .where(
            chunks.pipeline_id == pipeline.id,
            chunks.delivered_us.is_not(None),
            chunks.erased_us.is_(None),
        )
        .order_by(chunks.delivered_us, chunks.work_id)
    )
    if delivery is not None:
        query = query.where(chunks.delivery_id == delivery)
    return connection.execute(query).all()


def _first(rows: Sequence[Any], count: int, size_bytes: int) -> list[Any]:
    chosen: list[Any] = []
    total = 0
    for row in rows[:count]:
        total += row.output_bytes
        if chosen and total > size_bytes:
            break
        chosen.append(row)
    return chosen


def _redeliver(
    connection: Connection, chunks: Sequence[Any], asked: str | None, name: str | None
) -> str | None:
    """Let chunks go with one delivery from now on, so that one confirmation is for all of them."""
    if not chunks:
        return None
    if asked is not None:
        return asked
    delivery = name or ids.new(ids.DELIVERY)
    _mark_delivered(connection, [row.work_id for row in chunks], delivery)
    return delivery


def _mark_delivered(connection: Connection, work_ids: Sequence[str], delivery: str) -> None:
    dialect = connection.dialect.name
    given = given_rows(dialect, work_id=Text)
    connection.execute(
        update(pipeline_chunks)
        .where(pipeline_chunks.c.work_id.in_(select(given.c.work_id)))
        .values(delivery_id=delivery, delivered_us=now_us(connection)),
        given_parameters(dialect, [(work_id,) for work_id in work_ids], 1),
    )


def _confirm(connection: Connection, pipeline: Pipeline, deliveries: Sequence[str]) -> None:
    chunks = pipeline_chunks.c
    query = select(chunks.work_id).where(
        chunks.pipeline_id == pipeline.id,
        chunks.delivered_us.is_not(None),
        chunks.erased_us.is_(None),
        chunks.delivery_id.in_(deliveries),
    )
    _erase(connection, list(connection.execute(query).scalars()))


def _erase_oldest(connection: Connection, pipeline: Pipeline, delivery: str) -> None:
    """Keep no more of earlier deliveries than the output buffer may hold."""
    chunks = pipeline_chunks.c
    kept = (
        chunks.pipeline_id == pipeline.id,
        chunks.delivered_us.is_not(None),
        chunks.erased_us.is_(None),
    )
    total = select(func.coalesce(func.sum(chunks.output_bytes), 0)).where(*kept)
    too_much = int(connection.execute(total).scalar_one()) - pipeline.output_buffer_bytes
    if too_much <= 0:
        return
    gone = []
    for row in _delivered(connection, pipeline, None):
        # What has just been taken is to be sent, whatever its size.
        if too_much <= 0 or row.delivery_id == delivery:
            break
        too_much -= row.output_bytes
        gone.append(row.work_id)
    _erase(connection, gone)


def _erase(connection: Connection, work_ids: Sequence[str]) -> int:
    if not work_ids:
        return 0
    dialect = connection.dialect.name
    given = given_rows(dialect, work_id=Text)
    parameters = given_parameters(dialect, [(work_id,) for work_id in work_ids], 1)
    chosen = select(given.c.work_id)
    connection.execute(
        delete(pipeline_outputs).where(pipeline_outputs.c.work_id.in_(chosen)), parameters
    )
    connection.execute(
        update(pipeline_chunks)
        .where(pipeline_chunks.c.work_id.in_(chosen))
        .values(erased_us=now_us(connection)),
        parameters,
    )
    return len(work_ids)


def _delivery_of(pipeline: Pipeline, origin: str) -> str:
    digest = hashlib.sha256(f"{pipeline.id}\n{origin}".encode()).hexdigest()
    return f"{ids.DELIVERY}_{digest[:26]}"


def _result(chunk_id: str, body: str) -> bytes:
    result = msgspec.json.decode(body, type=ChunkResult)
    count = result.records
    return msgspec.json.encode(
        {
            "id": chunk_id,
            "summary_output": _or(result.summary, _NO_SUMMARY),
            "outputs": result.outputs,
            "warnings": _or(result.warnings, _repeated(b"null", count)),
            "errors": _or(result.errors, _repeated(b"null", count)),
            "process_time": _or(result.process_time, _repeated(b"0", count)),
        }
    )


def _repeated(value: bytes, count: int) -> msgspec.Raw:
    return msgspec.Raw(b"[" + ((value + b",") * count)[:-1] + b"]")


def _or(raw: msgspec.Raw, otherwise: msgspec.Raw) -> msgspec.Raw:
    return otherwise if bytes(raw) == _NULL else raw

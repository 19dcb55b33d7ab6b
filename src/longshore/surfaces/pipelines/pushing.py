"""Pushing chunks: all of a push is taken, durably, or nothing of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, select

from longshore import ids, limits
from longshore.edge.body import decoded
from longshore.engine import works
from longshore.engine.works import NewWork
from longshore.errors import BufferFull, Conflict, InvalidRequest, TooLarge
from longshore.storage import mark, now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.pipelines import buffers, services, status
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import Pipeline
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipeline_inputs
from longshore.wire.pipelines import Aggregation, Push, PushedChunk, PushedData, Summary

PUSHED: Final = "chunks_pushed"
"""Mark of a transaction that takes chunks, for longshore.storage.faults."""
OPERATORS: Final = ("SUM", "AVG", "MIN", "MAX", "COUNT")
_CHUNK_COLUMNS: Final = (
    "work_id", "pipeline_id", "chunk_id", "digest", "records", "columnar", "input_bytes",
)  # fmt: skip
_MARGIN_S: Final = 60.0
"""What a chunk may take beside the time limits of its records."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that was read: how much is in it, and the bytes of its data as they came.

    Attributes:
        chunk_id: None where the server is to make one.
        digest: SHA-256 of the data, in hexadecimal.
        records: without the header row.
        columnar: whether the records are rows below a header row.
    """

    chunk_id: str | None
    digest: str
    records: int
    columnar: bool
    data: bytes


class _WithSummary(msgspec.Struct):
    summary: Summary | None


def read_chunks(body: bytes) -> list[Chunk]:
    """Return the chunks in the body of a push.

    Raises:
        InvalidRequest: it is not of the form of the protocol.
        TooLarge: there are too many chunks, or one is too large.
    """
    pushed = decoded(body, Push).chunks
    if len(pushed) > limits.CHUNKS_PER_PUSH:
        raise TooLarge(
            f"The push has {len(pushed)} chunks and may have {limits.CHUNKS_PER_PUSH}. Push them "
            "in several requests.",
            details={"limit": limits.CHUNKS_PER_PUSH},
        )
    return [_chunk(position, each) for position, each in enumerate(pushed)]


def read_data(data: bytes, where: str) -> Chunk:
    """Return a chunk without an id, read from its data.

    Raises:
        InvalidRequest, TooLarge: as `read_chunks`; the message begins with `where`.
    """
    if len(data) > limits.CHUNK_BYTES:
        raise TooLarge(
            f"{where} has {len(data)} bytes and may have {limits.CHUNK_BYTES}. Put fewer records "
            "into a chunk.",
            details={"limit_bytes": limits.CHUNK_BYTES, "size_bytes": len(data)},
        )
    try:
        form = decoded(data, PushedData)
    except InvalidRequest as error:
        raise type(error)(f"{where}: {error.message}") from error
    inputs = form.inputs
    columnar = bool(inputs) and bytes(inputs[0])[:1] == b"["
    if columnar:
        _check_header(inputs[0], where)
    records = len(inputs) - columnar
    if records > limits.CHUNK_RECORDS:
        raise TooLarge(
            f"{where} has {records} records and may have {limits.CHUNK_RECORDS}. Split it.",
            details={"limit": limits.CHUNK_RECORDS},
        )
    if form.summary is not None:
        _check_summary(data, where)
    return Chunk(None, hashlib.sha256(data).hexdigest(), records, columnar, data)


def push(
    connection: Connection,
    organisation_id: str,
    pipeline_id: str,
    chunks: Sequence[Chunk],
    *,
    actor: str,
    request_id: str | None = None,
) -> dict[str, Any]:
    """Take chunks into the input buffer; return the status of the pipeline after that.

    A chunk whose id is there already with the same data is accepted and not taken again.

    Raises:
        NotFound: there is no such pipeline.
        Conflict: it is closed or cancelled, or an id is there with other data.
        BufferFull: the push does not fit at present.
        TooLarge: the push is larger than the whole buffer.
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id, lock=True)
    new = _unknown(connection, pipeline, _named(pipeline, chunks, request_id))
    if new and pipeline.ending is not None:
        word = "cancelled" if pipeline.ending == "cancelled" else "closed"
        raise Conflict(
            f"Batch {pipeline.id} is {word} and takes no more chunks. Create another one."
        )
    changes: dict[str, Any] = {"active_us": now_us(connection)}
    if new:
        used_bytes = buffers.input_used_bytes(connection, pipeline.id)
        _check_room(pipeline, used_bytes, sum(len(each.data) for each in new))
        _insert(connection, pipeline, new, actor)
        mark(connection, PUSHED)
        largest = max(len(each.data) for each in new)
        changes["chunk_bytes_max"] = max(pipeline.chunk_bytes_max, largest)
    stored.change(connection, pipeline.id, **changes)
    return status.document(connection, stored.get(connection, organisation_id, pipeline_id))


def _insert(connection: Connection, pipeline: Pipeline, new: Sequence[Chunk], actor: str) -> None:
    version = services.get(connection, pipeline.organisation_id, pipeline.version_id)
    limit_s = version.details.timeout_s
    work_ids = [ids.new(ids.WORK) for _ in new]
    works.submit(
        connection,
        [
            NewWork(
                pipeline.queue_id,
                None,
                id=work_id,
                group_id=pipeline.id,
                timeout_s=time_limit_s(limit_s, each.records),
            )
            for work_id, each in zip(work_ids, new, strict=True)
        ],
        actor=actor,
    )
    insert_rows(
        connection,
        pipeline_chunks,
        _CHUNK_COLUMNS,
        [
            (
                work_id,
                pipeline.id,
                each.chunk_id,
                each.digest,
                each.records,
                each.columnar,
                len(each.data),
            )
            for work_id, each in zip(work_ids, new, strict=True)
        ],
        same={"created_us": now_us(connection)},
    )
    insert_rows(
        connection,
        pipeline_inputs,
        ("work_id", "body"),
        [(work_id, each.data.decode()) for work_id, each in zip(work_ids, new, strict=True)],
    )


def time_limit_s(record_s: float | None, records: int) -> float | None:
    """Return the time limit of a chunk whose records have one each: time for all to be retried."""
    if record_s is None:
        return None
    return min(record_s * max(records, 1) * limits.RECORD_ATTEMPTS + _MARGIN_S, limits.PAUSE_MAX_S)


def _chunk(position: int, pushed: PushedChunk) -> Chunk:
    where = f"Chunk {position + 1}"
    chunk_id = pushed.id
    if chunk_id is not None and not isinstance(chunk_id, str):
        raise InvalidRequest(f"{where}: its id is no text. Send text, or leave it out.")
    if chunk_id and len(chunk_id) > limits.CHUNK_ID_CHARACTERS:
        raise InvalidRequest(
            f"{where}: its id has {len(chunk_id)} characters and may have "
            f"{limits.CHUNK_ID_CHARACTERS}."
        )
    if chunk_id and not chunk_id.isprintable():
        raise InvalidRequest(f"{where}: its id holds a control character. Remove it.")
    return replace(read_data(bytes(pushed.data), where), chunk_id=chunk_id or None)


def _check_header(header: msgspec.Raw, where: str) -> None:
    try:
        names = msgspec.json.decode(header, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"{where}: inputs that are rows begin with a row of names, and this one's first row is "
            "no list of texts."
        ) from error
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidRequest(
            f"{where}: the header has {twice[:80]!r} twice. Name each column once."
        )


def _check_summary(data: bytes, where: str) -> None:
    try:
        summary = decoded(data, _WithSummary).summary
    except InvalidRequest as error:
        raise InvalidRequest(f"{where}: {error.message}") from error
    unknown: Sequence[Aggregation] = [] if summary is None else summary.aggregation
    for each in unknown:
        if each.operator.upper() not in OPERATORS:
            raise InvalidRequest(
                f"{where}: the aggregation of {each.output_name[:80]!r} has the operator "
                f"{each.operator[:80]!r}; give one of {', '.join(OPERATORS)}."
            )


def _named(pipeline: Pipeline, chunks: Sequence[Chunk], request_id: str | None) -> list[Chunk]:
    """Give ids to chunks without one: the same again when the same request comes again."""
    named = []
    for position, chunk in enumerate(chunks):
        if chunk.chunk_id is None:
            origin = f"{pipeline.id}\n{request_id or ids.new(ids.REQUEST)}\n{position}"
            made = hashlib.sha256(origin.encode()).hexdigest()[:32]
            named.append(replace(chunk, chunk_id=f"chunk-{made}"))
        else:
            named.append(chunk)
    return named


def _unknown(connection: Connection, pipeline: Pipeline, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks that are not there yet.

    Raises:
        Conflict: an id is there, or twice in this push, with other data.
    """
    dialect = connection.dialect.name
    given = given_rows(dialect, chunk_id=Text)
    # Not a join: SQLite would walk all chunks of the pipeline and the whole list at each of them.
    query = select(pipeline_chunks.c.chunk_id, pipeline_chunks.c.digest).where(
        pipeline_chunks.c.pipeline_id == pipeline.id,
        pipeline_chunks.c.chunk_id.in_(select(given.c.chunk_id)),
    )
    rows = [(each.chunk_id,) for each in chunks]
    known = {
        row.chunk_id: row.digest
        for row in connection.execute(query, given_parameters(dialect, rows, 1))
    }
    new = []
    for chunk in chunks:
        assert chunk.chunk_id is not None
        digest = known.get(chunk.chunk_id)
        if digest is None:
            known[chunk.chunk_id] = chunk.digest
            new.append(chunk)
        elif digest != chunk.digest:
            raise Conflict(
                f"Chunk {chunk.chunk_id[:80]!r} was pushed to batch {pipeline.id} before, with "
                "other data. Nothing of this push was taken; give the chunk another id.",
                details={"chunk_id": chunk.chunk_id},
            )
    return new


def _check_room(pipeline: Pipeline, used_bytes: int, pushed_bytes: int) -> None:
    room_bytes = max(pipeline.input_buffer_bytes - used_bytes, 0)
    if pushed_bytes <= room_bytes:
        return
    details = {
        "input_buffer_used_bytes": used_bytes,
        "input_buffer_remaining_bytes": room_bytes,
        "pushed_bytes": pushed_bytes,
    }
    if pushed_bytes > pipeline.input_buffer_bytes:
        raise TooLarge(
            f"The push has {pushed_bytes} bytes of data, more than the whole input buffer of "
            f"{pipeline.input_buffer_bytes}. Push fewer chunks at a time, or create the batch with "
            "a larger max_input_size.",
            details=details,
        )
    raise BufferFull(
        f"The input buffer of batch {pipeline.id} is full: {used_bytes} of "
        f"{pipeline.input_buffer_bytes} bytes wait to be computed, and the push has "
        f"{pushed_bytes}. Nothing of it was taken; pull what is ready and push again in a moment.",
        details={**details, "retry_after_s": 1},
    )

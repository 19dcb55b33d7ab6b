"""Looking through pipelines a page at a time: what a person sees of them, however large they are.

Nothing here reads more than a bounded number of rows: sums end at a number of chunks, lists go by
key, and what has to be looked for among chunks is looked for `WINDOW_CHUNKS` at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from longshore.clock import SECOND_US
from longshore.engine import queues, works
from longshore.engine.queues import Queue
from longshore.engine.tables import works as works_table
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines import services, status, versions
from longshore.surfaces.pipelines.pipelines import Pipeline, made_of
from longshore.surfaces.pipelines.status import Totals
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipeline_outputs, pipelines
from longshore.surfaces.pipelines.versions import Version
from longshore.wire.payloads import ChunkResult

WINDOW_CHUNKS: Final = 5_000
"""Chunks among which one page of a filtered list looks."""
SUMMED_CHUNKS: Final = 20_000
"""Chunks over which the figures of one pipeline are summed."""
OPENED_BYTES: Final = 1 << 20
"""A larger result is not opened for a list of failed records."""
RETRIES: Final = 100
STATES: Final = ("pending", "available", "delivered", "erased", "failed")
_POINTS: Final = 60
_NOW_S: Final = 60
_NULL: Final = b"null"
_ERROR: Final = (
    "error_category", "error_type", "source_path", "message", "additional_details",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Overview:
    """A pipeline in a list; with `more`, its sums are those of a part of its chunks."""

    pipeline: Pipeline
    word: str
    sums: Totals
    more: bool


@dataclass(frozen=True, slots=True)
class Rates:
    """Records computed over time.

    Attributes:
        times_s: beginnings of equal spans of `width_s` seconds, as seconds since 1970.
        records: records per second in each.
        failed: of them, those with errors.
        now: records per second within the last minute.
    """

    width_s: int
    times_s: list[int]
    records: list[float]
    failed: list[float]
    now: float


@dataclass(frozen=True, slots=True)
class Look:
    """One pipeline as it is now.

    Attributes:
        version: what computes it, or None where that was deleted.
        running: chunks that are computed now.
        workers: live workers that serve the version.
    """

    overview: Overview
    queue: Queue
    version: Version | None
    running: int
    workers: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk in a list; times in microseconds, sizes in bytes."""

    work_id: str
    chunk_id: str
    state: str
    records: int
    records_failed: int
    input_bytes: int
    output_bytes: int
    compute_ms: float
    attempts: int
    created_us: int
    finished_us: int | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Chunks:
    """A page of chunks by their ids; `after` is where the next one begins, or None at the end."""

    chunks: list[Chunk]
    after: str | None


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A record that has an error, by its place in its chunk, from 0."""

    work_id: str
    chunk_id: str
    index: int
    errors: list[dict[str, str]]
    """Each with error_category, error_type, source_path, message and additional_details."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A chunk whose last attempt failed and that is tried again; `error` as the worker told it."""

    work_id: str
    attempt: int
    attempts_max: int
    retry_us: int
    error: dict[str, Any]


def pipelines_page(
    connection: Connection, organisation_id: str, *, before: str | None, limit: int, most: int
) -> tuple[list[Overview], str | None]:
    """Return pipelines, the newest first, with sums over at most `most` chunks of each.

    `before` is where the page begins: what the one before gave beside its pipelines.
    """
    columns = pipelines.c
    query = select(*[columns[name] for name in Pipeline.__dataclass_fields__]).where(
        columns.organisation_id == organisation_id
    )
    if before is not None:
        at_us, pipeline_id = _place(before)
        earlier = and_(columns.created_us == at_us, columns.id < pipeline_id)
        query = query.where(columns.created_us <= at_us, or_(columns.created_us < at_us, earlier))
    newest = query.order_by(columns.created_us.desc(), columns.id.desc()).limit(limit + 1)
    found = [made_of(row) for row in connection.execute(newest).all()]
    shown = [_overview(connection, each, most) for each in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    return shown, None if last is None else f"{last.created_us}:{last.id}"


def look(connection: Connection, organisation_id: str, pipeline_id: str) -> Look:
    """Return one pipeline as it is now.

    Raises:
        NotFound: there is none with that id.
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id)
    running = select(func.count()).where(
        works_table.c.queue_id == pipeline.queue_id, works_table.c.state == "running"
    )
    known = [
        each
        for each in versions.versions(connection, organisation_id)
        if each.id == pipeline.version_id
    ]
    return Look(
        overview=_overview(connection, pipeline, SUMMED_CHUNKS),
        queue=queues.get(connection, pipeline.queue_id),
        version=known[0] if known else None,
        running=connection.execute(running).scalar_one(),
        workers=services.workers_of(connection, known[0]) if known else 0,
        rates=_rates(connection, pipeline),
    )


def chunks(
    connection: Connection,
    pipeline: Pipeline,
    *,
    state: str | None,
    after: str | None,
    limit: int,
) -> Chunks:
    """Return a page of the chunks of a pipeline, by their ids.

    Raises:
        InvalidRequest: `state` is none of STATES.
    """
    if state is not None and state not in STATES:
        raise InvalidRequest(f"{state[:80]!a} is no state. Known: {', '.join(STATES)}.")
    window = limit + 1 if state is None else WINDOW_CHUNKS
    rows = connection.execute(_window(pipeline, after, window)).all()
    found = [_chunk(row) for row in rows]
    matching = [each for each in found if state is None or _is(each, state)]
    if len(matching) > limit:
        return Chunks(matching[:limit], matching[limit - 1].chunk_id)
    return Chunks(matching, found[-1].chunk_id if len(found) == window else None)


def failed_records(
    connection: Connection, pipeline: Pipeline, *, after: str | None, most: int
) -> tuple[list[FailedRecord], str | None, int]:
    """Return records with errors, those of whole chunks, until there are `most` or more.

    Returns also after which chunk the next page begins, or None at the end, and how many chunks
    have failed records that are not there any more, or are too large to be opened for a list.
    """
    rows = connection.execute(_window(pipeline, after, WINDOW_CHUNKS)).all()
    found: list[FailedRecord] = []
    closed = 0
    for row in rows:
        if not row.records_failed:
            continue
        if row.erased_us is not None or row.output_bytes > OPENED_BYTES:
            closed += 1
            continue
        found += _opened(connection, row)
        if len(found) >= most:
            return found, row.chunk_id if row is not rows[-1] else None, closed
    return found, rows[-1].chunk_id if len(rows) == WINDOW_CHUNKS else None, closed


def retries(connection: Connection, pipeline: Pipeline) -> list[Retry]:
    """Return chunks whose last attempt failed and that are tried again, at most RETRIES of them."""
    columns = works_table.c
    rows = connection.execute(
        select(columns.id, columns.attempt, columns.attempts_max, columns.retry_us)
        .where(
            columns.group_id == pipeline.id,
            columns.state == "failure",
            columns.retry_us.is_not(None),
        )
        .limit(RETRIES)
    ).all()
    told = works.outputs(connection, [row.id for row in rows])
    found = []
    for row in rows:
        error = told[row.id].error if row.id in told else None
        detail = msgspec.json.decode(error) if error is not None else {}
        found.append(Retry(*row, error=detail if isinstance(detail, dict) else {}))
    return sorted(found, key=lambda each: (each.retry_us, each.work_id))


def retry_now(connection: Connection, organisation_id: str, pipeline_id: str, *, actor: str) -> int:
    """Queue the chunks that wait for their next attempt, at most RETRIES; return how many.

    Raises:
        NotFound: there is no such pipeline.
    """
    pipeline = stored.get(connection, organisation_id, pipeline_id, lock=True)
    waiting = [each.work_id for each in retries(connection, pipeline)]
    return works.retry_given(connection, waiting, actor=actor) if waiting else 0


def _overview(connection: Connection, pipeline: Pipeline, most: int) -> Overview:
    sums = status.totals(connection, pipeline, most=most)
    return Overview(pipeline, status.batch_status(pipeline, sums), sums, more=sums.chunks == most)


def _rates(connection: Connection, pipeline: Pipeline) -> Rates:
    """Return the rates over the life of a pipeline, in at most _POINTS spans."""
    at_us = now_us(connection)
    begin_s = pipeline.created_us // SECOND_US
    until_s = (pipeline.completed_us or at_us) // SECOND_US
    width_s = max(1, -(-(until_s - begin_s + 1) // _POINTS))
    some = _some(pipeline)
    span = ((some.c.finished_us - begin_s * SECOND_US) // (width_s * SECOND_US)).label("span")
    rows = connection.execute(
        select(span, func.sum(some.c.records), func.sum(some.c.records_failed))
        .where(some.c.finished_us.is_not(None))
        .group_by(span)
    )
    sums = {int(place): (records, failed) for place, records, failed in rows}
    count = min((until_s - begin_s) // width_s + 1, _POINTS)
    recent = select(func.coalesce(func.sum(some.c.records), 0)).where(
        some.c.finished_us > at_us - _NOW_S * SECOND_US
    )
    return Rates(
        width_s,
        [begin_s + place * width_s for place in range(count)],
        [float(sums.get(place, (0, 0))[0]) / width_s for place in range(count)],
        [float(sums.get(place, (0, 0))[1]) / width_s for place in range(count)],
        float(connection.execute(recent).scalar_one()) / _NOW_S,
    )


def _some(pipeline: Pipeline) -> Any:
    columns = pipeline_chunks.c
    return (
        select(columns.finished_us, columns.records, columns.records_failed)
        .where(columns.pipeline_id == pipeline.id)
        .limit(SUMMED_CHUNKS)
        .subquery()
    )


def _window(pipeline: Pipeline, after: str | None, count: int) -> Select[Any]:
    columns = pipeline_chunks.c
    query = select(pipeline_chunks).where(columns.pipeline_id == pipeline.id)
    if after is not None:
        beyond: ColumnElement[bool] = columns.chunk_id > after
        query = query.where(beyond)
    return query.order_by(columns.chunk_id).limit(count)


def _chunk(row: Row[Any]) -> Chunk:
    if row.erased_us is not None:
        state = "erased"
    elif row.delivered_us is not None:
        state = "delivered"
    else:
        state = "pending" if row.finished_us is None else "available"
    names = (name for name in Chunk.__dataclass_fields__ if name != "state")
    return Chunk(state=state, **{name: getattr(row, name) for name in names})


def _is(chunk: Chunk, state: str) -> bool:
    return chunk.records_failed > 0 if state == "failed" else chunk.state == state


def _opened(connection: Connection, row: Row[Any]) -> Iterator[FailedRecord]:
    """Give the failed records of a chunk that has some."""
    body = connection.execute(
        select(pipeline_outputs.c.body).where(pipeline_outputs.c.work_id == row.work_id)
    ).scalar()
    if body is None:
        return
    errors = bytes(msgspec.json.decode(body, type=ChunkResult).errors)
    listed: Sequence[Any] = [] if errors == _NULL else msgspec.json.decode(errors)
    for index, each in enumerate(listed):
        if each:
            told = [_told(error) for error in (each if isinstance(each, list) else [each])]
            yield FailedRecord(row.work_id, row.chunk_id, index, told)


def _told(error: Any) -> dict[str, str]:
    """Return an error as texts; what a worker says of one is its own."""
    about = error if isinstance(error, dict) else {"message": error}
    return {name: str(about.get(name) or "") for name in _ERROR}


def _place(text: str) -> tuple[int, str]:
    at_us, colon, pipeline_id = text.partition(":")
    if not colon or not at_us.isdecimal() or len(at_us) > 18:
        raise InvalidRequest(
            f"before is {text[:80]!a}, which is no place in this list. Begin with its first page."
        )
    return int(at_us), pipeline_id

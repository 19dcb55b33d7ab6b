"""What clients are told of a pipeline: all figures are computed from the rows of its chunks.

One of them is not only computed. The protocol's own example leaves its loop as soon as all
records are completed, before it has pulled the last of them, unless a status has told it in the
round before that there is something to pull. So a record counts as completed only once somebody
who may pull was told, by an answer about the status or of a pull, that it can be pulled
(`records_told`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Select, and_, bindparam, case, cast, func, select

from longshore import __version__, limits
from longshore.access import Permission, Principal
from longshore.clock import iso, to_us
from longshore.engine.tables import works
from longshore.storage import now_us
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import Pipeline, made_of
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipelines

COMPILER: Final = f"Longshore_v{__version__}"
LISTED: Final = 200
"""Most pipelines in progress, and most recent ones, that a description names."""
DEFAULT_WORKERS: Final = 100
"""What a pipeline without a limit says of its max_workers (protocol: defaults to 100)."""
_ENDINGS: Final = {
    "closed": ("closed", "completed"),
    "timeout": ("closed_by_timeout", "completed_by_timeout"),
}


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the chunks of a pipeline; sizes in bytes."""

    chunks: int
    records: int
    input_bytes: int
    chunks_finished: int
    records_finished: int
    records_failed: int
    chunks_failed: int
    chunks_retried: int
    records_retried: int
    output_bytes: int
    compute_ms: float
    finished_us: int | None
    """When the last of those that are finished was."""
    chunks_pending: int
    input_used_bytes: int
    chunks_available: int
    records_available: int
    output_used_bytes: int


def totals(connection: Connection, pipeline: Pipeline, *, most: int | None = None) -> Totals:
    """Return the sums over the chunks of a pipeline, or over `most` of them."""
    row = connection.execute(_totals(most), {"of_pipeline": pipeline.id}).one()
    return Totals(*row)


@cache
def _totals(most: int | None) -> Select[Any]:
    of_it = pipeline_chunks.c.pipeline_id == bindparam("of_pipeline")
    some = None if most is None else select(pipeline_chunks).where(of_it).limit(most).subquery()
    chunks = pipeline_chunks.c if some is None else some.c
    finished = chunks.finished_us.is_not(None)
    pending = and_(chunks.finished_us.is_(None), chunks.erased_us.is_(None))
    available = and_(finished, chunks.delivered_us.is_(None), chunks.erased_us.is_(None))
    retried = chunks.attempts > 1

    def total(value: Any, condition: Any = None) -> Any:
        counted = value if condition is None else case((condition, value), else_=0)
        return cast(func.coalesce(func.sum(counted), 0), BigInteger)

    sums = select(
        func.count(),
        total(chunks.records),
        total(chunks.input_bytes),
        total(1, finished),
        total(chunks.records, finished),
        total(chunks.records_failed),
        total(1, chunks.failed),
        total(1, retried),
        total(chunks.records, retried),
        total(chunks.output_bytes),
        func.coalesce(func.sum(chunks.compute_ms), 0.0),
        func.max(chunks.finished_us),
        total(1, pending),
        total(chunks.input_bytes, pending),
        total(1, available),
        total(chunks.records, available),
        total(chunks.output_bytes, available),
    )
    return sums.where(of_it) if some is None else sums.select_from(some)


def document(connection: Connection, pipeline: Pipeline) -> dict[str, Any]:
    """Return the status of a pipeline, without telling of anything new."""
    return _status(connection, pipeline, totals(connection, pipeline))


def untold(connection: Connection, pipeline: Pipeline) -> bool:
    """Whether records were computed that nobody has been told of."""
    return totals(connection, pipeline).records_finished > pipeline.records_told


def told(connection: Connection, pipeline: Pipeline) -> dict[str, Any]:
    """Return the status of a pipeline, and note that it tells of all that was computed."""
    sums = totals(connection, pipeline)
    answer = _status(connection, pipeline, sums)
    stored.change(
        connection, pipeline.id, active_us=now_us(connection), records_told=sums.records_finished
    )
    return answer


def batch_status(pipeline: Pipeline, sums: Totals) -> str:
    """Return where a pipeline stands, in a word of the protocol.

    Its share of errors is judged whenever nothing is left to compute, and for good once it takes
    no more chunks: before that, more good records can make good for the bad ones.
    """
    if pipeline.ending == "cancelled":
        return "cancelled"
    over = sums.chunks > 0 and sums.chunks_pending == 0
    if over and _passes(pipeline, sums):
        return "failed"
    if pipeline.ending is not None:
        return _ENDINGS[pipeline.ending][over]
    return "in_progress" if sums.chunks else "created"


def _passes(pipeline: Pipeline, sums: Totals) -> bool:
    acceptable = pipeline.options.acceptable_error_percentage
    return sums.records_failed * 100 > acceptable * sums.records


def _pipeline_status(pipeline: Pipeline) -> str:
    return "idle" if pipeline.ending is None else "closed"


def _status(connection: Connection, pipeline: Pipeline, sums: Totals) -> dict[str, Any]:
    at = iso(now_us(connection))
    return {
        "response_timestamp": at,
        "request_timestamp": at,
        "batch_status": batch_status(pipeline, sums),
        "pipeline_status": _pipeline_status(pipeline),
        "chunks_available": sums.chunks_available,
        "chunks_submitted": sums.chunks,
        "record_submitted": sums.records,
        "chunks_completed": sums.chunks_finished,
        "records_completed": min(sums.records_finished, pipeline.records_told),
        "compute_time_ms": round(sums.compute_ms),
        **_buffers(
            sums.input_used_bytes,
            pipeline.input_buffer_bytes,
            sums.output_used_bytes,
            pipeline.output_buffer_bytes,
        ),
        "workers_in_use": _running(connection, pipeline),
        "records_available": sums.records_available,
    }


def _buffers(
    input_used: int, input_allocated: int, output_used: int, output_allocated: int
) -> dict[str, int]:
    return {
        "input_buffer_used_bytes": input_used,
        "input_buffer_remaining_bytes": max(input_allocated - input_used, 0),
        "output_buffer_used_bytes": output_used,
        "output_buffer_remaining_bytes": max(output_allocated - output_used, 0),
    }


def _running(connection: Connection, *of: Pipeline) -> int:
    query = (
        select(func.count())
        .select_from(works)
        .where(works.c.queue_id.in_([each.queue_id for each in of]), works.c.state == "running")
    )
    return int(connection.execute(query).scalar_one())


def envelope(
    connection: Connection, pipeline: Pipeline, *, word: str | None = None
) -> dict[str, Any]:
    """Return what answers to the making and the ending of a pipeline have.

    `word` is what the request has just made of it; else it is computed.
    """
    if word is None:
        word = batch_status(pipeline, totals(connection, pipeline))
    return {"object": "batch", "id": pipeline.id, "data": _facts(connection, pipeline, word)}


def information(connection: Connection, pipeline: Pipeline) -> dict[str, Any]:
    """Return all that is known of a pipeline."""
    sums = totals(connection, pipeline)
    options = pipeline.options
    data = _facts(connection, pipeline, batch_status(pipeline, sums))
    data["summary"] = {
        "chunks_submitted": sums.chunks,
        "chunks_retried": sums.chunks_retried,
        "chunks_completed": sums.chunks_finished,
        "chunks_failed": sums.chunks_failed,
        "records_retried": sums.records_retried,
        "input_size_bytes": sums.input_bytes,
        "output_size_bytes": sums.output_bytes,
        "avg_compute_time_ms": _average(sums.compute_ms, sums.records_finished),
        **_summary(connection, pipeline, sums),
    }
    data["configuration"] = {
        "initial_workers": options.initial_workers,
        "chunks_per_request": options.chunks_per_request,
        "runner_thread_count": options.runner_thread_count,
        "acceptable_error_percentage": _plain(options.acceptable_error_percentage),
        "input_buffer_allocated_bytes": pipeline.input_buffer_bytes,
        "output_buffer_allocated_bytes": pipeline.output_buffer_bytes,
        "max_workers": options.max_workers or DEFAULT_WORKERS,
    }
    return {"object": "batch", "id": pipeline.id, "data": data}


def describe(connection: Connection, principal: Principal) -> dict[str, Any]:
    """Return the pipelines in progress and those that ended within the last hour, newest first.

    A key sees those that it has made; one that may administer sees all of its organisation.
    """
    since_us = now_us(connection) - to_us(limits.PIPELINE_RECENT_S)
    query = (
        select(*[pipelines.c[name] for name in Pipeline.__dataclass_fields__])
        .where(pipelines.c.organisation_id == principal.organisation_id)
        .order_by(pipelines.c.created_us.desc(), pipelines.c.id.desc())
        .limit(LISTED)
    )
    if not principal.allows(Permission.ADMIN):
        query = query.where(pipelines.c.created_by == principal.key_id)
    going = query.where(pipelines.c.completed_us.is_(None))
    recent = query.where(pipelines.c.completed_us >= since_us)
    open_ones = [made_of(row) for row in connection.execute(going)]
    sums = {each.id: totals(connection, each) for each in open_ones}
    input_allocated = sum(each.input_buffer_bytes for each in open_ones)
    output_allocated = sum(each.output_buffer_bytes for each in open_ones)
    return {
        "in_progress_batches": [_entry(connection, each, sums[each.id]) for each in open_ones],
        "recent_batches": [
            _entry(connection, each, totals(connection, each))
            for each in (made_of(row) for row in connection.execute(recent))
        ],
        "tenant": {
            "configuration": {
                "input_buffer_allocated_bytes": input_allocated,
                "output_buffer_allocated_bytes": output_allocated,
                "max_workers": max(
                    (each.options.max_workers or DEFAULT_WORKERS for each in open_ones),
                    default=DEFAULT_WORKERS,
                ),
            },
            "status": {
                **_buffers(
                    sum(each.input_used_bytes for each in sums.values()),
                    input_allocated,
                    sum(each.output_used_bytes for each in sums.values()),
                    output_allocated,
                ),
                "workers_in_use": _running(connection, *open_ones),
            },
        },
        "environment": {"update": now_us(connection) // 1_000_000},
    }


def _entry(connection: Connection, pipeline: Pipeline, sums: Totals) -> dict[str, Any]:
    data = {
        "pipeline_status": _pipeline_status(pipeline),
        "summary": _summary(connection, pipeline, sums),
        **_times(connection, pipeline, batch_status(pipeline, sums)),
    }
    return {"object": "batch", "id": pipeline.id, "data": data}


def _summary(connection: Connection, pipeline: Pipeline, sums: Totals) -> Mapping[str, Any]:
    until_us = pipeline.completed_us or now_us(connection)
    return {
        "records_submitted": sums.records,
        "records_failed": sums.records_failed,
        "records_completed": sums.records_finished,
        "compute_time_ms": round(sums.compute_ms),
        "batch_time_ms": (until_us - pipeline.created_us) // 1_000,
    }


def _facts(connection: Connection, pipeline: Pipeline, word: str) -> dict[str, Any]:
    options = pipeline.options
    key = options.unique_record_key
    return {
        "service_id": pipeline.service_id,
        "version_id": pipeline.version_id,
        "compiler_version": COMPILER,
        "correlation_id": options.correlation_id,
        "source_system": options.source_system,
        "call_purpose": options.call_purpose,
        "unique_record_key": None if key is None else ",".join(key),
        **_times(connection, pipeline, word),
    }


def _times(connection: Connection, pipeline: Pipeline, word: str) -> dict[str, Any]:
    return {
        "response_timestamp": iso(now_us(connection)),
        "batch_status": word,
        "created_by": pipeline.created_by,
        "created_timestamp": iso(pipeline.created_us),
        "updated_timestamp": iso(pipeline.updated_us),
        "service_uri": pipeline.service_uri,
    }


def _average(total: float, count: int) -> float:
    return round(total / count, 3) if count else 0.0


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number

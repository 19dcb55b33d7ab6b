"""Chunks between the engine and the workers: handed out, recorded once, given up for good."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, Text, delete, func, select

from longshore import limits
from longshore.engine import notices, queues, works
from longshore.engine.notices import Notice
from longshore.engine.states import State
from longshore.engine.works import Ending, Lease, Outcome
from longshore.errors import InvalidRequest
from longshore.storage import mark, notify, now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows, update_rows
from longshore.surfaces.pipelines import buffers, ending, versions, workbooks
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import SURFACE, Pipeline, made_of
from longshore.surfaces.pipelines.tables import (
    pipeline_chunks,
    pipeline_inputs,
    pipeline_outputs,
    pipeline_versions,
    pipelines,
)
from longshore.surfaces.pipelines.versions import Version
from longshore.wire.payloads import ChunkPayload, ChunkResult

RECORDED: Final = "chunks_recorded"
"""Mark of a transaction that records outputs, for longshore.storage.faults."""
FOLLOWED: Final = 500
"""Notices that are followed in one transaction."""
_OUTCOME_COLUMNS: Final = (
    "finished_us", "records_failed", "output_bytes", "compute_ms", "attempts", "failed",
)  # fmt: skip
_NO_DATA: Final = msgspec.Raw(b'"*"')
_PLACE: Final = b'"data":"*"'


def served(connection: Connection, queue_ids: Sequence[int]) -> list[int]:
    """Return the queues of these versions, and those of their pipelines in which chunks wait."""
    return [*queue_ids, *queues.children(connection, queue_ids)]


def claim(
    connection: Connection, queue_ids: Sequence[int], *, limit: int, holder: str, lease_s: float
) -> list[tuple[Lease, bytes]]:
    """Lease chunks of these versions; return them with their payloads (wire.payloads.ChunkPayload).

    Several pipelines get their share each, so that a large one does not keep a small one waiting.
    """
    take = partial(works.claim, connection, holder=holder, lease_s=lease_s, with_payloads=False)
    # Executions first: somebody waits for each of them.
    leases = take(queue_ids, limit=limit)
    waiting = queues.children(connection, queue_ids)
    if not waiting or len(leases) == limit:
        return _with_payloads(connection, leases)
    limit = min(limit, len(leases) + _most(connection, waiting))
    random.shuffle(waiting)
    for place, queue_id in enumerate(waiting):
        share = -(-(limit - len(leases)) // (len(waiting) - place))
        if share > 0:
            leases += take([queue_id], limit=share)
    if 0 < len(leases) < limit and len(waiting) > 1:
        leases += take(waiting, limit=limit - len(leases))
    return _with_payloads(connection, leases)


def record(connection: Connection, _organisation_id: str, endings: Sequence[Ending]) -> None:
    """Keep the outputs of chunks that our own worker has just reported, each once.

    The engine has accepted these endings in this transaction. A chunk that has outputs already
    (an operator has let it run again) keeps the ones that somebody may have pulled.
    """
    made = {
        each.work_id: (each.attempt, each.result, False)
        for each in endings
        if each.outcome is Outcome.SUCCESS and each.result is not None
    }
    if made:
        _keep(connection, made)


def given_up(connection: Connection) -> bool:
    """Whether there are notices to follow."""
    return notices.waiting(connection, surface=SURFACE)


def follow(connection: Connection, limit: int = FOLLOWED) -> int:
    """Give chunks whose attempts ran out their result: an error for each of their records.

    Returns how many notices were followed.
    """
    found = notices.read(connection, surface=SURFACE, limit=limit)
    if not found:
        return 0
    over = {each.work_id: each for each in found if each.final and each.state is not State.SUCCESS}
    if over:
        _keep(connection, _failures(connection, over))
    notices.erase(connection, [each.seq for each in found])
    return len(found)


def _keep(connection: Connection, made: Mapping[str, tuple[int, bytes, bool]]) -> None:
    """Store (attempt, result, whether the whole chunk failed) of chunks that have none yet."""
    owners = {row.pipeline_id for row in _chunks(connection, made) if row.pipeline_id is not None}
    # Locked first, and read after that, so that nobody cancels or pulls in between.
    known = stored.lock_many(connection, owners)
    rows = [
        row
        for row in _chunks(connection, made)
        if row.finished_us is None and row.erased_us is None
    ]
    if not rows:
        return
    at_us = now_us(connection)
    outcomes: list[tuple[Any, ...]] = []
    bodies: list[tuple[str, str]] = []
    for row in rows:
        attempt, body, failed = made[row.work_id]
        result = msgspec.json.decode(body, type=ChunkResult)
        if result.records != row.records:
            raise InvalidRequest(
                f"The result of {row.work_id} is for {result.records} records, and the chunk has "
                f"{row.records}."
            )
        outcomes.append(
            (row.work_id, at_us, result.failed, len(body), result.compute_ms, attempt, failed)
        )
        bodies.append((row.work_id, body.decode()))
    update_rows(connection, pipeline_chunks, "work_id", _OUTCOME_COLUMNS, outcomes)
    insert_rows(connection, pipeline_outputs, ("work_id", "body"), bodies)
    _erase_inputs(connection, [row.work_id for row in rows])
    mark(connection, RECORDED)
    for row in rows:
        if row.pipeline_id is None:
            notify(connection, f"pipelines:{row.work_id}")
    for pipeline_id in sorted({row.pipeline_id for row in rows if row.pipeline_id is not None}):
        _follow_up(connection, known[pipeline_id])


def _follow_up(connection: Connection, pipeline: Pipeline) -> None:
    """Do what follows from new outputs: full buffers, the ramp, the end, and who waits for them."""
    buffers.balance(connection, pipeline)
    options = pipeline.options
    if options.initial_workers is not None:
        # The first chunk is computed: from now on as many as the pipeline may have.
        queue = queues.get(connection, pipeline.queue_id)
        if queue.concurrency_max != options.max_workers:
            queues.configure(connection, queue.id, concurrency_max=options.max_workers)
    if pipeline.ending is not None and pipeline.completed_us is None:
        ending.complete(connection, pipeline)
    notify(connection, f"pipelines:{pipeline.id}")


def _failures(
    connection: Connection, over: Mapping[str, Notice]
) -> dict[str, tuple[int, bytes, bool]]:
    told = works.outputs(connection, list(over))
    failures = {}
    for row in _chunks(connection, over):
        notice = over[row.work_id]
        error = told[row.work_id].error if row.work_id in told else None
        failures[row.work_id] = (notice.attempt, _failed(row, notice, error), True)
    return failures


def _failed(row: Any, notice: Notice, error: bytes | None) -> bytes:
    """Return the result of a chunk that was given up: the same error at each record."""
    detail = msgspec.json.decode(error) if error is not None else {}
    cause = detail.get("message") if isinstance(detail, dict) else None
    if notice.state is State.CANCELLED:
        message = "The chunk was cancelled before it was computed."
    else:
        message = (
            f"The chunk was given up after {notice.attempt} attempts: {cause or notice.reason}"
        )
    each = [
        {
            "error_category": "Processing",
            "error_type": str(detail.get("type") or notice.reason),
            "additional_details": str(detail.get("traceback") or ""),
            "source_path": "",
            "message": message[: limits.ERROR_CHARACTERS],
        }
    ]
    errors = msgspec.json.encode(each)
    outputs: list[Any] = [[]] if row.columnar else []
    result = ChunkResult(
        records=row.records,
        failed=row.records,
        outputs=msgspec.Raw(msgspec.json.encode([*outputs, *[None] * row.records])),
        errors=msgspec.Raw(b"[" + b",".join([errors] * row.records) + b"]"),
    )
    return msgspec.json.encode(result)


@cache
def _chunk_query(dialect: str) -> Select[Any]:
    given = given_rows(dialect, work_id=Text)
    chunks = pipeline_chunks.c
    return select(
        chunks.work_id,
        chunks.pipeline_id,
        chunks.records,
        chunks.columnar,
        chunks.finished_us,
        chunks.erased_us,
    ).join(given, given.c.work_id == chunks.work_id)


def _chunks(connection: Connection, work_ids: Mapping[str, Any] | Sequence[str]) -> Sequence[Any]:
    dialect = connection.dialect.name
    rows = [(work_id,) for work_id in work_ids]
    return connection.execute(_chunk_query(dialect), given_parameters(dialect, rows, 1)).all()


def _erase_inputs(connection: Connection, work_ids: Sequence[str]) -> None:
    dialect = connection.dialect.name
    given = given_rows(dialect, work_id=Text)
    connection.execute(
        delete(pipeline_inputs).where(pipeline_inputs.c.work_id.in_(select(given.c.work_id))),
        given_parameters(dialect, [(work_id,) for work_id in work_ids], 1),
    )


def _most(connection: Connection, queue_ids: Sequence[int]) -> int:
    """Return how many chunks fit into one claim, however large each is."""
    query = select(func.max(pipelines.c.chunk_bytes_max)).where(pipelines.c.queue_id.in_(queue_ids))
    largest = connection.execute(query).scalar() or 1
    return max(limits.CLAIM_BYTES // max(largest, 1), 1)


def _with_payloads(connection: Connection, leases: Sequence[Lease]) -> list[tuple[Lease, bytes]]:
    if not leases:
        return []
    work_ids = [lease.id for lease in leases]
    known = {row.work_id: row for row in _chunks(connection, work_ids)}
    dialect = connection.dialect.name
    given = given_rows(dialect, work_id=Text)
    bodies = connection.execute(
        select(pipeline_inputs.c.work_id, pipeline_inputs.c.body).join(
            given, given.c.work_id == pipeline_inputs.c.work_id
        ),
        given_parameters(dialect, [(work_id,) for work_id in work_ids], 1),
    )
    data = {work_id: body.encode() for work_id, body in bodies.all()}
    heads = {
        queue_id: _head(connection, queue_id) for queue_id in {lease.queue_id for lease in leases}
    }
    answer = []
    for lease in leases:
        chunk = known[lease.id]
        head = msgspec.structs.replace(
            heads[lease.queue_id], records=chunk.records, columnar=chunk.columnar
        )
        # A chunk that an operator has let run again has no inputs any more.
        body = data.get(lease.id, b'{"inputs":[],"parameters":null,"summary":null}')
        payload = msgspec.json.encode(head).replace(_PLACE, b'"data":' + body, 1)
        answer.append((lease, payload))
    return answer


def _head(connection: Connection, queue_id: int) -> ChunkPayload:
    """Return the payload of the chunks of a queue, without what differs between them."""
    row = connection.execute(
        select(*[pipelines.c[name] for name in Pipeline.__dataclass_fields__]).where(
            pipelines.c.queue_id == queue_id
        )
    ).one_or_none()
    if row is not None:
        pipeline = made_of(row)
        version = versions.get(connection, pipeline.organisation_id, pipeline.version_id)
        options = pipeline.options
        return _payload(version, options.outputs, options.unique_record_key)
    owner = connection.execute(
        select(pipeline_versions.c.id, pipeline_versions.c.organisation_id).where(
            pipeline_versions.c.queue_id == queue_id
        )
    ).one()
    version = versions.get(connection, owner.organisation_id, owner.id)
    return _payload(version, None, None)


def _payload(
    version: Version, outputs: list[str] | None, unique_record_key: list[str] | None
) -> ChunkPayload:
    return ChunkPayload(
        service=version.service,
        version=version.version,
        version_id=version.id,
        kind=version.kind,
        workbook=workbooks.file_of(version),
        outputs=outputs,
        unique_record_key=unique_record_key,
        timeout_s=version.details.timeout_s,
        records=0,
        columnar=False,
        data=_NO_DATA,
    )

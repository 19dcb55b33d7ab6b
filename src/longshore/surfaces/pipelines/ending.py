"""How pipelines end: closed by their client or after half an hour of silence, cancelled, deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from longshore import limits
from longshore.access import Principal
from longshore.clock import to_us
from longshore.edge.jobs import JobContext, system_queue
from longshore.engine import queues, works
from longshore.engine.tables import works as works_table
from longshore.engine.works import NewWork
from longshore.errors import Conflict, InvalidRequest
from longshore.storage import mark, notify, now_us
from longshore.surfaces.pipelines import buffers
from longshore.surfaces.pipelines import pipelines as stored
from longshore.surfaces.pipelines.pipelines import Pipeline, made_of
from longshore.surfaces.pipelines.tables import (
    pipeline_chunks,
    pipeline_inputs,
    pipeline_outputs,
    pipelines,
)

JOB: Final = "pipelines.delete"
CANCELLED: Final = "pipeline_cancelled"
"""Mark of a transaction that cancels a pipeline, for longshore.storage.faults."""
DELETED: Final = "pipeline_deleted"
"""Mark of a transaction that deletes chunks, for longshore.storage.faults."""
ACTOR: Final = "pipelines"
STEP_CHUNKS: Final = 500
"""Chunks that one transaction deletes."""
PASS_PIPELINES: Final = 100
"""Pipelines that one pass looks at; what is left waits for the next."""


def end(
    connection: Connection, organisation_id: str, pipeline_id: str, wish: Any, *, actor: str
) -> Pipeline:
    """Close or cancel a pipeline; doing so again changes nothing.

    Raises:
        NotFound: there is no such pipeline.
        InvalidRequest: `wish` is neither `closed` nor `cancelled`.
        Conflict: it is to be closed and was cancelled.
    """
    if wish not in ("closed", "cancelled"):
        raise InvalidRequest(
            f"`batch_status` is {str(wish)[:80]!r}; send closed to end the batch after what was "
            "pushed, or cancelled to drop everything."
        )
    pipeline = stored.get(connection, organisation_id, pipeline_id, lock=True)
    if wish == "cancelled":
        cancel(connection, pipeline, actor=actor)
    elif pipeline.ending == "cancelled":
        raise Conflict(f"Batch {pipeline_id} was cancelled, so it cannot be closed any more.")
    elif pipeline.ending is None:
        close(connection, pipeline, "closed")
    return stored.get(connection, organisation_id, pipeline_id)


def close(connection: Connection, pipeline: Pipeline, ending: str) -> None:
    """Let the pipeline take no more chunks; what was pushed is computed and can be pulled."""
    at_us = now_us(connection)
    stored.change(connection, pipeline.id, ending=ending, ended_us=at_us, active_us=at_us)
    complete(connection, pipeline)


def complete(connection: Connection, pipeline: Pipeline) -> bool:
    """Note that a pipeline which takes no more chunks has computed all of them, if that is so."""
    if buffers.pending(connection, pipeline.id):
        return False
    stored.change(connection, pipeline.id, completed_us=now_us(connection))
    queues.leave_parent(connection, pipeline.queue_id)
    return True


def cancel(connection: Connection, pipeline: Pipeline, *, actor: str) -> None:
    """Stop a pipeline and drop what is in its buffers; nothing of it can be pulled after that."""
    if pipeline.ending == "cancelled":
        return
    at_us = now_us(connection)
    works.cancel_group(connection, pipeline.id, actor=actor, why="the batch was cancelled")
    of_it = select(pipeline_chunks.c.work_id).where(
        pipeline_chunks.c.pipeline_id == pipeline.id, pipeline_chunks.c.erased_us.is_(None)
    )
    for bodies in (pipeline_inputs, pipeline_outputs):
        connection.execute(delete(bodies).where(bodies.c.work_id.in_(of_it)))
    connection.execute(
        update(pipeline_chunks)
        .where(pipeline_chunks.c.pipeline_id == pipeline.id, pipeline_chunks.c.erased_us.is_(None))
        .values(erased_us=at_us)
    )
    stored.change(
        connection,
        pipeline.id,
        ending="cancelled",
        ended_us=pipeline.ended_us or at_us,
        completed_us=at_us,
    )
    queues.leave_parent(connection, pipeline.queue_id)
    notify(connection, f"pipelines:{pipeline.id}")
    mark(connection, CANCELLED)


def delete_soon(connection: Connection, principal: Principal, pipeline_id: str) -> dict[str, Any]:
    """Cancel a pipeline and queue the job that deletes it; return {"id": of the job}.

    Raises:
        NotFound: there is no such pipeline.
    """
    pipeline = stored.get(connection, principal.organisation_id, pipeline_id, lock=True)
    cancel(connection, pipeline, actor=principal.key_id)
    payload = {"job": JOB, "pipeline": pipeline_id}
    new = NewWork(system_queue(connection, principal.organisation_id), json.dumps(payload).encode())
    return {"id": works.submit(connection, [new], actor=principal.key_name)[0].id}


async def delete_all(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete a pipeline, some chunks at a time; the counts are those of this run of the job."""
    counts: dict[str, int] = {"rows": 0, "chunks": 0}
    while True:
        done = await context.database.write(delete_some, str(payload["pipeline"]))
        counts["rows"] += done["rows"]
        counts["chunks"] += done["chunks"]
        if not done["rows"]:
            return counts


def delete_some(connection: Connection, pipeline_id: str) -> dict[str, int]:
    """Delete some chunks of a pipeline, and the pipeline with the last of them; nothing is 0 rows."""
    pipeline = stored.lock_many(connection, {pipeline_id}).get(pipeline_id)
    if pipeline is None:
        return {"rows": 0, "chunks": 0}
    mark(connection, DELETED)
    query = (
        select(pipeline_chunks.c.work_id)
        .where(pipeline_chunks.c.pipeline_id == pipeline_id)
        .order_by(pipeline_chunks.c.work_id)
        .limit(STEP_CHUNKS)
    )
    work_ids = list(connection.execute(query).scalars())
    if not work_ids:
        connection.execute(delete(pipelines).where(pipelines.c.id == pipeline_id))
        queues.remove(connection, pipeline.queue_id)
        return {"rows": 2, "chunks": 0}
    rows = sum(
        works.discard(connection, work_ids, actor=ACTOR, why="the batch is deleted").values()
    )
    for table in (pipeline_inputs, pipeline_outputs, pipeline_chunks):
        rows += connection.execute(delete(table).where(table.c.work_id.in_(work_ids))).rowcount
    return {"rows": rows, "chunks": len(work_ids)}


def close_idle(connection: Connection) -> Mapping[str, int]:
    """Close the pipelines that nobody has used for half an hour."""
    before_us = now_us(connection) - to_us(limits.PIPELINE_IDLE_S)
    running = (
        select(works_table.c.id)
        .where(works_table.c.queue_id == pipelines.c.queue_id, works_table.c.state == "running")
        .exists()
    )
    last = (
        select(func.max(pipeline_chunks.c.finished_us))
        .where(pipeline_chunks.c.pipeline_id == pipelines.c.id)
        .scalar_subquery()
    )
    idle: ColumnElement[bool] = pipelines.c.active_us < before_us
    query = (
        select(*[pipelines.c[name] for name in Pipeline.__dataclass_fields__])
        .where(
            pipelines.c.ended_us.is_(None), idle, ~running, or_(last.is_(None), last < before_us)
        )
        .order_by(pipelines.c.active_us)
        .limit(PASS_PIPELINES)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(skip_locked=True)
    found = [made_of(row) for row in connection.execute(query)]
    for pipeline in found:
        close(connection, pipeline, "timeout")
    return {"closed": len(found)}


def delete_old(connection: Connection) -> Mapping[str, int]:
    """Delete some chunks of a pipeline that has been over for longer than it is kept."""
    before_us = now_us(connection) - to_us(limits.PIPELINE_KEPT_S)
    query = (
        select(pipelines.c.id)
        .where(pipelines.c.completed_us < before_us)
        .order_by(pipelines.c.completed_us)
        .limit(1)
    )
    pipeline_id = connection.execute(query).scalar()
    return {"deleted": 0} if pipeline_id is None else delete_some(connection, pipeline_id)

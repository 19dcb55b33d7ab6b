"""The two buffers of a pipeline: what is in them, and what happens when the second is full.

Nothing is counted beside the rows: the input buffer is the chunks that are not computed, the
output buffer those that are and were not pulled. While the output buffer is full the pipeline's
queue is held, so that nothing more is computed, and `why` says what to do about it. Chunks that
were running by then still come in, so that it can exceed its limit by what the slots work on.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, func, select

from longshore.engine import queues
from longshore.surfaces.pipelines.pipelines import Pipeline
from longshore.surfaces.pipelines.tables import pipeline_chunks

HOLDER: Final = "pipelines"
"""Who holds the queue of a pipeline whose output buffer is full."""


def balance(connection: Connection, pipeline: Pipeline) -> None:
    """Hold or release the pipeline's queue, by what is in its output buffer now.

    The caller has locked the pipeline. A hold by an operator is left alone.
    """
    used_bytes = output_used_bytes(connection, pipeline.id)
    queue = queues.get(connection, pipeline.queue_id)
    full = used_bytes >= pipeline.output_buffer_bytes
    if full and queue.held_us is None:
        queues.hold(
            connection,
            queue.id,
            actor=HOLDER,
            why=f"the output buffer is full ({used_bytes} of {pipeline.output_buffer_bytes} "
            "bytes); pull outputs, and it goes on",
        )
    elif not full and queue.held_us is not None and queue.held_by == HOLDER:
        queues.release(connection, queue.id)


def output_used_bytes(connection: Connection, pipeline_id: str) -> int:
    """Return the size of the outputs that wait to be pulled."""
    chunks = pipeline_chunks.c
    query = select(func.coalesce(func.sum(chunks.output_bytes), 0)).where(
        chunks.pipeline_id == pipeline_id,
        chunks.finished_us.is_not(None),
        chunks.delivered_us.is_(None),
        chunks.erased_us.is_(None),
    )
    return int(connection.execute(query).scalar_one())


def input_used_bytes(connection: Connection, pipeline_id: str) -> int:
    """Return the size of the inputs that are still to be computed."""
    chunks = pipeline_chunks.c
    query = select(func.coalesce(func.sum(chunks.input_bytes), 0)).where(
        chunks.pipeline_id == pipeline_id,
        chunks.finished_us.is_(None),
        chunks.erased_us.is_(None),
    )
    return int(connection.execute(query).scalar_one())


def pending(connection: Connection, pipeline_id: str) -> bool:
    """Whether chunks of the pipeline are still to be computed."""
    chunks = pipeline_chunks.c
    query = (
        select(chunks.work_id)
        .where(
            chunks.pipeline_id == pipeline_id,
            chunks.finished_us.is_(None),
            chunks.erased_us.is_(None),
        )
        .limit(1)
    )
    return connection.execute(query).first() is not None

"""Synchronous executions: a chunk in the queue of a version, whose sender waits for the outputs.

An execution is an engine work like any chunk, so that the same workers compute it, a worker that
dies costs another attempt, and the ledger knows it. Its rows live until it is answered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, select

from longshore import limits
from longshore.clock import to_us
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.works import NewWork
from longshore.errors import Conflict, NotFound, ServerFault, Unavailable
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.pipelines import creating, services
from longshore.surfaces.pipelines.creating import Wanted
from longshore.surfaces.pipelines.pushing import Chunk
from longshore.surfaces.pipelines.tables import pipeline_chunks, pipeline_inputs, pipeline_outputs
from longshore.surfaces.pipelines.versions import Version
from longshore.wire.payloads import ChunkResult

PRIORITY: Final = 1_000
"""Somebody waits for an execution, so it goes before the chunks of pipelines."""
ABANDONED_S: Final = limits.EXECUTION_S + 60.0
"""An execution that is older was left by a server that died; nobody waits for it any more."""
SWEPT: Final = 500
_ATTEMPTS: Final = 3
_COLUMNS: Final = (
    "work_id", "pipeline_id", "chunk_id", "digest", "records", "columnar", "input_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Begun:
    """An execution that waits for a worker; `outputs` are the names that are wanted, or None."""

    work_id: str
    version: Version
    outputs: list[str] | None


def begin(
    connection: Connection,
    organisation_id: str,
    work_id: str,
    asked: Wanted,
    chunk: Chunk,
    *,
    actor: str,
) -> Begun:
    """Queue an execution of a chunk under an id that the caller has made.

    Raises:
        NotFound: there is no such service or version.
        InvalidRequest: an output or subservice is not one of the service.
        Unavailable: no worker that is alive serves the version.
    """
    version = services.resolve(
        connection,
        organisation_id,
        service=asked.service,
        version_id=asked.version_id,
        active_since=asked.active_since,
    )
    outputs = creating.with_outputs(asked.settings, version).outputs
    if not services.workers_of(connection, version):
        raise Unavailable(
            f"No worker that is alive serves {version.uri}, so nobody would compute this. Start "
            f"one with {_command(version)}, then send the request again; a pipeline waits for "
            "workers by itself.",
            details={"service": version.uri, "retry_after_s": 5},
        )
    new = NewWork(
        version.queue_id,
        None,
        id=work_id,
        priority=PRIORITY,
        timeout_s=limits.EXECUTION_S,
        attempts_max=min(_ATTEMPTS, version.details.attempts_max),
    )
    works.submit(connection, [new], actor=actor)
    row = (work_id, None, work_id, chunk.digest, chunk.records, chunk.columnar, len(chunk.data))
    at_us = now_us(connection)
    insert_rows(connection, pipeline_chunks, _COLUMNS, [row], same={"created_us": at_us})
    inputs = [(work_id, chunk.data.decode())]
    insert_rows(connection, pipeline_inputs, ("work_id", "body"), inputs)
    return Begun(work_id, version, outputs)


def outcome(connection: Connection, work_id: str) -> ChunkResult | None:
    """Return what an execution led to, or None while it is not over.

    Raises:
        NotFound: somebody has deleted it.
        Conflict: somebody has cancelled it.
        ServerFault: its attempts ran out; the message says how the last one ended.
    """
    body = connection.execute(
        select(pipeline_outputs.c.body).where(pipeline_outputs.c.work_id == work_id)
    ).scalar()
    if body is not None:
        return msgspec.json.decode(body, type=ChunkResult)
    work = works.get_many(connection, [work_id]).get(work_id)
    if work is None:
        raise NotFound(f"The execution {work_id} was deleted before it was over. Send it again.")
    if not work.final:
        return None
    if work.state is State.CANCELLED:
        raise Conflict(f"The execution {work_id} was cancelled. Send it again if it is wanted.")
    error = works.outputs(connection, [work_id])
    why = _told(error[work_id].error) if work_id in error else work.reason
    raise ServerFault(
        f"The execution did not succeed in {work.attempt} attempts. The last one ended with: {why}."
    )


def forget(connection: Connection, work_ids: Sequence[str]) -> int:
    """Delete executions in whatever state they are; return how many there were."""
    works.discard(connection, work_ids, actor="server", why="nobody waits for it any more")
    for table in (pipeline_inputs, pipeline_outputs):
        connection.execute(delete(table).where(table.c.work_id.in_(work_ids)))
    chosen = pipeline_chunks.c.work_id.in_(work_ids)
    return connection.execute(delete(pipeline_chunks).where(chosen)).rowcount


def sweep(connection: Connection) -> Mapping[str, int]:
    """Delete executions whose server died before it could."""
    before_us = now_us(connection) - to_us(ABANDONED_S)
    query = (
        select(pipeline_chunks.c.work_id)
        .where(pipeline_chunks.c.pipeline_id.is_(None), pipeline_chunks.c.created_us < before_us)
        .limit(SWEPT)
    )
    found = list(connection.execute(query).scalars())
    return {"executions": forget(connection, found) if found else 0}


def selected(result: ChunkResult, columnar: bool, names: Collection[str] | None) -> msgspec.Raw:
    """Return the outputs of a result in their form, only those with the given names."""
    if names is None:
        return result.outputs
    rows: list[Any] = msgspec.json.decode(result.outputs)
    if not columnar:
        kept = [
            None if row is None else {name: row[name] for name in row if name in names}
            for row in rows
        ]
        return msgspec.Raw(msgspec.json.encode(kept))
    places = [place for place, name in enumerate(rows[0]) if name in names] if rows else []
    return msgspec.Raw(msgspec.json.encode([[row[place] for place in places] for row in rows]))


def _command(version: Version) -> str:
    if version.kind == services.WORKBOOK:
        return "`longshore worker`"
    return "`longshore worker FILE`, where FILE has its function,"


def _told(error: bytes | None) -> str:
    if error is None:
        return "no reason was given"
    told = msgspec.json.decode(error)
    if not isinstance(told, dict):
        return str(told)[: limits.NAME_CHARACTERS]
    return f"{told.get('type', 'error')}: {told.get('message', '')}"[: limits.ERROR_CHARACTERS]

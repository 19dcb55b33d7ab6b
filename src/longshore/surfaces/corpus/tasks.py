"""Tasks between the engine and `longshore worker`: what a task is given, and what it leaves.

A task that is claimed gets a token of its attempt. When the attempt ends, however that is, its
token ends, and the elements that it still held are queued again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select, update

from longshore.access import tokens
from longshore.clock import iso
from longshore.engine import artifacts as blobs
from longshore.engine import notices, works
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Lease
from longshore.errors import InvalidRequest
from longshore.surfaces.corpus import (
    artifacts,
    holders,
    processes,
    states,
    worker_runs,
    workers,
)
from longshore.surfaces.corpus.parts import bounds
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.states import Mode
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_artifacts,
    corpus_elements,
    corpus_process_elements,
    corpus_tasks,
    corpus_types,
)
from longshore.surfaces.corpus.worker_runs import Run
from longshore.wire.tasks import (
    TaskElement,
    TaskFile,
    TaskModel,
    TaskParent,
    TaskPayload,
    TaskResult,
)

FOLLOWED: Final = 500
"""Notices that are followed in one transaction."""
SWEPT: Final = 500
_EMPTY: Final = "application/octet-stream"


def claim(
    connection: Connection, queue_ids: Sequence[int], *, limit: int, holder: str, lease_s: float
) -> list[tuple[Lease, bytes]]:
    """Lease tasks to a worker; return them with their payloads (wire.tasks.TaskPayload)."""
    leases = works.claim(
        connection, queue_ids, limit=limit, holder=holder, lease_s=lease_s, with_payloads=False
    )
    rows = connection.execute(
        select(corpus_tasks).where(corpus_tasks.c.work_id.in_([lease.id for lease in leases]))
    )
    known = {row.work_id: row for row in rows}
    # Somebody has let a work run again whose task has another one by now.
    strays = [lease.id for lease in leases if lease.id not in known]
    if strays:
        works.discard(connection, strays, actor="server", why="its task has another work")
        leases = [lease for lease in leases if lease.id in known]
    # What an earlier attempt held comes back now, if nobody has heard of its end before.
    holders.release(
        connection,
        [
            holders.of_attempt(known[lease.id].id, attempt)
            for lease in leases
            for attempt in range(1, lease.attempt)
        ],
    )
    return [
        (lease, msgspec.json.encode(_payload(connection, lease, known[lease.id])))
        for lease in leases
    ]


def record(connection: Connection, organisation_id: str, endings: Sequence[Ending]) -> None:
    """Keep what tasks left, end their tokens, and queue again the elements that they still held.

    The engine has accepted these endings in this transaction.

    Raises:
        InvalidRequest: a result is none of a task, or names a file that was not uploaded.
    """
    rows = connection.execute(
        select(corpus_tasks).where(
            corpus_tasks.c.work_id.in_([ending.work_id for ending in endings])
        )
    )
    known = {row.work_id: row for row in rows}
    for ending in endings:
        task = known.get(ending.work_id)
        if task is not None and ending.result is not None:
            _keep(connection, organisation_id, task, ending.result)
    _over(
        connection,
        [
            (known[ending.work_id].id, ending.work_id, ending.attempt)
            for ending in endings
            if ending.work_id in known
        ],
    )


def ended(connection: Connection) -> bool:
    """Whether there are notices to follow."""
    return notices.waiting(connection, surface=workers.SURFACE)


def follow(connection: Connection, limit: int = FOLLOWED) -> int:
    """Do for attempts that were lost what a report would have done; return how many notices."""
    found = notices.read(connection, surface=workers.SURFACE, limit=limit)
    if not found:
        return 0
    rows = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.work_id).where(
            corpus_tasks.c.work_id.in_([each.work_id for each in found])
        )
    )
    known = {row.work_id: row.id for row in rows}
    _over(
        connection,
        [
            (known[each.work_id], each.work_id, each.attempt)
            for each in found
            if each.work_id in known
        ],
    )
    notices.erase(connection, [each.seq for each in found])
    return len(found)


def sweep(connection: Connection) -> dict[str, int]:
    """Queue again what attempts of tasks hold that are over; a regular pass.

    Each end of an attempt does this by itself; this is for what is claimed in that moment.
    """
    rows = connection.execute(
        select(works_table.c.worker_id)
        .join(corpus_activities, corpus_activities.c.work_id == works_table.c.id)
        .where(
            works_table.c.lease_until_us.is_not(None),
            works_table.c.worker_id.like(f"{holders.TASK}:%"),
        )
        .distinct()
        .limit(SWEPT)
    )
    held = {holder: attempt for holder in rows.scalars() if (attempt := holders.attempt_of(holder))}
    running = connection.execute(
        select(corpus_tasks.c.id, works_table.c.attempt)
        .join(works_table, works_table.c.id == corpus_tasks.c.work_id)
        .where(
            corpus_tasks.c.id.in_([task_id for task_id, _ in held.values()]),
            works_table.c.state == State.RUNNING.value,
        )
    )
    alive = {(row.id, row.attempt) for row in running}
    gone = [holder for holder, attempt in held.items() if attempt not in alive]
    return {"released": holders.release(connection, gone) if gone else 0}


def show(connection: Connection, organisation_id: str, task_id: str) -> dict[str, Any]:
    """Return a task as it is sent.

    Raises:
        NotFound: the organisation has none of that id.
    """
    row = artifacts.task_of(connection, organisation_id, task_id)
    work = works.get_many(connection, [row.work_id]).get(row.work_id) if row.work_id else None
    return told(row, work, errors(connection, [row.work_id] if row.work_id else []))


def errors(connection: Connection, work_ids: Sequence[str]) -> dict[str, Any]:
    """Return with what the last failures of tasks came, by the works of those that have one."""
    return {
        work_id: msgspec.json.decode(output.error)
        for work_id, output in works.outputs(connection, work_ids).items()
        if output.error is not None
    }


def told(row: Row[Any], work: Any, errors: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a task by its row, its work, and the errors of works."""
    state = states.task(work) if work is not None else states.Task.COMPLETED
    failed = state in (states.Task.FAILED, states.Task.ERROR)
    return {
        "id": row.id,
        "slug": row.slug,
        "state": state.value,
        "error": errors.get(row.work_id) if failed else None,
        "parents": msgspec.json.decode(row.parents),
        "chunk": row.chunk,
        "process": row.process_id,
        "worker_run": row.worker_run_id,
        "exit_code": row.exit_code,
        "work_id": row.work_id,
        "attempt": None if work is None else work.attempt,
        "attempts_max": None if work is None else work.attempts_max,
        "created": iso(row.created_us),
        "started": None if work is None else iso(work.started_us),
        "finished": None if work is None else iso(work.finished_us),
    }


def _over(connection: Connection, attempts: Sequence[tuple[str, str, int]]) -> None:
    """Do what follows from ended attempts, given as ids of task and work, and the attempt."""
    if not attempts:
        return
    now = works.get_many(connection, [work_id for _, work_id, _ in attempts])
    # The next attempt may have begun; its token is another one.
    over = [
        work_id
        for _, work_id, attempt in attempts
        if work_id not in now or now[work_id].attempt == attempt
    ]
    tokens.forget(connection, over)
    holders.release(
        connection, [holders.of_attempt(task_id, attempt) for task_id, _, attempt in attempts]
    )


def _keep(connection: Connection, organisation_id: str, task: Row[Any], body: bytes) -> None:
    try:
        result = msgspec.json.decode(body, type=TaskResult | None)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(
            f"The result of task {task.id} is none of a task: {str(error)[:300]}."
        ) from error
    if result is None:
        return
    artifacts.add(connection, organisation_id, task.id, result.files)
    connection.execute(
        update(corpus_tasks).where(corpus_tasks.c.id == task.id).values(exit_code=result.exit_code)
    )


def _payload(connection: Connection, lease: Lease, task: Row[Any]) -> TaskPayload:
    run = worker_runs.by_id(connection, [task.worker_run_id])[task.worker_run_id]
    process = processes.get(connection, task.organisation_id, task.process_id)
    version = workers.of_queue(connection, lease.queue_id)
    return TaskPayload(
        task_id=task.id,
        process_id=process.id,
        worker_run_id=run.id,
        worker=version.slug,
        version=version.version,
        token=tokens.create(
            connection, task.organisation_id, lease.id, lease.attempt, surface=workers.SURFACE
        ),
        elements=_elements(connection, process, run, task.chunk),
        queued=process.queued,
        chunk=task.chunk,
        parents=_parents(connection, msgspec.json.decode(task.parents)),
        model=_model(connection, task.organisation_id, run),
        timeout_s=lease.timeout_s,
    )


def _elements(
    connection: Connection, process: Process, run: Run, chunk: int | None
) -> list[TaskElement] | None:
    """Return the list of elements of a task, or None where it has none.

    What is processed already is left out, unless that is all: a program without elements fails,
    while one that finds all of them processed succeeds.
    """
    if process.queued or process.mode is not Mode.WORKERS:
        return None
    table = corpus_process_elements
    # Of the count at the start: what was deleted since leaves gaps.
    count = process.elements or 0
    first, behind = bounds(chunk, min(process.chunks, count), count)
    query = (
        select(
            corpus_elements.c.id,
            corpus_types.c.slug,
            (works_table.c.state == State.SUCCESS.value).label("processed"),
        )
        .select_from(table)
        .join(corpus_elements, corpus_elements.c.id == table.c.element_id)
        .join(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .outerjoin(
            corpus_activities,
            (corpus_activities.c.element_id == table.c.element_id)
            & (corpus_activities.c.run_key == run.run_key),
        )
        .outerjoin(works_table, works_table.c.id == corpus_activities.c.work_id)
        .where(
            table.c.process_id == process.id,
            table.c.position >= first,
            table.c.position < behind,
        )
        .order_by(table.c.position)
    )
    rows = connection.execute(query).all()
    left = [row for row in rows if not (process.activity and row.processed)]
    return [TaskElement(id=row.id, type=row.slug) for row in left or rows]


def _parents(connection: Connection, task_ids: Sequence[str]) -> list[TaskParent]:
    if not task_ids:
        return []
    query = (
        select(corpus_artifacts)
        .where(corpus_artifacts.c.task_id.in_(task_ids), corpus_artifacts.c.blob_id.is_not(None))
        .order_by(corpus_artifacts.c.path)
    )
    files: dict[str, list[TaskFile]] = {task_id: [] for task_id in task_ids}
    for row in connection.execute(query):
        files[row.task_id].append(
            TaskFile(
                path=row.path,
                blob_id=row.blob_id,
                size_bytes=row.size_bytes,
                sha256=row.sha256,
                content_type=row.content_type,
            )
        )
    rows = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.slug).where(corpus_tasks.c.id.in_(task_ids))
    )
    slugs = {row.id: row.slug for row in rows}
    return [TaskParent(id=each, slug=slugs[each], files=files[each]) for each in task_ids]


def _model(connection: Connection, organisation_id: str, run: Run) -> TaskModel | None:
    row = worker_runs.model_of(connection, run)
    if row is None or row.blob_id is None:
        return None
    blob = blobs.get(connection, organisation_id, row.blob_id)
    return TaskModel(
        version_id=row.id,
        blob_id=blob.id,
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        content_type=row.content_type or _EMPTY,
    )

"""Starting, stopping and trying again: from worker runs to tasks, one for each part of the elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select, update

from longshore import ids
from longshore.access import Principal
from longshore.engine import works
from longshore.engine.tables import works as works_table
from longshore.engine.works import NewWork
from longshore.errors import Conflict
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows, update_rows
from longshore.surfaces.corpus import (
    enlisting,
    process_cache,
    processes,
    scope,
    states,
    worker_runs,
    workers,
)
from longshore.surfaces.corpus.parts import bounds
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.states import Mode
from longshore.surfaces.corpus.tables import (
    corpus_processes,
    corpus_tasks,
    corpus_worker_versions,
)
from longshore.surfaces.corpus.worker_runs import Run

_TASK_COLUMNS: Final = ("id", "worker_run_id", "work_id", "slug", "chunk", "parents")


@dataclass(frozen=True, slots=True)
class Task:
    """A task with its work as it is now; without a worker run it is one of the server's own."""

    id: str
    worker_run_id: str | None
    work_id: str
    chunk: int | None
    parents: list[str]
    state: states.Task


def start(connection: Connection, principal: Principal, process_id: str, site: str) -> Process:
    """Start a process: write down its elements, queue their activities and its tasks.

    `site` is the root of this server's addresses, for the images in a cache.

    Raises:
        NotFound: there is no such process.
        Conflict: it was started before.
        InvalidRequest: no element meets what it is for, or its corpus is gone.
    """
    process = processes.get(connection, principal.organisation_id, process_id, alone=True)
    if process.started_us is not None:
        raise Conflict(
            f"Process {process.id} was started before. Let what is left of it run again by "
            "`longshore process retry`, or make another one."
        )
    if process.corpus_id is not None:
        scope.named_corpus(connection, process.organisation_id, process.corpus_id)
    runs = worker_runs.of_process(connection, process.id)
    # Two processes with the same version must not both find an element without an activity.
    _alone(connection, [run.worker_version_id for run in runs])
    elements = 0 if process.mode is Mode.DATASET else enlisting.gather(connection, process)
    if not elements and process.mode is not Mode.DATASET:
        raise refusal(
            "No element of the corpus is what this process is for, so it would do nothing. Import "
            "some first, or make a process for others."
        )
    if process.activity:
        for run in runs:
            enlisting.enlist(connection, process, run, actor=principal.key_id)
    _mark(connection, process, started_us=now_us(connection), elements=elements)
    if process.mode is not Mode.LOCAL:
        first = _cache_task(connection, process, site, actor=principal.key_id)
        _schedule(connection, process, runs, elements, first, actor=principal.key_id)
    return processes.get(connection, principal.organisation_id, process.id)


def stop(connection: Connection, principal: Principal, process_id: str, why: str) -> Process:
    """Cancel what of a process has not begun, and tell what runs to stop.

    Raises:
        NotFound: there is no such process.
        InvalidRequest: it was never started.
    """
    process = processes.get(connection, principal.organisation_id, process_id, alone=True)
    if process.started_us is None:
        raise refusal(f"Process {process.id} was not started, so there is nothing to stop.")
    actor = principal.key_id
    works.cancel_group(connection, process.id, actor=actor, why=why)
    for run in worker_runs.of_process(connection, process.id):
        works.cancel_group(connection, run.id, actor=actor, why=why)
    _mark(connection, process, stopped_us=process.stopped_us or now_us(connection))
    return processes.get(connection, principal.organisation_id, process.id)


def retry(connection: Connection, principal: Principal, process_id: str, site: str) -> Process:
    """Let what of a process did not succeed run again: elements, and the tasks that they need.

    Raises:
        NotFound: there is no such process.
        Conflict: it was not started, or is not over; or there is nothing left of it.
    """
    process = processes.get(connection, principal.organisation_id, process_id, alone=True)
    if process.started_us is None:
        raise Conflict(f"Process {process.id} was not started. Start it.")
    tasks = tasks_of(connection, process.id)
    state = states.process([task.state for task in tasks], stopped=process.stopped_us is not None)
    if tasks and state in states.ACTIVE:
        raise Conflict(f"Process {process.id} is {state}. Stop it, or wait for its end.")
    runs = worker_runs.of_process(connection, process.id)
    actor = principal.key_id
    _alone(connection, [run.worker_version_id for run in runs])
    again = {task.id for task in tasks if task.state is not states.Task.COMPLETED}
    reopened = 0
    for run in runs if process.activity else ():
        left = enlisting.unfinished(connection, process, run)
        queue_id = enlisting.ensure_queue(connection, process, run)
        enlisting.take_over(connection, run, queue_id, left, actor=actor)
        reopened += len(left)
        of_run = [task for task in tasks if task.worker_run_id == run.id]
        again |= _needed(process, of_run, [row.position for row in left])
    if not again and not reopened:
        raise Conflict(
            f"Nothing of process {process.id} is left: each task is completed, and each element "
            "processed."
        )
    _reschedule(connection, process, runs, tasks, again, site, actor=actor)
    _mark(connection, process, stopped_us=None)
    return processes.get(connection, principal.organisation_id, process.id)


def tasks_of(connection: Connection, process_id: str) -> list[Task]:
    """Return the tasks of a process, in the order in which they were made."""
    query = (
        select(
            corpus_tasks,
            works_table.c.state,
            works_table.c.reason,
            works_table.c.retry_us,
        )
        .join(works_table, works_table.c.id == corpus_tasks.c.work_id)
        .where(corpus_tasks.c.process_id == process_id)
        .order_by(corpus_tasks.c.id)
    )
    return [
        Task(
            row.id,
            row.worker_run_id,
            row.work_id,
            row.chunk,
            msgspec.json.decode(row.parents, type=list[str]),
            states.task(row),
        )
        for row in connection.execute(query)
    ]


def _cache_task(
    connection: Connection, process: Process, site: str, *, actor: str
) -> list[tuple[str, str]]:
    """Make the task that writes a process's elements into a cache, if it wants one."""
    if not process.use_cache:
        return []
    task_id, work_id = ids.uuid(), ids.new(ids.WORK)
    new = process_cache.work_of(connection, process, task_id, work_id, site)
    works.submit(connection, [new], actor=actor)
    row = (task_id, None, work_id, process_cache.SLUG, None, "[]")
    insert_rows(connection, corpus_tasks, _TASK_COLUMNS, [row], same=_same(connection, process))
    return [(task_id, work_id)]


def _same(connection: Connection, process: Process) -> dict[str, Any]:
    return {
        "process_id": process.id,
        "organisation_id": process.organisation_id,
        "created_us": now_us(connection),
    }


def _schedule(
    connection: Connection,
    process: Process,
    runs: Sequence[Run],
    elements: int,
    first: Sequence[tuple[str, str]],
    *,
    actor: str,
) -> None:
    """Make the tasks of a process; those of a run wait for those of its parents, or for `first`.

    `first` and what is noted of each run are pairs of the ids of a task and its work.
    """
    known = workers.get_many(connection, [run.worker_version_id for run in runs])
    count = 1 if process.mode is Mode.DATASET else min(process.chunks, elements)
    chunks = [None] if count == 1 else list(range(1, count + 1))
    slugs = Counter(known[run.worker_version_id].slug for run in runs)
    made: dict[str, list[tuple[str, str]]] = {}
    rows: list[tuple[Any, ...]] = []
    for run in runs:
        version = known[run.worker_version_id]
        # The directory of a parent has its slug as its name, so no two tasks share one.
        slug = version.slug if slugs[version.slug] == 1 else f"{version.slug}-{run.position + 1}"
        made[run.id] = []
        new: list[NewWork] = []
        for place, chunk in enumerate(chunks):
            before = [
                task
                for parent in run.parents
                # Tasks that ask for the next element may be given one that any other task of the
                # parent has processed; those with lists have the same part of the elements.
                for task in (made[parent] if process.queued else [made[parent][place]])
            ] or first
            task_id, work_id = ids.uuid(), ids.new(ids.WORK)
            requires = tuple(each for _, each in before)
            new.append(
                NewWork(version.queue_id, None, id=work_id, group_id=process.id, requires=requires)
            )
            parents = msgspec.json.encode([each for each, _ in before]).decode()
            named = slug if chunk is None else f"{slug}_{chunk}"
            rows.append((task_id, run.id, work_id, named, chunk, parents))
            made[run.id].append((task_id, work_id))
        works.submit(connection, new, actor=actor)
    insert_rows(connection, corpus_tasks, _TASK_COLUMNS, rows, same=_same(connection, process))


def _reschedule(
    connection: Connection,
    process: Process,
    runs: Sequence[Run],
    tasks: Sequence[Task],
    again: set[str],
    site: str,
    *,
    actor: str,
) -> None:
    """Give tasks that are to run again new works, which wait for those before them once more."""
    known = workers.get_many(connection, [run.worker_version_id for run in runs])
    queue_ids = {run.id: known[run.worker_version_id].queue_id for run in runs}
    work_ids = {task.id: task.work_id for task in tasks}
    changed: list[tuple[str, str, None]] = []
    for task in tasks:
        if task.worker_run_id is None and task.id in again:
            work_ids[task.id] = ids.new(ids.WORK)
            renewed = process_cache.work_of(connection, process, task.id, work_ids[task.id], site)
            works.submit(connection, [renewed], actor=actor)
            changed.append((task.id, work_ids[task.id], None))
    for run in runs:
        new = []
        for task in tasks:
            if task.worker_run_id != run.id or task.id not in again:
                continue
            work_ids[task.id] = ids.new(ids.WORK)
            requires = tuple(work_ids[parent] for parent in task.parents)
            new.append(
                NewWork(
                    queue_ids[run.id],
                    None,
                    id=work_ids[task.id],
                    group_id=process.id,
                    requires=requires,
                )
            )
            changed.append((task.id, work_ids[task.id], None))
        works.submit(connection, new, actor=actor)
    update_rows(connection, corpus_tasks, "id", ("work_id", "exit_code"), changed)


def _needed(process: Process, tasks: Sequence[Task], positions: Sequence[int]) -> set[str]:
    """Return which tasks of a run are needed for the elements at these places."""
    if not positions or not tasks:
        return set()
    if process.queued or len(tasks) == 1:
        return {task.id for task in tasks}
    needed = set()
    for task in tasks:
        first, behind = bounds(task.chunk, len(tasks), process.elements or 0)
        if any(first <= position < behind for position in positions):
            needed.add(task.id)
    return needed


def _alone(connection: Connection, version_ids: Sequence[str]) -> None:
    connection.execute(
        select(corpus_worker_versions.c.id)
        .where(corpus_worker_versions.c.id.in_(sorted(set(version_ids))))
        .order_by(corpus_worker_versions.c.id)
        .with_for_update()
    )


def _mark(connection: Connection, process: Process, **values: int | None) -> None:
    chosen = corpus_processes.c.id == process.id
    connection.execute(update(corpus_processes).where(chosen).values(**values))

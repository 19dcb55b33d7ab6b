"""How far processes are: counts of activities, always made from the rows that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, bindparam, func, select

from longshore.clock import iso, to_us
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.storage import now_us
from longshore.surfaces.corpus import processes, scheduling, states, tasks, worker_runs
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.states import Activity, Mode
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_process_elements,
    corpus_process_sets,
    corpus_processes,
    corpus_tasks,
)
from longshore.surfaces.corpus.worker_runs import Run

WINDOW_S: Final = 60.0
"""The rate of a process is that of its last minute."""


def show(connection: Connection, organisation_id: str, process_id: str) -> dict[str, Any]:
    """Return a process with its runs, tasks and progress.

    Raises:
        NotFound: the organisation has none of that id.
    """
    process = processes.get(connection, organisation_id, process_id)
    runs = worker_runs.of_process(connection, process.id)
    rows = _tasks(connection, process.id)
    total = elements_of(connection, process.id)
    counts = {run.id: counted(connection, process, run, total) for run in runs}
    errors = tasks.errors(connection, [row.work_id for row in rows])
    state = _state(process, [states.task(row) for row in rows], list(counts.values()))
    return {
        **processes.outline(process),
        "state": state.value,
        "elements_count": total,
        "sets": _sets(connection, process.id),
        "workers": [
            {**worker_runs.told(connection, run), "activities": _told(counts[run.id])}
            for run in runs
        ],
        "tasks": [tasks.told(row, row, errors) for row in rows],
        "progress": _progress(connection, process, runs, counts, state),
        "stopped": iso(process.stopped_us),
    }


def listing(
    connection: Connection, organisation_id: str, corpus_id: str | None, page: Page
) -> dict[str, Any]:
    """Return a page of processes, the newest first, without their progress.

    Raises:
        NotFound: there is no such page.
    """
    query = processes.selection().where(corpus_processes.c.organisation_id == organisation_id)
    if corpus_id is not None:
        query = query.where(corpus_processes.c.corpus_id == corpus_id)
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = connection.execute(
        query.order_by(corpus_processes.c.id.desc()).offset(page.offset).limit(page.size)
    ).all()
    return page.answer([_listed(connection, processes.of_row(row)) for row in rows], count)


def state_of(connection: Connection, process: Process) -> states.Process:
    """Return where a process is."""
    found = [task.state for task in scheduling.tasks_of(connection, process.id)]
    counts: list[Counter[Activity]] = []
    if process.mode is Mode.LOCAL and process.activity:
        total = elements_of(connection, process.id)
        runs = worker_runs.of_process(connection, process.id)
        counts = [counted(connection, process, run, total) for run in runs]
    return _state(process, found, counts)


def elements_of(connection: Connection, process_id: str) -> int:
    """Return how many elements a process was started with."""
    query = select(func.count()).select_from(corpus_process_elements)
    chosen = corpus_process_elements.c.process_id == process_id
    return connection.scalar(query.where(chosen)) or 0


def counted(connection: Connection, process: Process, run: Run, total: int) -> Counter[Activity]:
    """Count the activities of a run by state; those of its elements, whoever processed them."""
    if run.queue_id is None:
        return Counter()
    own = _count(connection, _of_group(), {"group": run.id})
    if sum(own.values()) == total:
        return own
    # Some elements were processed, or are, for another process with the same key.
    return _count(connection, _of_elements(), {"process": process.id, "run_key": run.run_key})


def _state(
    process: Process,
    tasks_now: Sequence[states.Task],
    counts: Sequence[Counter[Activity]],
) -> states.Process:
    stopped = process.stopped_us is not None
    if process.started_us is None:
        return states.Process.UNSCHEDULED
    if process.mode is not Mode.LOCAL:
        return states.process(tasks_now, stopped=stopped)
    # People run the programs: what is known of them is what they said of the elements.
    seen = sum(counts, Counter[Activity]())
    if seen[Activity.STARTED]:
        return states.Process.STOPPING if stopped else states.Process.RUNNING
    if seen[Activity.QUEUED]:
        begun = seen[Activity.PROCESSED] + seen[Activity.ERROR]
        return states.Process.RUNNING if begun else states.Process.PENDING
    if seen[Activity.CANCELLED]:
        return states.Process.STOPPED
    return states.Process.FAILED if seen[Activity.ERROR] else states.Process.COMPLETED


def _progress(
    connection: Connection,
    process: Process,
    runs: Sequence[Run],
    counts: dict[str, Counter[Activity]],
    state: states.Process,
) -> dict[str, Any]:
    whole = sum(counts.values(), Counter[Activity]())
    left = whole[Activity.QUEUED] + whole[Activity.STARTED]
    at_us = now_us(connection)
    length_s = WINDOW_S
    if process.started_us is not None:
        length_s = min(WINDOW_S, max((at_us - process.started_us) / 1_000_000, 1.0))
    queue_ids = [run.queue_id for run in runs if run.queue_id is not None]
    recent = connection.scalar(
        select(func.count())
        .select_from(works_table)
        .where(
            works_table.c.queue_id.in_(queue_ids),
            works_table.c.state.in_([State.SUCCESS.value, State.FAILURE.value]),
            works_table.c.finished_us > at_us - to_us(length_s),
        )
    )
    rate = (recent or 0) / length_s
    running = state in states.ACTIVE
    return {
        **_told(whole),
        "rate_per_s": rate if running else None,
        "finish": iso(at_us + to_us(left / rate)) if running and rate and left else None,
    }


def _told(counts: Counter[Activity]) -> dict[str, int]:
    return {"total": sum(counts.values()), **{each.value: counts[each] for each in Activity}}


def _listed(connection: Connection, process: Process) -> dict[str, Any]:
    return {
        **processes.outline(process),
        "state": state_of(connection, process).value,
        "stopped": iso(process.stopped_us),
    }


def _tasks(connection: Connection, process_id: str) -> Sequence[Any]:
    table = works_table.c
    query = (
        select(
            corpus_tasks,
            table.state,
            table.reason,
            table.retry_us,
            table.attempt,
            table.attempts_max,
            table.started_us,
            table.finished_us,
        )
        .join(works_table, table.id == corpus_tasks.c.work_id)
        .where(corpus_tasks.c.process_id == process_id)
        .order_by(corpus_tasks.c.id)
    )
    return connection.execute(query).all()


def _sets(connection: Connection, process_id: str) -> list[str]:
    query = (
        select(corpus_process_sets.c.set_id)
        .where(corpus_process_sets.c.process_id == process_id)
        .order_by(corpus_process_sets.c.position)
    )
    return list(connection.execute(query).scalars())


def _count(connection: Connection, query: Select[Any], given: dict[str, Any]) -> Counter[Activity]:
    counts: Counter[Activity] = Counter()
    for state, count in connection.execute(query, given):
        counts[states.activity(state, None)] += count
    if counts[Activity.ERROR]:
        # An attempt that was lost is followed by another in a moment.
        retried = query.with_only_columns(func.count()).group_by(None)
        again = connection.scalar(retried.where(works_table.c.retry_us.is_not(None)), given) or 0
        counts[Activity.ERROR] -= again
        counts[Activity.QUEUED] += again
    return counts


@cache
def _of_group() -> Select[Any]:
    # Answered by the index of groups alone.
    return (
        select(works_table.c.state, func.count())
        .where(works_table.c.group_id == bindparam("group", type_=Text))
        .group_by(works_table.c.state)
    )


@cache
def _of_elements() -> Select[Any]:
    return (
        select(works_table.c.state, func.count())
        .select_from(corpus_process_elements)
        .join(
            corpus_activities,
            (corpus_activities.c.element_id == corpus_process_elements.c.element_id)
            & (corpus_activities.c.run_key == bindparam("run_key", type_=Text)),
        )
        .join(works_table, works_table.c.id == corpus_activities.c.work_id)
        .where(corpus_process_elements.c.process_id == bindparam("process", type_=Text))
        .group_by(works_table.c.state)
    )

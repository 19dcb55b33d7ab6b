"""Processes as a person looks at them: elements as a grid, failures by their error, the rate.

Nothing here reads more than a bounded number of rows: where a process is large, its counts are
those of the engine's last census.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from longshore.clock import SECOND_US
from longshore.engine import activity_counts, logs, works
from longshore.engine.logs import Line
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.errors import InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus import processes, progress, states, tasks, worker_runs
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.scope import uuid_of
from longshore.surfaces.corpus.states import Activity
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_artifacts,
    corpus_elements,
    corpus_process_elements,
    corpus_processes,
    corpus_tasks,
    corpus_types,
)
from longshore.surfaces.corpus.worker_runs import Run

COUNTED_ELEMENTS: Final = 20_000
"""Of a process with more elements, the counts are those of the last census."""
COUNTED_IN_LISTS: Final = 2_000
"""Likewise in a list, which has many of them."""
TASKS: Final = 200
FILES: Final = 200
FAILURES: Final = 1_000
"""Failed elements that are looked at to group their errors."""
SAMPLES: Final = 5
LINES: Final = 60
_RATE_S: Final = 60
_GROUPED_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A process in a list; `counts` by state of its elements, over all its worker runs."""

    process: Process
    state: states.Process
    counts: Counter[Activity]


@dataclass(frozen=True, slots=True)
class RunLook:
    """A worker run; `told` is what the API tells of it.

    Attributes:
        configuration: what it gets, merged, as (key, value); None in place of what is secret.
            Values are JSON, in which those of the keystore are still to be masked.
    """

    run: Run
    told: Mapping[str, Any]
    configuration: list[tuple[str, str | None]]
    counts: Counter[Activity]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error and the elements that failed with it, some of them as (id, name)."""

    type: str
    message: str
    count: int
    samples: list[tuple[str, str, str]] = field(default_factory=list)
    """As (worker run, element, name of the element)."""


@dataclass(frozen=True, slots=True)
class Look:
    """A process as it is now.

    Attributes:
        counts: of its elements by state, over all its runs.
        counted: whether they are exact; else they are those of the last census.
        rate: elements per second within the last minute.
        left_s: how long the rest takes at that rate, or None where nothing is known of it.
        tasks: at most TASKS of them, as the API tells them.
        lines: the last lines of those that run.
        files: (task, path, size in bytes) of what its tasks left.
    """

    process: Process
    state: states.Process
    runs: list[RunLook]
    counts: Counter[Activity]
    counted: bool
    rate: float
    left_s: float | None
    tasks: list[dict[str, Any]]
    lines: list[Line]
    files: list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Cell:
    """An element of a process and where it is; `name` is None where it was deleted."""

    element_id: str
    name: str | None
    type: str | None
    state: Activity
    attempt: int
    work_id: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A page of the elements of a run; `after` is where the next begins, or None at the end."""

    run: Run | None
    cells: list[Cell]
    after: str | None


def listing(
    connection: Connection,
    organisation_id: str,
    *,
    corpus_id: str | None,
    before: str | None,
    limit: int,
) -> list[Listed]:
    """Return processes, the newest first: those with ids before `before`."""
    columns = corpus_processes.c
    query = processes.selection().where(columns.organisation_id == organisation_id)
    if corpus_id is not None:
        query = query.where(columns.corpus_id == uuid_of(corpus_id))
    if before is not None:
        query = query.where(columns.id < before)
    rows = connection.execute(query.order_by(columns.id.desc()).limit(limit)).all()
    return [_listed(connection, processes.of_row(row)) for row in rows]


def look(connection: Connection, organisation_id: str, process_id: str) -> Look:
    """Return a process as it is now.

    Raises:
        NotFound: the organisation has none of that id.
    """
    process = processes.get(connection, organisation_id, process_id)
    runs = worker_runs.of_process(connection, process.id)
    exact = (process.elements or 0) <= COUNTED_ELEMENTS
    counts = _counts(connection, process, runs, COUNTED_ELEMENTS)
    whole = sum(counts.values(), Counter[Activity]())
    state = progress.state_of(connection, process)
    rate = _rate(connection, process, runs)
    left = whole[Activity.QUEUED] + whole[Activity.STARTED]
    rows = _tasks(connection, process.id)
    errors = tasks.errors(connection, [row.work_id for row in rows])
    return Look(
        process=process,
        state=state,
        runs=[_run(connection, organisation_id, run, counts[run.id]) for run in runs],
        counts=whole,
        counted=exact,
        rate=rate,
        left_s=left / rate if rate and left and state in states.ACTIVE else None,
        tasks=[tasks.told(row, row, errors) for row in rows],
        lines=_lines(connection, rows),
        files=_files(connection, process.id),
    )


def grid(
    connection: Connection,
    process: Process,
    *,
    run_id: str | None,
    state: Activity | None,
    after: str | None,
    limit: int,
) -> Grid:
    """Return a page of the elements of a run: in their order, or those in one state.

    Raises:
        NotFound: the process has no such run.
        InvalidRequest: `after` is not of its form.
    """
    runs = worker_runs.of_process(connection, process.id)
    chosen = [run for run in runs if run_id is None or run.id == run_id]
    if not chosen:
        if run_id is None:
            return Grid(None, [], None)
        raise NotFound(f"Process {process.id} has no worker run {run_id[:80]}.")
    run = chosen[0]
    if state is None:
        return _in_order(connection, process, run, after, limit)
    return _in_state(connection, run, state, after, limit)


def failures(connection: Connection, process: Process) -> list[Failure]:
    """Return with which errors elements failed, the most frequent first; see FAILURES."""
    groups: dict[tuple[str, str], Failure] = {}
    for run in worker_runs.of_process(connection, process.id):
        cells = _in_state(connection, run, Activity.ERROR, None, FAILURES).cells
        told = works.outputs(connection, [cell.work_id for cell in cells])
        for cell in cells:
            output = told.get(cell.work_id)
            kind, message = _error(None if output is None else output.error)
            known = groups.get((kind, message), Failure(kind, message, 0))
            samples = known.samples
            if len(samples) < SAMPLES:
                samples = [*samples, (run.id, cell.element_id, cell.name or cell.element_id)]
            groups[kind, message] = Failure(kind, message, known.count + 1, samples)
    return sorted(groups.values(), key=lambda each: (-each.count, each.type, each.message))


def _listed(connection: Connection, process: Process) -> Listed:
    runs = worker_runs.of_process(connection, process.id)
    counts = _counts(connection, process, runs, COUNTED_IN_LISTS)
    state = progress.state_of(connection, process)
    return Listed(process, state, sum(counts.values(), Counter[Activity]()))


def _counts(
    connection: Connection, process: Process, runs: Sequence[Run], most: int
) -> dict[str, Counter[Activity]]:
    total = process.elements or 0
    if total <= most:
        return {run.id: progress.counted(connection, process, run, total) for run in runs}
    queue_ids = [run.queue_id for run in runs if run.queue_id is not None]
    census = activity_counts.of_queues(connection, queue_ids)
    found: dict[str, Counter[Activity]] = {}
    for run in runs:
        counts: Counter[Activity] = Counter()
        known = None if run.queue_id is None else census.get(run.queue_id)
        if known is not None:
            for name, count in known.by_state.items():
                retried = name == "retrying"
                state = State.FAILURE.value if retried else name
                counts[states.activity(state, 0 if retried else None)] += count
        found[run.id] = counts
    return found


def _run(
    connection: Connection, organisation_id: str, run: Run, counts: Counter[Activity]
) -> RunLook:
    merged = worker_runs.configuration(connection, organisation_id, run.id)["configuration"]
    pairs = [
        (str(each["key"]), None if each["secret"] else msgspec.json.encode(each["value"]).decode())
        for each in merged
    ]
    return RunLook(run, worker_runs.told(connection, run), pairs, counts)


def _rate(connection: Connection, process: Process, runs: Sequence[Run]) -> float:
    if process.started_us is None:
        return 0.0
    at_us = now_us(connection)
    length_s = min(_RATE_S, max((at_us - process.started_us) / SECOND_US, 1.0))
    columns = works_table.c
    count = connection.scalar(
        select(func.count())
        .select_from(works_table)
        .where(
            columns.queue_id.in_([run.queue_id for run in runs if run.queue_id is not None]),
            columns.state.in_([State.SUCCESS.value, State.FAILURE.value]),
            columns.finished_us > at_us - round(length_s * SECOND_US),
        )
    )
    return (count or 0) / length_s


def _tasks(connection: Connection, process_id: str) -> Sequence[Any]:
    columns = works_table.c
    return connection.execute(
        select(
            corpus_tasks,
            columns.state,
            columns.reason,
            columns.retry_us,
            columns.attempt,
            columns.attempts_max,
            columns.started_us,
            columns.finished_us,
        )
        .join(works_table, columns.id == corpus_tasks.c.work_id)
        .where(corpus_tasks.c.process_id == process_id)
        .order_by(corpus_tasks.c.id)
        .limit(TASKS)
    ).all()


def _lines(connection: Connection, rows: Sequence[Any]) -> list[Line]:
    """Return the last lines of the tasks that run, or of those that ended last."""
    running = [row for row in rows if row.state == State.RUNNING.value]
    ended = sorted(rows, key=lambda row: row.finished_us or 0, reverse=True)
    lines: list[Line] = []
    for row in (running or ended)[:SAMPLES]:
        if row.attempt:
            lines += logs.latest(connection, row.work_id, row.attempt, limit=LINES)
    return sorted(lines, key=lambda line: line.seq)[-LINES:]


def _files(connection: Connection, process_id: str) -> list[tuple[str, str, int]]:
    columns = corpus_artifacts.c
    rows = connection.execute(
        select(columns.task_id, columns.path, columns.size_bytes)
        .join(corpus_tasks, corpus_tasks.c.id == columns.task_id)
        .where(corpus_tasks.c.process_id == process_id, columns.blob_id.is_not(None))
        .order_by(columns.task_id, columns.path)
        .limit(FILES)
    )
    return [(task_id, path, size_bytes) for task_id, path, size_bytes in rows]


_CELL: Final = (
    corpus_elements.c.name,
    corpus_types.c.slug,
    works_table.c.state,
    works_table.c.retry_us,
    works_table.c.attempt,
)


def _in_order(
    connection: Connection, process: Process, run: Run, after: str | None, limit: int
) -> Grid:
    columns = corpus_process_elements.c
    # A page of members first: joined as a whole, PostgreSQL reads all activities there are.
    members = (
        select(columns.element_id, columns.position)
        .where(columns.process_id == process.id, columns.position > _position(after))
        .order_by(columns.position)
        .limit(limit + 1)
        .subquery()
    )
    rows = connection.execute(
        select(corpus_activities.c.work_id, members.c.element_id, *_CELL, members.c.position)
        .select_from(members)
        .outerjoin(
            corpus_activities,
            (corpus_activities.c.element_id == members.c.element_id)
            & (corpus_activities.c.run_key == run.run_key),
        )
        .outerjoin(works_table, works_table.c.id == corpus_activities.c.work_id)
        .outerjoin(corpus_elements, corpus_elements.c.id == members.c.element_id)
        .outerjoin(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .order_by(members.c.position)
    ).all()
    more = str(rows[limit - 1].position) if len(rows) > limit else None
    return Grid(run, [_cell(row) for row in rows[:limit] if row.state is not None], more)


def _in_state(
    connection: Connection, run: Run, state: Activity, after: str | None, limit: int
) -> Grid:
    columns = works_table.c
    rows = connection.execute(
        select(corpus_activities.c.work_id, corpus_activities.c.element_id, *_CELL)
        .select_from(works_table)
        .join(corpus_activities, corpus_activities.c.work_id == columns.id)
        .outerjoin(corpus_elements, corpus_elements.c.id == corpus_activities.c.element_id)
        .outerjoin(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .where(columns.group_id == run.id, states.condition(state), columns.id > (after or ""))
        .order_by(columns.id)
        .limit(limit + 1)
    ).all()
    more = str(rows[limit - 1].work_id) if len(rows) > limit else None
    return Grid(run, [_cell(row) for row in rows[:limit]], more)


def _cell(row: Any) -> Cell:
    state = states.activity(row.state, row.retry_us)
    return Cell(row.element_id, row.name, row.slug, state, row.attempt, row.work_id)


def _error(error: bytes | None) -> tuple[str, str]:
    detail = {} if error is None else msgspec.json.decode(error)
    if not isinstance(detail, dict):
        return "Error", str(detail)[:_GROUPED_CHARACTERS]
    kind = str(detail.get("type") or "Error")[:_GROUPED_CHARACTERS]
    return kind, str(detail.get("message") or "no message")[:_GROUPED_CHARACTERS]


def _position(after: str | None) -> int:
    if after is None:
        return -1
    if not after.isdecimal() or len(after) > 18:
        raise InvalidRequest(
            f"after is {after[:80]!a}, which is no place in this list. Begin with its first page."
        )
    return int(after)

"""What the end of a task's program means where its exit status says too little.

The published workers end with status 1 when there is nothing to process. A task that asks the
server for each element finds nothing whenever others were quicker: another part of the same
elements, or the attempt before it, which was killed after its last element. That is no failure,
and what comes after it must not be cancelled. And where others held all that was left when it
asked, and have given some back since, it is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, exists, literal, or_, select

from longshore.engine.states import State
from longshore.engine.tables import works
from longshore.engine.works import Ending, Outcome
from longshore.surfaces.corpus import holders
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_processes,
    corpus_tasks,
    corpus_worker_runs,
)
from longshore.wire.tasks import TaskResult

_NOTHING_TO_DO: Final = 1
_LEFT: Final = (State.QUEUED, State.WAITING)


def judged(connection: Connection, endings: Sequence[Ending]) -> Sequence[Ending]:
    """Return the endings of tasks, as what they mean where they have found nothing left to do."""
    doubtful = [each for each in endings if _says_nothing_to_do(each)]
    if not doubtful:
        return endings
    tasks = _queued_tasks(connection, [each.work_id for each in doubtful])
    return [
        _judge(connection, tasks[each.work_id], each)
        if each in doubtful and each.work_id in tasks
        else each
        for each in endings
    ]


def _says_nothing_to_do(ending: Ending) -> bool:
    if ending.outcome is not Outcome.REJECTED or ending.result is None:
        return False
    try:
        result = msgspec.json.decode(ending.result, type=TaskResult | None)
    except msgspec.MsgspecError:
        # It is refused, with the reason, where results are kept.
        return False
    return result is not None and result.exit_code == _NOTHING_TO_DO


def _queued_tasks(connection: Connection, work_ids: Sequence[str]) -> dict[str, Any]:
    """Return (work, task, queue of the activities) of tasks that ask for each element."""
    rows = connection.execute(
        select(corpus_tasks.c.work_id, corpus_tasks.c.id, corpus_worker_runs.c.queue_id)
        .join(corpus_worker_runs, corpus_worker_runs.c.id == corpus_tasks.c.worker_run_id)
        .join(corpus_processes, corpus_processes.c.id == corpus_tasks.c.process_id)
        .where(
            corpus_tasks.c.work_id.in_(work_ids),
            corpus_processes.c.queued,
            corpus_processes.c.activity,
        )
    )
    return {row.work_id: row for row in rows.all()}


def _judge(connection: Connection, task: Any, ending: Ending) -> Ending:
    """Return what an ending means: a success, another try, or the failure that it says it is."""
    untouched = or_(*(_left(task.queue_id, state, works.c.attempt == 0) for state in _LEFT))
    if connection.scalar(select(or_(untouched, _had(task, ending.attempt)))):
        return ending
    if connection.scalar(select(or_(*(_left(task.queue_id, state) for state in _LEFT)))):
        return replace(ending, outcome=Outcome.FAILURE)
    return replace(ending, outcome=Outcome.SUCCESS, error=None)


def _left(queue_id: int, state: State, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether an element waits in the queue in a state, written out for the index of that state."""
    written = literal(state.value, literal_execute=True)
    return exists().where(works.c.queue_id == queue_id, works.c.state == written, *more)


def _had(task: Any, attempt: int) -> ColumnElement[bool]:
    """Whether this attempt ever held an element."""
    return exists().where(
        works.c.queue_id == task.queue_id,
        works.c.worker_id == holders.of_attempt(task.id, attempt),
        works.c.id == corpus_activities.c.work_id,
    )

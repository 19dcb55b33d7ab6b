"""Who speaks for the activities of a worker run: the attempt of a task, or a user's key.

The holder of an activity is named by it, so that what an attempt held can be found when it ends,
and a word of the attempt before it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection, literal, select

from longshore.access import Principal, tokens
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Outcome
from longshore.errors import PermissionDenied, Unauthenticated
from longshore.surfaces.corpus import processes, worker_runs
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.tables import corpus_tasks
from longshore.surfaces.corpus.worker_runs import Run

TASK: Final = "task"
KEY: Final = "key"


class Speaker(NamedTuple):
    """Who speaks, for which run.

    Attributes:
        holder: the name under which activities are held.
    """

    holder: str
    run: Run
    process: Process


def of_attempt(task_id: str, attempt: int) -> str:
    """Return the name under which an attempt of a task holds activities."""
    return f"{TASK}:{task_id}:{attempt}"


def attempt_of(holder: str) -> tuple[str, int] | None:
    """Return the task and the attempt that hold activities under a name; None for a user's key."""
    kind, _, rest = holder.partition(":")
    if kind != TASK:
        return None
    task_id, _, attempt = rest.partition(":")
    return task_id, int(attempt)


def speaker(connection: Connection, principal: Principal, run_id: str) -> Speaker:
    """Return for whom a request speaks that names a worker run.

    The attempt of a task that speaks cannot end before this transaction does, so that nothing is
    claimed by one that is over.

    Raises:
        NotFound: the organisation has no such worker run.
        PermissionDenied: a task speaks for another run than its own.
        Unauthenticated: the attempt is over.
    """
    run = worker_runs.get(connection, principal.organisation_id, run_id)
    process = processes.get(connection, principal.organisation_id, run.process_id)
    if principal.work is None:
        return Speaker(f"{KEY}:{principal.key_id}:{run.id}", run, process)
    task_id, own_run = own_task(connection, principal)
    if own_run != run.id:
        raise PermissionDenied(
            f"The token is that of a task of another worker run than {run.id}. A task speaks for "
            "its own only, which is in the variable ARKINDEX_WORKER_RUN_ID."
        )
    return Speaker(of_attempt(task_id, principal.work[1]), run, process)


def own_task(connection: Connection, principal: Principal) -> tuple[str, str | None]:
    """Return the id of the task whose token somebody speaks with, and its worker run.

    Raises:
        Unauthenticated: the attempt is over.
        PermissionDenied: the token is not that of a task, or it is a key.
    """
    if principal.work is None:
        raise PermissionDenied(
            "This is for the programs of tasks, which have a token of their own."
        )
    work_id, attempt = principal.work
    query = (
        select(works_table.c.state, works_table.c.attempt)
        .where(works_table.c.id == work_id)
        # The attempt may have ended since the token was looked at.
        .with_for_update(read=True)
    )
    work = connection.execute(query).one_or_none()
    if work is None or work.state != State.RUNNING or work.attempt != attempt:
        raise Unauthenticated(tokens.REFUSAL)
    task = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.worker_run_id).where(
            corpus_tasks.c.work_id == work_id
        )
    ).one_or_none()
    if task is None:
        raise PermissionDenied("The token is not that of a task of a process.")
    return task.id, task.worker_run_id


def release(connection: Connection, holders: Collection[str]) -> int:
    """Queue again what these hold, and return how much: their attempts are over.

    What was to be cancelled is cancelled now.
    """
    rows = connection.execute(
        select(works_table.c.id, works_table.c.attempt, works_table.c.worker_id).where(
            # Written into the statement, so that only what runs is walked through.
            works_table.c.state == literal(State.RUNNING.value, literal_execute=True),
            works_table.c.worker_id.in_(list(holders)),
        )
    ).all()
    for holder in holders:
        endings = [
            Ending(row.id, row.attempt, Outcome.HANDED_BACK)
            for row in rows
            if row.worker_id == holder
        ]
        works.finish(connection, endings, holder=holder)
    return len(rows)

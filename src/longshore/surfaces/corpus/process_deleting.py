"""Deleting processes; what their workers found stays on the elements."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from longshore.access import Principal, tokens
from longshore.engine import queues, works
from longshore.errors import Conflict
from longshore.surfaces.corpus import (
    artifacts,
    enlisting,
    processes,
    progress,
    states,
    worker_runs,
)
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_process_elements,
    corpus_process_sets,
    corpus_processes,
    corpus_tasks,
    corpus_worker_runs,
)


def destroy(connection: Connection, principal: Principal, process_id: str) -> None:
    """Delete a process that is over, with the files of its tasks and the states of its elements.

    Raises:
        NotFound: the organisation has none of that id.
        Conflict: it is not over.
    """
    process = processes.get(connection, principal.organisation_id, process_id, alone=True)
    state = progress.state_of(connection, process)
    if state in states.ACTIVE:
        raise Conflict(f"Process {process.id} is {state}. Stop it first, or wait for its end.")
    forget(connection, process.id)


def of_corpus(connection: Connection, corpus_id: str) -> list[str]:
    """Return the ids of the processes of a corpus."""
    query = select(corpus_processes.c.id).where(corpus_processes.c.corpus_id == corpus_id)
    return list(connection.execute(query.order_by(corpus_processes.c.id)).scalars())


def forget(connection: Connection, process_id: str) -> None:
    """Delete all of a process, whatever state it is in; a holder learns of it at its next word."""
    runs = worker_runs.of_process(connection, process_id)
    tasks = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.work_id).where(
            corpus_tasks.c.process_id == process_id
        )
    ).all()
    tokens.forget(connection, [row.work_id for row in tasks])
    artifacts.forget(connection, [row.id for row in tasks])
    why = "the process was deleted"
    _discard(connection, [work.id for work in works.of_group(connection, process_id)], why)
    for run in runs:
        query = select(corpus_activities.c.work_id).where(
            corpus_activities.c.worker_run_id == run.id
        )
        work_ids = list(connection.execute(query).scalars())
        _discard(connection, work_ids, why)
        table = corpus_activities
        connection.execute(delete(table).where(table.c.worker_run_id == run.id))
        if run.queue_id is not None:
            queues.remove(connection, run.queue_id)
    for of_process in (
        corpus_tasks.c.process_id,
        corpus_worker_runs.c.process_id,
        corpus_process_elements.c.process_id,
        corpus_process_sets.c.process_id,
        corpus_processes.c.id,
    ):
        connection.execute(delete(of_process.table).where(of_process == process_id))


def _discard(connection: Connection, work_ids: Sequence[str], why: str) -> None:
    for piece in enlisting.pieces(work_ids):
        works.discard(connection, piece, actor="server", why=why)

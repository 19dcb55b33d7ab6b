"""The job that deletes a corpus: its processes, its datasets and exports, elements, and the rest.

It works in steps of one transaction each. Run again, it goes on where it was. Whoever adds a table
with rows of a corpus adds it to `OF_CORPORA`, or a step to `STEPS` where there is more to do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, select

from longshore.access import tokens
from longshore.edge.jobs import Handler, JobContext
from longshore.engine import artifacts as blobs
from longshore.engine import works
from longshore.surfaces.corpus import artifacts, corpora, process_deleting, removal
from longshore.surfaces.corpus.tables import corpora as corpora_table
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_datasets,
    corpus_elements,
    corpus_entities,
    corpus_entity_types,
    corpus_exports,
    corpus_processes,
    corpus_tasks,
    corpus_types,
)
from longshore.surfaces.corpus.tables import corpus_dataset_elements as members
from longshore.surfaces.corpus.tables import corpus_dataset_sets as sets

Step = Callable[[Connection, str], Mapping[str, int]]
"""Deletes some of what a corpus has, given its id; returns how many of what, or nothing at the end."""

OF_CORPORA: Final[tuple[Table, ...]] = (
    corpus_entities,
    corpus_classes,
    corpus_entity_types,
    corpus_types,
)
"""Tables whose rows belong to the corpus in `corpus_id`, have an `id`, and need no more care."""
STEP_ROWS: Final = 1_000
_WHY: Final = "the corpus was deleted"


async def run(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Delete a corpus and what is in it; return how many of what went."""
    corpus_id = str(payload["corpus_id"])
    gone: Counter[str] = Counter()
    while await context.database.read(_is_doomed, corpus_id):
        for step in STEPS:
            while counts := await context.database.write(step, corpus_id):
                gone.update(counts)
        # Something may have come meanwhile, of a request that had begun before the deletion.
        gone.update(await context.database.write(_finish, corpus_id))
    return dict(gone)


def _stop_processes(connection: Connection, corpus_id: str) -> dict[str, int]:
    """Take the tasks of processes back, so that no worker adds to what is being deleted."""
    rows = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.work_id)
        .join(corpus_processes, corpus_processes.c.id == corpus_tasks.c.process_id)
        .where(corpus_processes.c.corpus_id == corpus_id)
        .limit(STEP_ROWS)
    ).all()
    if not rows:
        return {}
    work_ids = [row.work_id for row in rows if row.work_id is not None]
    tokens.forget(connection, work_ids)
    works.discard(connection, work_ids, actor="server", why=_WHY)
    return _forget_tasks(connection, [row.id for row in rows])


def _remove_exports(connection: Connection, corpus_id: str) -> dict[str, int]:
    query = select(corpus_exports).where(corpus_exports.c.corpus_id == corpus_id)
    rows = connection.execute(query.limit(STEP_ROWS)).all()
    if not rows:
        return {}
    works.cancel(connection, [row.work_id for row in rows], actor="server", why=_WHY)
    blobs.discard(connection, [row.blob_id for row in rows if row.blob_id is not None])
    chosen = corpus_exports.c.id.in_([row.id for row in rows])
    return {"exports": connection.execute(delete(corpus_exports).where(chosen)).rowcount}


def _remove_datasets(connection: Connection, corpus_id: str) -> dict[str, int]:
    row = connection.execute(
        select(corpus_datasets.c.id, corpus_datasets.c.task_id)
        .where(corpus_datasets.c.corpus_id == corpus_id)
        .limit(1)
    ).one_or_none()
    if row is None:
        return {}
    some = select(members.c.id).where(members.c.dataset_id == row.id).limit(STEP_ROWS)
    count = connection.execute(delete(members).where(members.c.id.in_(some))).rowcount
    if count:
        return {"dataset_elements": count}
    own = connection.execute(
        select(corpus_tasks.c.id, corpus_tasks.c.work_id).where(
            corpus_tasks.c.id == row.task_id, corpus_tasks.c.worker_run_id.is_(None)
        )
    ).one_or_none()
    gone: dict[str, int] = {}
    if own is not None:
        if own.work_id is not None:
            works.cancel(connection, [own.work_id], actor="server", why=_WHY)
        gone = _forget_tasks(connection, [own.id])
    connection.execute(delete(sets).where(sets.c.dataset_id == row.id))
    connection.execute(delete(corpus_datasets).where(corpus_datasets.c.id == row.id))
    return {"datasets": 1, **gone}


def _remove_elements(connection: Connection, corpus_id: str) -> dict[str, int]:
    query = select(corpus_elements.c.id).where(corpus_elements.c.corpus_id == corpus_id)
    some = list(
        connection.scalars(query.order_by(corpus_elements.c.id).limit(STEP_ROWS).with_for_update())
    )
    return removal.destroy(connection, some)


def _remove_processes(connection: Connection, corpus_id: str) -> dict[str, int]:
    """Delete a process, whose tasks went first and whose activities went with the elements."""
    process_ids = process_deleting.of_corpus(connection, corpus_id)
    if not process_ids:
        return {}
    process_deleting.forget(connection, process_ids[0])
    return {"processes": 1}


def _remove_rows(connection: Connection, corpus_id: str) -> dict[str, int]:
    for table in OF_CORPORA:
        some = select(table.c.id).where(table.c.corpus_id == corpus_id).limit(STEP_ROWS)
        count = connection.execute(delete(table).where(table.c.id.in_(some))).rowcount
        if count:
            return {table.name.removeprefix("corpus_"): count}
    return {}


STEPS: Final[tuple[Step, ...]] = (
    _stop_processes,
    _remove_exports,
    _remove_datasets,
    _remove_elements,
    _remove_processes,
    _remove_rows,
)
"""In their order: each is repeated until it finds nothing more."""


def _finish(connection: Connection, corpus_id: str) -> dict[str, int]:
    """Delete the corpus itself, unless something is in it again."""
    # Requests that began before the deletion keep the row; this waits for their ends.
    connection.execute(
        select(corpora_table.c.id).where(corpora_table.c.id == corpus_id).with_for_update()
    )
    for step in STEPS:
        if counts := step(connection, corpus_id):
            return dict(counts)
    connection.execute(delete(corpora_table).where(corpora_table.c.id == corpus_id))
    return {"corpora": 1}


def _is_doomed(connection: Connection, corpus_id: str) -> bool:
    query = select(corpora_table.c.id).where(
        corpora_table.c.id == corpus_id, corpora_table.c.deletion_id.is_not(None)
    )
    return connection.scalar(query) is not None


def _forget_tasks(connection: Connection, task_ids: list[str]) -> dict[str, int]:
    gone = artifacts.forget(connection, task_ids)
    count = connection.execute(delete(corpus_tasks).where(corpus_tasks.c.id.in_(task_ids))).rowcount
    return {"tasks": count, "files": gone.count, "bytes": gone.size_bytes}


HANDLERS: Final[dict[str, Handler]] = {corpora.JOB: run, removal.JOB: removal.run}
PASSES: Final[dict[str, Any]] = {}

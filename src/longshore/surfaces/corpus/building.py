"""From an open dataset to a complete one: who builds its archive, and how that ends.

Whoever completes a dataset asks the server to build the archive, in a task of its own. A worker
that builds it says so first (state building) and completes it afterwards; the archive is then
among the artifacts of the worker's task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from longshore import ids
from longshore.access import Principal
from longshore.edge.files import StoredFile
from longshore.edge.jobs import system_queue
from longshore.engine import works
from longshore.engine.states import State as WorkState
from longshore.engine.tables import is_final
from longshore.engine.tables import works as works_table
from longshore.engine.works import NewWork
from longshore.storage import now_us
from longshore.surfaces.corpus import artifacts, datasets
from longshore.surfaces.corpus.datasets import Dataset, State
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpus_datasets, corpus_tasks
from longshore.wire.tasks import TaskFile

JOB: Final = "corpus.build_dataset"
SLUG: Final = "build_dataset"
"""Slug of the tasks in which the server builds archives."""
ARCHIVE_TYPE: Final = "application/zstd"
PASS_DATASETS: Final = 100


def archive_path(dataset_id: str) -> str:
    """Return the path of a dataset's archive among the artifacts of its task."""
    return f"{dataset_id}.tar.zst"


def change_state(
    connection: Connection, principal: Principal, dataset: Dataset, wanted: State, site: str
) -> None:
    """Bring a dataset into another state; the one that it has already is fine.

    Args:
        connection: of the transaction; the dataset is locked in it.
        principal: who wants it.
        dataset: as it is now.
        wanted: the state; for COMPLETE the dataset is being built until its archive is there.
        site: root of the server's addresses, for the images in the archive.

    Raises:
        InvalidRequest: the dataset is complete.
    """
    if wanted is dataset.state:
        return
    if dataset.state is State.COMPLETE:
        raise refusal(
            f"state: dataset {dataset.id} is complete, which cannot be undone. Make another "
            "dataset.",
            "state",
            code="immutable",
        )
    own_task = _own_task(connection, principal)
    if wanted is State.COMPLETE:
        if dataset.state is State.BUILDING and _server_builds(connection, dataset):
            return
        if own_task is not None and own_task == dataset.task_id:
            datasets.put(connection, dataset.id, state=State.COMPLETE.value)
            return
        _build(connection, principal, dataset, site)
        return
    stop(connection, principal, dataset)
    task_id = own_task if wanted is State.BUILDING else None
    datasets.put(connection, dataset.id, state=wanted.value, task_id=task_id)


def remove(connection: Connection, principal: Principal, dataset: Dataset) -> None:
    """Delete a dataset, and the archive that the server built of it."""
    stop(connection, principal, dataset)
    if dataset.task_id is not None and _is_system_task(connection, dataset.task_id):
        artifacts.forget(connection, [dataset.task_id])
        connection.execute(delete(corpus_tasks).where(corpus_tasks.c.id == dataset.task_id))
    datasets.remove(connection, dataset)


def stop(connection: Connection, principal: Principal, dataset: Dataset) -> None:
    """Let the server stop building a dataset, if it does."""
    if dataset.state is State.BUILDING and _server_builds(connection, dataset):
        work_id = connection.scalar(
            select(corpus_tasks.c.work_id).where(corpus_tasks.c.id == dataset.task_id)
        )
        if work_id is not None:
            works.cancel(
                connection, [work_id], actor=principal.key_id, why="the dataset was changed"
            )


def is_wanted(connection: Connection, dataset_id: str, task_id: str) -> bool:
    """Return whether a task of the server is still the one that is to build a dataset."""
    return (
        connection.scalar(
            select(corpus_datasets.c.id).where(
                corpus_datasets.c.id == dataset_id,
                corpus_datasets.c.task_id == task_id,
                corpus_datasets.c.state == State.BUILDING.value,
            )
        )
        is not None
    )


def complete(
    connection: Connection,
    organisation_id: str,
    dataset_id: str,
    task_id: str,
    stored: StoredFile,
) -> bool:
    """Make a dataset complete with its archive; False where nobody wants it any more."""
    row = connection.execute(
        select(corpus_datasets.c.id).where(corpus_datasets.c.id == dataset_id).with_for_update()
    ).one_or_none()
    if row is None or not is_wanted(connection, dataset_id, task_id):
        return False
    file = TaskFile(
        path=archive_path(dataset_id),
        blob_id=stored.blob_id,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        content_type=ARCHIVE_TYPE,
    )
    artifacts.add(connection, organisation_id, task_id, [file])
    datasets.put(connection, dataset_id, state=State.COMPLETE.value)
    return True


def fail(connection: Connection, dataset_id: str, task_id: str) -> None:
    """Note that a task of the server could not build a dataset."""
    connection.execute(
        update(corpus_datasets)
        .where(
            corpus_datasets.c.id == dataset_id,
            corpus_datasets.c.task_id == task_id,
            corpus_datasets.c.state == State.BUILDING.value,
        )
        .values(state=State.ERROR.value, updated_us=now_us(connection))
    )


def follow(connection: Connection) -> Mapping[str, int]:
    """Note which datasets the server gave up to build; a regular pass."""
    given_up = (
        select(corpus_datasets.c.id, corpus_datasets.c.task_id)
        .join(corpus_tasks, corpus_tasks.c.id == corpus_datasets.c.task_id)
        .join(works_table, works_table.c.id == corpus_tasks.c.work_id)
        .where(
            corpus_datasets.c.state == State.BUILDING.value,
            corpus_tasks.c.worker_run_id.is_(None),
            works_table.c.state != WorkState.SUCCESS.value,
            is_final(works_table),
        )
        .limit(PASS_DATASETS)
    )
    rows = connection.execute(given_up).all()
    for row in rows:
        fail(connection, row.id, row.task_id)
    return {"given_up": len(rows)}


def _build(connection: Connection, principal: Principal, dataset: Dataset, site: str) -> None:
    task_id = ids.uuid()
    payload = {"job": JOB, "dataset_id": dataset.id, "task_id": task_id, "site": site}
    new = NewWork(system_queue(connection, principal.organisation_id), json.dumps(payload).encode())
    work = works.submit(connection, [new], actor=principal.key_name)[0]
    connection.execute(
        insert(corpus_tasks).values(
            id=task_id,
            organisation_id=principal.organisation_id,
            work_id=work.id,
            slug=SLUG,
            parents="[]",
            created_us=now_us(connection),
        )
    )
    datasets.put(connection, dataset.id, state=State.BUILDING.value, task_id=task_id)


def _own_task(connection: Connection, principal: Principal) -> str | None:
    if principal.work is None:
        return None
    return connection.scalar(
        select(corpus_tasks.c.id).where(corpus_tasks.c.work_id == principal.work[0])
    )


def _server_builds(connection: Connection, dataset: Dataset) -> bool:
    return dataset.task_id is not None and _is_system_task(connection, dataset.task_id)


def _is_system_task(connection: Connection, task_id: str) -> bool:
    query = select(corpus_tasks.c.id).where(
        corpus_tasks.c.id == task_id, corpus_tasks.c.worker_run_id.is_(None)
    )
    return connection.scalar(query) is not None

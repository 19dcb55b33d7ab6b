"""The first task of a process with a cache: the server writes its elements into a database.

It is the parent of the first tasks of workers, which find it among its files: as `db.sqlite`, or
as `db_1.sqlite` and so on where the elements are split. The published 0.4.0 takes its elements
from there, and hands on what it finds on them in a database of the same form.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, select

from longshore import limits
from longshore.edge import files
from longshore.edge.files import StoredFile
from longshore.edge.jobs import JobContext, system_queue
from longshore.engine.works import NewWork
from longshore.errors import DiskFull, NotFound, Reject, Unavailable
from longshore.surfaces.corpus import artifacts, gathering, processes
from longshore.surfaces.corpus.cache_database import CacheDatabase
from longshore.surfaces.corpus.exports import file_pieces
from longshore.surfaces.corpus.parts import bounds
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.tables import corpus_process_elements, corpus_tasks
from longshore.wire.tasks import TaskFile

JOB: Final = "corpus.init_elements"
SLUG: Final = "init_elements"
"""Slug of the task, as the published platform has it."""
_TYPE: Final = "application/vnd.sqlite3"


def work_of(
    connection: Connection, process: Process, task_id: str, work_id: str, site: str
) -> NewWork:
    """Return the work of the task; `site` is the root of the addresses of images."""
    payload = {"job": JOB, "process_id": process.id, "task_id": task_id, "site": site}
    return NewWork(
        system_queue(connection, process.organisation_id),
        json.dumps(payload).encode(),
        id=work_id,
        group_id=process.id,
    )


async def init(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Write the databases of a process; run again it writes them anew.

    Raises:
        DiskFull, Unavailable: as they came; the job is tried again.
        Reject: anything else, after which the tasks that wait for the databases are cancelled.
    """
    try:
        return await _init(context, payload)
    except (DiskFull, Unavailable, Reject):
        raise
    except Exception as error:
        raise Reject(f"The cache of the process cannot be written ({error}).") from error


async def _init(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    task_id = str(payload["task_id"])
    try:
        process = await context.database.read(
            processes.get, context.organisation_id, str(payload["process_id"])
        )
    except NotFound as error:
        raise Reject(error.message) from error
    elements = process.elements or 0
    count = min(process.chunks, elements)
    for chunk in [None] if count == 1 else range(1, count + 1):
        chosen = await context.database.read(_elements, process.id, *bounds(chunk, count, elements))
        name = "db.sqlite" if chunk is None else f"db_{chunk}.sqlite"
        with tempfile.TemporaryDirectory(prefix="longshore-cache-") as directory:
            path = Path(directory, name)
            await _write(context, path, chosen, str(payload["site"]))
            stored = await files.receive(
                context, context.organisation_id, file_pieces(path), limits.ARTIFACT_BYTES
            )
        await context.database.write(_keep, context.organisation_id, task_id, name, stored)
    return {"elements": elements, "files": count}


async def _write(context: JobContext, path: Path, element_ids: Sequence[str], site: str) -> None:
    made = await asyncio.to_thread(CacheDatabase, path, site)
    with closing(made):
        # Workers take what the cache has for all there is, and hand it on as their own.
        pieces = gathering.of_elements(context.database, element_ids, found_on_them=False)
        async for piece in pieces:
            await asyncio.to_thread(made.add, piece)
        await asyncio.to_thread(made.finish)
    await asyncio.to_thread(_mark, path)


def _mark(path: Path) -> None:
    """Say that these are the elements to be processed, not such as were found on the way."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE elements SET initial = 1")
        connection.commit()


def _elements(connection: Connection, process_id: str, first: int, behind: int) -> list[str]:
    table = corpus_process_elements
    query = (
        select(table.c.element_id)
        .where(
            table.c.process_id == process_id, table.c.position >= first, table.c.position < behind
        )
        .order_by(table.c.position)
    )
    return list(connection.execute(query).scalars())


def _keep(
    connection: Connection, organisation_id: str, task_id: str, name: str, stored: StoredFile
) -> None:
    known = select(corpus_tasks.c.id).where(corpus_tasks.c.id == task_id)
    if connection.scalar(known) is None:
        # What nobody stores is swept away.
        raise Reject("The process was deleted while its cache was written.")
    file = TaskFile(
        path=name,
        blob_id=stored.blob_id,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        content_type=_TYPE,
    )
    artifacts.add(connection, organisation_id, task_id, [file])

"""Exports of corpora: asked for, written by a job of the server, downloaded, and forgotten."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import iso, to_us
from longshore.edge import files
from longshore.edge.files import StoredFile
from longshore.edge.jobs import JobContext, system_queue
from longshore.edge.wakeups import EXPORTS
from longshore.engine import artifacts as blobs
from longshore.engine import works
from longshore.engine.states import State as WorkState
from longshore.engine.tables import is_final
from longshore.engine.tables import works as works_table
from longshore.engine.works import NewWork
from longshore.errors import Conflict, DiskFull, NotFound, Reject, Unavailable
from longshore.storage import notify, now_us
from longshore.surfaces.corpus import datasets, export_runs, gathering, links, scope
from longshore.surfaces.corpus.export_database import ExportDatabase
from longshore.surfaces.corpus.links import Download
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpora, corpus_datasets, corpus_exports

JOB: Final = "corpus.export"
MEDIA_TYPE: Final = "application/vnd.sqlite3"
PASS_EXPORTS: Final = 100
_FILE_PIECE_BYTES: Final = 1024 * 1024


class NewExport(msgspec.Struct, frozen=True):
    """What is to be exported.

    Attributes:
        dataset_id: only the elements of this dataset and what is below them.
        force: also when there is a fresh one; an addition of ours.
    """

    dataset_id: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the job of an export has to know."""

    corpus_id: str
    dataset_id: str | None


def start(
    connection: Connection, principal: Principal, corpus_id: str, new: NewExport, site: str
) -> dict[str, Any]:
    """Let a corpus or a dataset of it be exported; return the export as it is sent.

    Raises:
        NotFound: there is no such corpus.
        InvalidRequest: it has no such dataset; one like this is running (`running_export`), or was
            done within the last `limits.EXPORT_FRESH_S` (`existing_export`).
    """
    corpus_id = scope.corpus(connection, principal.organisation_id, corpus_id, alone=True)
    dataset_id = None
    if new.dataset_id is not None:
        dataset = datasets.named(connection, corpus_id, new.dataset_id, attr="dataset_id")
        dataset_id = dataset.id
    _refuse_another(connection, corpus_id, dataset_id, force=new.force)
    export_id, at_us = ids.uuid(), now_us(connection)
    payload = {"job": JOB, "export_id": export_id, "site": site}
    queue_id = system_queue(connection, principal.organisation_id)
    work = works.submit(
        connection, [NewWork(queue_id, json.dumps(payload).encode())], actor=principal.key_name
    )[0]
    connection.execute(
        insert(corpus_exports).values(
            id=export_id,
            corpus_id=corpus_id,
            dataset_id=dataset_id,
            state="created",
            creator=principal.key_name,
            work_id=work.id,
            created_us=at_us,
            updated_us=at_us,
        )
    )
    return _shown(_get(connection, principal.organisation_id, export_id))


def listing(
    connection: Connection,
    organisation_id: str,
    corpus_id: str,
    dataset_id: str | None,
    page: Page,
) -> dict[str, Any]:
    """Return a page of the exports of a corpus, the newest first; of a dataset where one is named.

    Raises:
        NotFound: there is no such corpus or page.
        InvalidRequest: it has no such dataset.
    """
    chosen = corpus_exports.c.corpus_id == scope.corpus(connection, organisation_id, corpus_id)
    if dataset_id is not None:
        dataset = datasets.named(connection, corpus_id, dataset_id, attr="dataset_id")
        chosen &= corpus_exports.c.dataset_id == dataset.id
    count = connection.scalar(select(func.count()).select_from(corpus_exports).where(chosen)) or 0
    query = select(corpus_exports).where(chosen).order_by(corpus_exports.c.id.desc())
    rows = connection.execute(query.offset(page.offset).limit(page.size)).all()
    return page.answer([_shown(row) for row in rows], count)


def show(connection: Connection, organisation_id: str, export_id: str) -> dict[str, Any]:
    """Return an export as it is sent.

    Raises:
        NotFound: there is none of that id.
    """
    return _shown(_get(connection, organisation_id, export_id))


def offer(connection: Connection, organisation_id: str, export_id: str) -> tuple[str, str]:
    """Let an export be had without a key for a while; return the secret and the name of the file.

    Raises:
        NotFound: there is none of that id.
        Conflict: it is not done.
    """
    row = _get(connection, organisation_id, export_id)
    if row.state != "done":
        raise Conflict(
            f"Export {row.id} is {row.state}, so that there is nothing to download. Ask again "
            "when ListExports says that it is done."
        )
    name = f"{row.corpus_id}-{iso(row.created_us)}.sqlite".replace(":", "")
    return links.offer(connection, Download(organisation_id, row.blob_id, name, MEDIA_TYPE)), name


def remove(connection: Connection, principal: Principal, export_id: str) -> None:
    """Delete an export; one that is being written is not written any more.

    Raises:
        NotFound: there is none of that id.
    """
    row = _get(connection, principal.organisation_id, export_id)
    works.cancel(connection, [row.work_id], actor=principal.key_id, why="the export was deleted")
    _forget(connection, [row])


def sweep(connection: Connection) -> Mapping[str, int]:
    """Delete exports that are too old, and note which ones were given up; a regular pass."""
    old_us = now_us(connection) - to_us(limits.EXPORT_KEPT_S)
    old = connection.execute(
        select(corpus_exports)
        .where(corpus_exports.c.created_us < old_us)
        .order_by(corpus_exports.c.created_us)
        .limit(PASS_EXPORTS)
    ).all()
    _forget(connection, old)
    given_up = (
        select(corpus_exports.c.id)
        .join(works_table, works_table.c.id == corpus_exports.c.work_id)
        .where(
            corpus_exports.c.state.in_(("created", "running")),
            works_table.c.state != WorkState.SUCCESS.value,
            is_final(works_table),
        )
        .limit(PASS_EXPORTS)
    )
    failed = connection.execute(
        update(corpus_exports)
        .where(corpus_exports.c.id.in_(given_up))
        .values(state="failed", updated_us=now_us(connection))
    ).rowcount
    return {"expired": len(old), "given_up": failed}


async def export(context: JobContext, payload: dict[str, Any]) -> dict[str, int]:
    """Write an export into the blob store; run again it starts from the beginning."""
    export_id = str(payload["export_id"])
    wanted = await context.database.write(_begin, context.organisation_id, export_id)
    if wanted is None:
        return {}
    failed = partial(context.database.write, _put, export_id, state="failed")
    async with giving_up(failed, f"Export {export_id}"):
        with tempfile.TemporaryDirectory(prefix="longshore-export-") as directory:
            path = Path(directory, "export.sqlite")
            counts = await _write(context, wanted, path, str(payload["site"]))
            stored = await files.receive(
                context, context.organisation_id, file_pieces(path), limits.ARTIFACT_BYTES
            )
        if not await context.database.write(_end, export_id, stored):
            await context.database.write(blobs.condemn, [stored.blob_id])
    return {**counts, "bytes": stored.size_bytes}


@asynccontextmanager
async def giving_up(note: Callable[[], Awaitable[None]], what: str) -> AsyncIterator[None]:
    """Let a job fail for good, and `note` it, on anything but a fault that passes by itself.

    Raises:
        DiskFull, Unavailable: as they came; the job is tried again.
        Reject: anything else.
    """
    try:
        yield
    except (DiskFull, Unavailable):
        raise
    except Exception as error:
        await note()
        raise Reject(f"{what} cannot be written ({error}).") from error


async def file_pieces(path: Path) -> AsyncIterator[bytes]:
    """Read a file, a piece at a time."""
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _FILE_PIECE_BYTES):
            yield piece


async def _write(context: JobContext, wanted: Wanted, path: Path, site: str) -> dict[str, int]:
    database = context.database
    made = await asyncio.to_thread(ExportDatabase, path, site)
    with closing(made):
        types = await database.read(gathering.entity_types, wanted.corpus_id)
        await asyncio.to_thread(made.add_entity_types, types)
        async for piece in gathering.pieces(database, wanted.corpus_id, wanted.dataset_id):
            await asyncio.to_thread(made.add, piece)
        after = ""
        while rows := await database.read(gathering.entities, wanted.corpus_id, after):
            await asyncio.to_thread(made.add_entities, rows)
            after = rows[-1].id
        for each in await database.read(_datasets, wanted):
            await asyncio.to_thread(made.add_dataset, *each)
            async for members in gathering.members(database, each[0]):
                await asyncio.to_thread(made.add_members, each[0], members)
        runs = await database.read(export_runs.read, made.worker_run_ids)
        await asyncio.to_thread(made.add_runs, *runs)
        return await asyncio.to_thread(made.finish)


def _datasets(
    connection: Connection, wanted: Wanted
) -> list[tuple[str, str, str, str, Sequence[str]]]:
    chosen = corpus_datasets.c.corpus_id == wanted.corpus_id
    if wanted.dataset_id is not None:
        chosen &= corpus_datasets.c.id == wanted.dataset_id
    rows = connection.execute(select(corpus_datasets).where(chosen)).all()
    return [
        (row.id, row.name, row.description, row.state, datasets.set_names(connection, row.id))
        for row in rows
    ]


def _refuse_another(
    connection: Connection, corpus_id: str, dataset_id: str | None, *, force: bool
) -> None:
    """Refuse an export where the client would find another one by ListExports instead.

    It takes the newest in that list, so an export that is not the newest there is in nobody's way.
    """
    chosen = corpus_exports.c.corpus_id == corpus_id
    if dataset_id is not None:
        chosen &= corpus_exports.c.dataset_id == dataset_id
    newest = connection.execute(
        select(corpus_exports).where(chosen).order_by(corpus_exports.c.id.desc()).limit(1)
    ).one_or_none()
    if newest is None or newest.dataset_id != dataset_id:
        return
    if newest.state in ("created", "running"):
        raise refusal(
            f"Export {newest.id} is under way already. Wait until it is done.",
            code="running_export",
        )
    fresh_us = now_us(connection) - to_us(limits.EXPORT_FRESH_S)
    if newest.state == "done" and newest.created_us > fresh_us and not force:
        raise refusal(
            f"Export {newest.id} was done within the last {limits.EXPORT_FRESH_S / 3600:.0f} hours. "
            "Use that one, or send `force` to have another.",
            code="existing_export",
        )


def _begin(connection: Connection, organisation_id: str, export_id: str) -> Wanted | None:
    try:
        row = _get(connection, organisation_id, export_id)
    except NotFound:
        return None
    if row.state not in ("created", "running"):
        return None
    _put(connection, export_id, state="running")
    return Wanted(row.corpus_id, row.dataset_id)


def _end(connection: Connection, export_id: str, stored: StoredFile) -> bool:
    """Note that an export is written; False where it was deleted meanwhile."""
    row = connection.execute(
        select(corpus_exports.c.state).where(corpus_exports.c.id == export_id).with_for_update()
    ).one_or_none()
    if row is None or row.state != "running":
        return False
    blobs.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    _put(
        connection,
        export_id,
        state="done",
        blob_id=stored.blob_id,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    return True


def _put(connection: Connection, export_id: str, /, **values: Any) -> None:
    connection.execute(
        update(corpus_exports)
        .where(corpus_exports.c.id == export_id)
        .values(**values, updated_us=now_us(connection))
    )
    notify(connection, EXPORTS)


def _forget(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    blobs.discard(connection, [row.blob_id for row in rows if row.blob_id is not None])
    connection.execute(
        delete(corpus_exports).where(corpus_exports.c.id.in_([row.id for row in rows]))
    )


def _get(connection: Connection, organisation_id: str, export_id: str) -> Row[Any]:
    given = scope.uuid_of(export_id)
    row = None
    if given is not None:
        row = connection.execute(
            select(corpus_exports)
            .join(corpora, corpora.c.id == corpus_exports.c.corpus_id)
            .where(
                corpus_exports.c.id == given,
                corpora.c.organisation_id == organisation_id,
                corpora.c.deletion_id.is_(None),
            )
        ).one_or_none()
    if row is None:
        raise NotFound(f"There is no export {export_id[:80]}.")
    return row


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "corpus_id": row.corpus_id,
        "dataset_id": row.dataset_id,
        "state": row.state,
        "source": "default",
        "size": row.size_bytes,
        "user": {"display_name": row.creator},
        "created": iso(row.created_us),
        "updated": iso(row.updated_us),
    }

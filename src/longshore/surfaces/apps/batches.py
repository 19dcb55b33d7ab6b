"""Batches: named, reusable sets of input files.

A batch is a row and a folder of the drive. Its files may be added, replaced and removed while
its id stays the same, and it may feed many runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from longshore.access import Permission, Principal
from longshore.access.names import checked_name
from longshore.edge.files import StoredFile
from longshore.edge.paging import Page
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.apps import deletions, files, naming, scopes, tokens
from longshore.surfaces.apps.deletions import WHOLE
from longshore.surfaces.apps.files import DriveFile
from longshore.surfaces.apps.naming import DrivePath
from longshore.surfaces.apps.tables import app_runs, batches
from longshore.wire import apps as wire

FOLDER: Final = "batches"
"""Folder of the drive that holds the folders of all batches."""

_LARGEST_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch; `folder` is the whole path of its files' folder."""

    id: int
    organisation_id: str
    workspace: str
    name: str
    owner: str
    folder: str
    created_us: int
    updated_us: int
    deleting_us: int | None

    def path(self, name: str) -> str:
        """Return the path of the file of that name."""
        return f"{self.folder}/{name}"


_COLUMNS = [batches.c[name] for name in Batch.__dataclass_fields__]


def create(connection: Connection, principal: Principal, request: wire.BatchRequest) -> wire.Batch:
    """Make an empty batch; its workspace is made on first use."""
    name = checked_name(request.name, "batch")
    workspace = scopes.workspace_for(connection, principal, request.workspace)
    at_us = now_us(connection)
    made = connection.execute(
        insert(batches)
        .values(
            organisation_id=principal.organisation_id,
            workspace_id=workspace.id,
            workspace=workspace.name,
            name=name,
            owner=principal.key_name,
            folder="",
            created_us=at_us,
            updated_us=at_us,
        )
        .returning(batches.c.id)
    )
    batch_id = int(made.scalar_one())
    # The folder bears the id, which the database has only now given.
    folder = naming.drive_path(principal.organisation_id, workspace.name, f"{FOLDER}/{batch_id}")
    connection.execute(update(batches).where(batches.c.id == batch_id).values(folder=folder))
    return wire.Batch(id=batch_id)


def number(batch_id: str) -> int:
    """Return a batch's id from the URL; InvalidRequest if it is not a number."""
    if not batch_id.isascii() or not batch_id.isdecimal():
        raise InvalidRequest(
            f"The batch id {batch_id[:80]!a} is not a whole number. Use the id that creating the "
            "batch returned."
        )
    # A number that no row can have is treated like one that no row has.
    return min(int(batch_id[:20]), _LARGEST_ID)


def require(
    connection: Connection, principal: Principal, batch_id: int, *, lock: bool = False
) -> Batch:
    """Return a batch that the key reaches; NotFound otherwise.

    With `lock`, nobody else changes it before this transaction ends.
    """
    query = select(*_COLUMNS).where(
        batches.c.id == min(batch_id, _LARGEST_ID),
        batches.c.organisation_id == principal.organisation_id,
    )
    # SQLite has one writer at a time and leaves the clause out.
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None or not scopes.reaches(principal, row.workspace):
        raise NotFound(
            f"There is no batch {batch_id} for this key. Check the id, or list the batches to see "
            "which there are."
        )
    return _batch(row)


def usable(
    connection: Connection, principal: Principal, batch_id: int, *, lock: bool = True
) -> Batch:
    """Return a batch that is not being deleted and will not be before the transaction ends.

    Raises:
        NotFound: the key reaches no such batch.
        Conflict: its deletion was asked for.
    """
    batch = require(connection, principal, batch_id, lock=lock)
    if batch.deleting_us is not None:
        raise Conflict(
            f"Batch {batch_id} is being deleted, so it can no longer be used. Create a new one."
        )
    return batch


def by_folder(connection: Connection, principal: Principal, folder: str) -> Batch | None:
    """Return the batch whose files lie in `folder`, or None."""
    row = connection.execute(
        select(*_COLUMNS).where(
            batches.c.organisation_id == principal.organisation_id, batches.c.folder == folder
        )
    ).one_or_none()
    return None if row is None else _batch(row)


def info(connection: Connection, principal: Principal, batch_id: int) -> wire.BatchInfo:
    """Return what a listing shows of a batch."""
    return _info(principal, require(connection, principal, batch_id))


def listing(
    connection: Connection,
    principal: Principal,
    page: Page,
    *,
    workspace: str | None = None,
    username: str | None = None,
) -> wire.BatchList:
    """Return the batches that the key reaches, newest first."""
    query = select(*_COLUMNS).where(batches.c.organisation_id == principal.organisation_id)
    if principal.workspace_id is not None:
        query = query.where(batches.c.workspace_id == principal.workspace_id)
    if workspace is not None:
        query = query.where(batches.c.workspace == workspace)
    if username is not None:
        query = query.where(batches.c.owner == username)
    rows = connection.execute(
        query.order_by(batches.c.id.desc()).limit(page.limit).offset(page.offset)
    )
    return wire.BatchList(batches=[_info(principal, _batch(row)) for row in rows])


def list_files(
    connection: Connection,
    principal: Principal,
    batch_id: int,
    *,
    page_size: int | None = None,
    start_token: str | None = None,
) -> wire.NodePage:
    """Return one page of a batch's files, by name.

    Raises:
        InvalidRequest: the page size is below 1, or the token was not given by this server.
    """
    batch = require(connection, principal, batch_id)
    size = tokens.page_rows(page_size)
    place = tokens.decode(start_token)
    after = batch.path(place) if place else ""
    found = files.page(connection, batch.organisation_id, batch.folder, after=after, limit=size + 1)
    shown = found[:size]
    more = len(found) > size
    may_change = principal.allows(Permission.OPERATE)
    return wire.NodePage(
        nodes=[node(file, batch.folder, may_change=may_change) for file in shown],
        next_page_token=tokens.encode(shown[-1].path[len(batch.folder) + 1 :]) if more else None,
        has_more=more,
    )


def node(file: DriveFile, folder: str, *, may_change: bool) -> wire.Node:
    """Return what a listing of `folder` shows of a file."""
    return wire.Node(
        full_path=file.path,
        name=file.path[len(folder) + 1 :],
        metadata=wire.NodeMetadata(
            node_type="file",
            size=file.size_bytes,
            modified_timestamp=file.modified_us // 1_000_000,
        ),
        perms=wire.NodePermissions(can_read=True, can_write=may_change, can_delete=may_change),
    )


def check_upload(connection: Connection, principal: Principal, batch_id: int, name: str) -> None:
    """Raise what `add_file` would raise, before a byte of the file is taken in."""
    naming.checked_file_name(name)
    usable(connection, principal, batch_id, lock=False)


def add_file(
    connection: Connection, principal: Principal, batch_id: int, name: str, stored: StoredFile
) -> str:
    """Add received bytes to a batch as a file, replacing one of the same name; return its path.

    Raises:
        NotFound, Conflict: see `usable`.
        InvalidRequest: the name may not be one, or the file is empty.
    """
    batch = usable(connection, principal, batch_id)
    naming.checked_file_name(name)
    refuse_empty(stored.size_bytes, name)
    path = naming.checked_path(batch.path(name))
    files.write(connection, batch.organisation_id, path, stored)
    _touch(connection, batch)
    return path


def refuse_empty(size_bytes: int, name: str) -> None:
    """Raise InvalidRequest for a file without content."""
    if size_bytes == 0:
        raise InvalidRequest(
            f"The file {name[:80]!a} is empty (0 bytes), so it was not stored. Check that it was "
            "opened in binary mode and not read before."
        )


def delete_file(connection: Connection, principal: Principal, batch_id: int, name: str) -> str:
    """Delete a file of a batch and return the job that removes its bytes.

    A repeated request gets the same job.

    Raises:
        NotFound: the key reaches no such batch, or the batch never had such a file.
    """
    batch = require(connection, principal, batch_id)
    path = batch.path(naming.checked_file_name(name))
    job_id = deletions.delete_path(connection, principal, path)
    if job_id is None:
        raise NotFound(
            f"Batch {batch_id} has no file {name[:80]!a}. List its files to see which there are."
        )
    _touch(connection, batch)
    return job_id


def delete(connection: Connection, principal: Principal, batch_id: int) -> wire.DeletionJob:
    """Have a batch and all its files deleted; a repeated request gets the same job.

    Raises:
        NotFound: the key reaches no such batch and none was deleted.
        Conflict: a run over it is not finished.
    """
    target = deletion_target(batch_id)
    known = deletions.find(connection, principal.organisation_id, target, WHOLE)
    if known is not None:
        job_id = deletions.resume(connection, known, actor=principal.key_name)
        assert job_id is not None
        return wire.DeletionJob(job_id=job_id)
    batch = require(connection, principal, batch_id, lock=True)
    refuse_used(connection, batch)
    connection.execute(
        update(batches).where(batches.c.id == batch_id).values(deleting_us=now_us(connection))
    )
    job = {"job": "apps.delete_batch", "batch_id": batch_id}
    started = deletions.start(
        connection, batch.organisation_id, target, WHOLE, job, actor=principal.key_name
    )
    return wire.DeletionJob(job_id=started.work_id)


def deletion_target(batch_id: int) -> str:
    """Return the name under which the deletion of a batch is kept."""
    return f"batch:{batch_id}"


def refuse_folder(path: DrivePath) -> None:
    """Raise InvalidRequest for an output folder among those that are kept for batches."""
    if path.rest.split("/")[0] == FOLDER:
        raise InvalidRequest(
            f"output_dir lies in {FOLDER!r}, which is kept for the files of batches. Choose "
            "another folder."
        )


def refuse_used(connection: Connection, batch: Batch, *, except_run: str | None = None) -> None:
    """Raise Conflict while a run over the batch is not finished."""
    running = connection.execute(
        select(app_runs.c.id).where(
            app_runs.c.batch_id == batch.id,
            app_runs.c.status == wire.RunStatus.RUNNING,
            app_runs.c.id != (except_run or ""),
        )
    ).scalar()
    if running is not None:
        raise Conflict(
            f"Batch {batch.id} is in use by run {running}, which is not finished. Wait for its "
            "end or cancel it, then delete the batch.",
            details={"run_id": running},
        )


def _touch(connection: Connection, batch: Batch) -> None:
    connection.execute(
        update(batches).where(batches.c.id == batch.id).values(updated_us=now_us(connection))
    )


def _info(principal: Principal, batch: Batch) -> wire.BatchInfo:
    return wire.BatchInfo(
        id=batch.id,
        name=batch.name,
        workspace=batch.workspace,
        mount_point=naming.DRIVE,
        repo_owner=principal.organisation_name,
        batch_owner=batch.owner,
        created_at_ms=batch.created_us // 1_000,
        updated_at_ms=batch.updated_us // 1_000,
        path_suffix=f"{FOLDER}/{batch.id}",
        path=batch.folder,
    )


def _batch(row: Row[Any]) -> Batch:
    return Batch(**row._asdict())

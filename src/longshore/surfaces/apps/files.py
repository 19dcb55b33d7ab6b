"""The drive: files by path, whatever they are for (inputs of batches, outputs of runs, others).

A folder is there as long as a file lies below it. Bytes are blobs; a blob is given up when no
file and no running run points to it any more. Nothing here looks beyond one organisation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore.edge.files import StoredFile
from longshore.engine import artifacts
from longshore.errors import Conflict, PreconditionFailed
from longshore.storage import now_us
from longshore.surfaces.apps.tables import app_runs, drive_files, run_files

CHUNK_FILES: Final = 100
"""Files that one step of a deletion takes."""


@dataclass(frozen=True, slots=True)
class DriveFile:
    """A file of the drive; `path` starts with the organisation's id."""

    path: str
    blob_id: str
    size_bytes: int
    sha256: str
    run_id: str | None
    modified_us: int


@dataclass(frozen=True, slots=True)
class Gone:
    """What a deletion removed: rows, and the blobs whose bytes are now free to go."""

    rows: int = 0
    blob_ids: tuple[str, ...] = ()
    size_bytes: int = 0

    def __add__(self, other: Gone) -> Gone:
        """Return both together."""
        return Gone(
            self.rows + other.rows,
            self.blob_ids + other.blob_ids,
            self.size_bytes + other.size_bytes,
        )


_COLUMNS = [drive_files.c[name] for name in DriveFile.__dataclass_fields__]


def below(column: Any, folder: str) -> ColumnElement[bool]:
    """Return the condition that a path lies below `folder`, as a range of the index."""
    # "0" is the character after "/".
    return and_(column > f"{folder}/", column < f"{folder}0")


def find(connection: Connection, organisation_id: str, path: str) -> DriveFile | None:
    """Return the file at a path, or None."""
    row = connection.execute(
        select(*_COLUMNS).where(
            drive_files.c.organisation_id == organisation_id, drive_files.c.path == path
        )
    ).one_or_none()
    return None if row is None else _file(row)


def page(
    connection: Connection,
    organisation_id: str,
    folder: str,
    *,
    after: str = "",
    at_least: str = "",
    limit: int,
    lock: bool = False,
) -> list[DriveFile]:
    """Return files at any depth below `folder`, in the order of their paths.

    Only those whose path sorts behind `after` and not before `at_least`. With `lock`, none of
    them is replaced or deleted before this transaction ends.
    """
    query = (
        select(*_COLUMNS)
        .where(
            drive_files.c.organisation_id == organisation_id,
            below(drive_files.c.path, folder),
            drive_files.c.path > after,
            drive_files.c.path >= at_least,
        )
        .order_by(drive_files.c.path)
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(read=True)
    return [_file(row) for row in connection.execute(query)]


def write(
    connection: Connection,
    organisation_id: str,
    path: str,
    new: StoredFile,
    *,
    run_id: str | None = None,
    only_new: bool = False,
) -> None:
    """Put received bytes at a path; what was there before is given up.

    Raises:
        Conflict: the path is a folder, or leads through a file.
        PreconditionFailed: `only_new`, and there is a file.
    """
    artifacts.store(connection, new.blob_id, size_bytes=new.size_bytes, sha256=new.sha256)
    attach(connection, organisation_id, path, new, run_id=run_id, only_new=only_new)


def attach(
    connection: Connection,
    organisation_id: str,
    path: str,
    new: StoredFile,
    *,
    run_id: str | None = None,
    only_new: bool = False,
) -> None:
    """Do what `write` does, for a blob that is stored already."""
    check_place(connection, organisation_id, path)
    values = {
        "blob_id": new.blob_id,
        "size_bytes": new.size_bytes,
        "sha256": new.sha256,
        "run_id": run_id,
        "modified_us": now_us(connection),
    }
    present = find(connection, organisation_id, path)
    if present is None:
        try:
            with connection.begin_nested():
                connection.execute(
                    insert(drive_files).values(organisation_id=organisation_id, path=path, **values)
                )
        except IntegrityError:
            # Another server wrote the same path between our look and our insert.
            present = find(connection, organisation_id, path)
            if present is None:
                raise
        else:
            return
    if only_new:
        raise PreconditionFailed(
            f"There is a file at {path!r} already, and the request said If-None-Match: *. Leave "
            "that header out to replace it."
        )
    connection.execute(
        update(drive_files)
        .where(drive_files.c.organisation_id == organisation_id, drive_files.c.path == path)
        .values(**values)
    )
    if present.blob_id != new.blob_id:
        release(connection, [present.blob_id])


def remove(connection: Connection, organisation_id: str, paths: Collection[str]) -> Gone:
    """Delete files by path; what is not there is passed over."""
    chosen = and_(drive_files.c.organisation_id == organisation_id, drive_files.c.path.in_(paths))
    return _remove(connection, chosen)


def remove_some_below(connection: Connection, organisation_id: str, folder: str) -> Gone:
    """Delete up to CHUNK_FILES files below a folder; repeat until no row is gone."""
    found = page(connection, organisation_id, folder, limit=CHUNK_FILES)
    return remove(connection, organisation_id, [file.path for file in found])


def remove_some_of_run(connection: Connection, organisation_id: str, run_id: str) -> Gone:
    """Delete up to CHUNK_FILES files that a run wrote; repeat until no row is gone."""
    chosen = and_(drive_files.c.organisation_id == organisation_id, drive_files.c.run_id == run_id)
    some = select(drive_files.c.id).where(chosen).limit(CHUNK_FILES)
    return _remove(connection, drive_files.c.id.in_(list(connection.execute(some).scalars())))


def release(connection: Connection, blob_ids: Collection[str]) -> Gone:
    """Give up those blobs that no file and no running run points to."""
    wanted = sorted(set(blob_ids))
    used = set(
        connection.execute(
            select(drive_files.c.blob_id).where(drive_files.c.blob_id.in_(wanted))
        ).scalars()
    )
    used |= set(
        connection.execute(
            select(run_files.c.blob_id)
            .join(app_runs, app_runs.c.id == run_files.c.run_id)
            .where(run_files.c.blob_id.in_(wanted), app_runs.c.status == "RUNNING")
        ).scalars()
    )
    free = tuple(blob_id for blob_id in wanted if blob_id not in used)
    if not free:
        return Gone()
    return Gone(0, free, artifacts.discard(connection, free).size_bytes)


def check_place(connection: Connection, organisation_id: str, path: str) -> None:
    """Raise Conflict for a path that would make one name both a file and a folder."""
    if page(connection, organisation_id, path, limit=1):
        raise Conflict(
            f"{path!r} is a folder. Choose another name, or delete the files in it first."
        )
    parts = path.split("/")
    # The first four parts are organisation, workspace, "fs" and drive: never files.
    folders = ["/".join(parts[:end]) for end in range(5, len(parts))]
    blocking = connection.execute(
        select(drive_files.c.path)
        .where(drive_files.c.organisation_id == organisation_id, drive_files.c.path.in_(folders))
        .limit(1)
    ).scalar()
    if blocking is not None:
        raise Conflict(
            f"{blocking!r} is a file, so nothing can lie below it. Choose another folder."
        )


def _remove(connection: Connection, chosen: ColumnElement[bool]) -> Gone:
    blob_ids = list(
        connection.execute(
            delete(drive_files).where(chosen).returning(drive_files.c.blob_id)
        ).scalars()
    )
    return Gone(rows=len(blob_ids)) + release(connection, blob_ids)


def _file(row: Row[Any]) -> DriveFile:
    return DriveFile(**row._asdict())

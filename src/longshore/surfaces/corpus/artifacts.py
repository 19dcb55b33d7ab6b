"""Artifacts: the files that tasks leave, by their paths in the directory of the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import ids, limits
from longshore.access import Principal
from longshore.clock import iso
from longshore.edge.files import StoredFile
from longshore.engine import artifacts as blobs
from longshore.errors import Conflict, InvalidRequest, NotFound, PermissionDenied, TooLarge
from longshore.storage import now_us
from longshore.surfaces.corpus import links
from longshore.surfaces.corpus.links import Kind, Upload
from longshore.surfaces.corpus.naming import checked_path
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import corpus_artifacts, corpus_tasks

TYPE_CHARACTERS: Final = 200


class NewArtifact(msgspec.Struct, frozen=True):
    """A file that a task is about to send.

    Attributes:
        path: relative to the task's directory.
        size: in bytes.
    """

    path: str
    content_type: str
    size: int


class TaskFile(Protocol):
    """A file that a worker has uploaded as a blob, and that a task left."""

    @property
    def path(self) -> str: ...
    @property
    def blob_id(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def content_type(self) -> str: ...


def task_of(connection: Connection, organisation_id: str, task_id: str) -> Row[Any]:
    """Return a task's row.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(task_id)
    row = None
    if given is not None:
        row = connection.execute(
            select(corpus_tasks).where(
                corpus_tasks.c.id == given, corpus_tasks.c.organisation_id == organisation_id
            )
        ).one_or_none()
    if row is None:
        raise NotFound(f"There is no task {task_id[:80]}.")
    return row


def listing(connection: Connection, organisation_id: str, task_id: str) -> list[dict[str, Any]]:
    """Return the artifacts of a task by path; files whose bytes have not come are none yet.

    Raises:
        NotFound: there is no such task.
    """
    task = task_of(connection, organisation_id, task_id)
    rows = connection.execute(
        select(corpus_artifacts)
        .where(corpus_artifacts.c.task_id == task.id, corpus_artifacts.c.blob_id.is_not(None))
        .order_by(corpus_artifacts.c.path)
    )
    return [_shown(row) for row in rows]


def get(connection: Connection, organisation_id: str, task_id: str, path: str) -> blobs.Artifact:
    """Return the blob of an artifact.

    Raises:
        NotFound: there is no such task, or it has no file of that path.
    """
    task = task_of(connection, organisation_id, task_id)
    blob_id = connection.scalar(
        select(corpus_artifacts.c.blob_id).where(
            corpus_artifacts.c.task_id == task.id, corpus_artifacts.c.path == path
        )
    )
    if blob_id is None:
        raise NotFound(f"Task {task.id} has no artifact {path[:200]!a}.")
    return blobs.get(connection, organisation_id, blob_id)


def announce(
    connection: Connection, principal: Principal, task_id: str, new: NewArtifact
) -> tuple[dict[str, Any], str]:
    """Let a file of a task be sent; return the artifact, and the secret of the file's address.

    A path that the task has already gets the new bytes when they are there: a task that is tried
    again leaves the same files.

    Raises:
        NotFound: there is no such task.
        PermissionDenied: a program sends a file of another task than its own.
        InvalidRequest: the path or the type cannot be one, or the task is one of the server's own.
        TooLarge: the file is larger than `limits.ARTIFACT_BYTES`.
    """
    task = task_of(connection, principal.organisation_id, task_id)
    if principal.work is not None and task.work_id != principal.work[0]:
        raise PermissionDenied(
            "A program that runs as a task leaves artifacts of its own task only. The id of it is "
            "in the variable PONOS_TASK."
        )
    if task.worker_run_id is None:
        raise refusal("The task is one of the server's own, which leaves its files by itself.")
    path, content_type = checked_path(new.path), _checked_type(new.content_type)
    if not new.size >= 0:
        raise refusal(f"size: it is {new.size}; give the size of the file in bytes.", "size")
    if new.size > limits.ARTIFACT_BYTES:
        raise TooLarge(
            f"size: the file has {new.size} bytes and may have {limits.ARTIFACT_BYTES}. Split it.",
            details={"limit_bytes": limits.ARTIFACT_BYTES},
        )
    held = _row(connection, task.id, path)
    if held is None:
        _insert(connection, task.id, path, content_type, size_bytes=new.size)
        held = _row(connection, task.id, path)
        assert held is not None
    _, secret = links.open_upload(
        connection,
        principal.organisation_id,
        Kind.ARTIFACT,
        held.id,
        content_type=content_type,
        size_bytes=new.size,
    )
    return {**_shown(held), "content_type": content_type, "size": new.size}, secret


def arrive(connection: Connection, upload: Upload, content_type: str, stored: StoredFile) -> None:
    """Make bytes that came at an artifact's address its content.

    Raises:
        NotFound: the artifact was deleted meanwhile.
        Conflict: the bytes took too long.
    """
    row = connection.execute(
        select(corpus_artifacts).where(corpus_artifacts.c.id == upload.object_id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotFound("The artifact was deleted, so that nothing can be sent for it any more.")
    blobs.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    _put(connection, row, content_type, stored)
    links.finish(connection, upload.id)


def add(
    connection: Connection, organisation_id: str, task_id: str, files: Sequence[TaskFile]
) -> None:
    """Make files that a worker uploaded artifacts of a task; the same ones again change nothing.

    Raises:
        InvalidRequest: a path cannot be one, or a file is none of the organisation's.
    """
    for file in files:
        path, content_type = checked_path(file.path), _checked_type(file.content_type)
        row = _row(connection, task_id, path)
        if row is not None and row.blob_id == file.blob_id:
            continue
        stored = _adopted(connection, organisation_id, task_id, file)
        if row is None:
            _insert(connection, task_id, path, content_type, size_bytes=stored.size_bytes)
            row = _row(connection, task_id, path)
            assert row is not None
        _put(connection, row, content_type, stored)


def forget(connection: Connection, task_ids: Sequence[str]) -> blobs.Discarded:
    """Delete the artifacts of tasks, and give up their bytes; return what was given up."""
    rows = connection.execute(
        delete(corpus_artifacts)
        .where(corpus_artifacts.c.task_id.in_(task_ids))
        .returning(corpus_artifacts.c.blob_id)
    )
    return blobs.discard(connection, [blob_id for blob_id in rows.scalars() if blob_id is not None])


def _row(connection: Connection, task_id: str, path: str) -> Row[Any] | None:
    return connection.execute(
        select(corpus_artifacts)
        .where(corpus_artifacts.c.task_id == task_id, corpus_artifacts.c.path == path)
        .with_for_update()
    ).one_or_none()


def _insert(
    connection: Connection, task_id: str, path: str, content_type: str, *, size_bytes: int
) -> None:
    at_us = now_us(connection)
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    connection.execute(
        insert(corpus_artifacts)
        .values(
            id=ids.uuid(),
            task_id=task_id,
            path=path,
            content_type=content_type,
            size_bytes=size_bytes,
            created_us=at_us,
            updated_us=at_us,
        )
        # Two requests for one path may come at the same instant; both are about one artifact.
        .on_conflict_do_nothing()
    )


def _put(connection: Connection, row: Row[Any], content_type: str, stored: StoredFile) -> None:
    if row.blob_id is not None and row.blob_id != stored.blob_id:
        blobs.discard(connection, [row.blob_id])
    connection.execute(
        update(corpus_artifacts)
        .where(corpus_artifacts.c.id == row.id)
        .values(
            blob_id=stored.blob_id,
            content_type=content_type,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            updated_us=now_us(connection),
        )
    )


def _adopted(
    connection: Connection, organisation_id: str, task_id: str, file: TaskFile
) -> StoredFile:
    try:
        blobs.store(connection, file.blob_id, size_bytes=file.size_bytes, sha256=file.sha256)
        found = blobs.get(connection, organisation_id, file.blob_id)
    except (Conflict, NotFound) as error:
        raise InvalidRequest(
            f"The file {file.path[:200]!a} of task {task_id} is no upload of its own. Upload it "
            "again by POST /longshore/v1/blobs."
        ) from error
    return StoredFile(found.id, found.size_bytes, found.sha256)


def _checked_type(given: str) -> str:
    if not given or len(given) > TYPE_CHARACTERS or not given.isascii() or not given.isprintable():
        raise refusal(
            "content_type: give the type of the file, such as application/octet-stream.",
            "content_type",
        )
    return given


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "path": row.path,
        "size": row.size_bytes,
        "content_type": row.content_type,
        "s3_put_url": None,
        "created": iso(row.created_us),
        "updated": iso(row.updated_us),
    }

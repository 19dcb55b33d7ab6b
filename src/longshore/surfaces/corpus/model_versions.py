"""Versions of models, and the archives that they get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from longshore import ids
from longshore.access import Principal
from longshore.clock import iso
from longshore.edge.files import StoredFile
from longshore.engine import artifacts as blobs
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus import links, models, multipart_parts
from longshore.surfaces.corpus.links import Download, Kind, Upload
from longshore.surfaces.corpus.model_values import NewVersion, values_of
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.scope import refusal, uuid_of
from longshore.surfaces.corpus.tables import (
    corpus_model_versions,
    corpus_models,
    corpus_uploads,
    corpus_worker_runs,
)

ZSTANDARD: Final = "application/zstd"
_MAGIC: Final = bytes.fromhex("28b52ffd")


@dataclass(frozen=True, slots=True)
class Archive:
    """Bytes that came for a version.

    Attributes:
        md5: of all of them, in hexadecimal.
        content_type: zstandard where they look like it.
    """

    stored: StoredFile
    md5: str
    content_type: str


def kind_of(head: bytes, given: str = links.OCTETS) -> str:
    """Return the type of an archive by its first bytes, or else the one that was given."""
    return ZSTANDARD if head.startswith(_MAGIC) else given


def create(
    connection: Connection, principal: Principal, model_id: str, new: NewVersion
) -> tuple[dict[str, Any], str]:
    """Make a version; return it as it is sent, and the secret of the address of its archive.

    Raises:
        NotFound: there is no such model.
        InvalidRequest: a value cannot be one, or the tag is in use.
    """
    model = models.get(connection, principal.organisation_id, model_id, alone=True)
    version_id = ids.uuid()
    values = {
        "description": "",
        "configuration": "{}",
        **values_of(connection, model, new, version_id),
    }
    connection.execute(
        insert(corpus_model_versions).values(
            id=version_id,
            model_id=model.id,
            state="created",
            created_us=now_us(connection),
            **values,
        )
    )
    return _with_address(connection, principal, version_id)


def change(
    connection: Connection, principal: Principal, version_id: str, changes: NewVersion
) -> tuple[dict[str, Any], str | None]:
    """Change a version; return it, and the secret of the address of its archive until it has one.

    Raises:
        NotFound: there is none.
        InvalidRequest: a value cannot be one, or the tag is in use; the archive has not come, or is
            another one than the hashes say; another version has this content (the answer's `id`
            names it).
    """
    row = get(connection, principal.organisation_id, version_id, alone=True)
    model = models.get(connection, principal.organisation_id, row.model_id, alone=True)
    values = values_of(connection, model, changes, row.id)
    if row.state == "available":
        _refuse_other_archive(row, values)
    elif row.blob_id is not None and _differs(row, values) and "state" not in values:
        # The archive that is to come is another one than that which has come.
        blobs.discard(connection, [row.blob_id])
        values["blob_id"] = None
    if values.get("state") == "available" and row.state != "available":
        _check_archive(connection, row, values)
    if values:
        _put(connection, row.id, **values)
    after = get(connection, principal.organisation_id, row.id)
    if after.state == "available":
        return _shown(after), None
    return _with_address(connection, principal, row.id)


def get(
    connection: Connection, organisation_id: str, version_id: str, *, alone: bool = False
) -> Row[Any]:
    """Return the row of a version with its `model_name`; with `alone`, it is locked.

    Raises:
        NotFound: the organisation has none of that id.
    """
    given = uuid_of(version_id)
    row = None
    if given is not None:
        query = (
            select(corpus_model_versions, corpus_models.c.name.label("model_name"))
            .join(corpus_models, corpus_models.c.id == corpus_model_versions.c.model_id)
            .where(
                corpus_model_versions.c.id == given,
                corpus_models.c.organisation_id == organisation_id,
            )
        )
        if alone:
            query = query.with_for_update(of=corpus_model_versions)
        row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no version {version_id[:80]} of a model.")
    return row


def retrieve(
    connection: Connection, organisation_id: str, version_id: str
) -> tuple[dict[str, Any], tuple[str, str] | None]:
    """Return a version as it is sent, and secret and name of its archive's address, if it has one.

    Raises:
        NotFound: there is none.
    """
    row = get(connection, organisation_id, version_id)
    if row.state != "available":
        return _shown(row), None
    ending = "tar.zst" if row.content_type == ZSTANDARD else "bin"
    name = f"{row.id}.{ending}"
    secret = links.offer(connection, Download(organisation_id, row.blob_id, name, row.content_type))
    return _shown(row), (secret, name)


def listing(
    connection: Connection, organisation_id: str, model_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the versions of a model, the newest first.

    Raises:
        NotFound: there is no such model or page.
    """
    model = models.get(connection, organisation_id, model_id)
    chosen = corpus_model_versions.c.model_id == model.id
    count = connection.scalar(select(func.count()).select_from(corpus_model_versions).where(chosen))
    query = (
        select(corpus_model_versions, corpus_models.c.name.label("model_name"))
        .join(corpus_models, corpus_models.c.id == corpus_model_versions.c.model_id)
        .where(chosen)
        .order_by(corpus_model_versions.c.id.desc())
    )
    rows = connection.execute(query.offset(page.offset).limit(page.size))
    return page.answer([_shown(row) for row in rows], count or 0)


def remove(connection: Connection, principal: Principal, version_id: str) -> None:
    """Delete a version with its archive.

    Raises:
        NotFound: there is none.
        Conflict: a worker run uses it.
    """
    row = get(connection, principal.organisation_id, version_id, alone=True)
    used = select(corpus_worker_runs.c.id).where(corpus_worker_runs.c.model_version_id == row.id)
    run_id = connection.scalar(used.limit(1))
    if run_id is not None:
        raise Conflict(
            f"The worker run {run_id} uses version {row.id} of the model. Delete its process first."
        )
    multipart_parts.forget(connection, row.id)
    connection.execute(delete(corpus_uploads).where(corpus_uploads.c.object_id == row.id))
    if row.blob_id is not None:
        blobs.discard(connection, [row.blob_id])
    connection.execute(
        update(corpus_model_versions)
        .where(corpus_model_versions.c.parent_id == row.id)
        .values(parent_id=None)
    )
    connection.execute(delete(corpus_model_versions).where(corpus_model_versions.c.id == row.id))


def arrive(connection: Connection, upload: Upload, archive: Archive) -> None:
    """Keep the archive that came at a version's address; the version is not available yet.

    Raises:
        NotFound: the version was deleted meanwhile.
        InvalidRequest: it is available already, or the archive is another one than was announced.
        Conflict: the bytes took too long.
    """
    row = get(connection, upload.organisation_id, upload.object_id, alone=True)
    _adopt(connection, row, archive)
    links.finish(connection, upload.id)


def complete(
    connection: Connection, organisation_id: str, version_id: str, archive: Archive
) -> None:
    """Make a version available with the archive that was put together from parts.

    Raises:
        NotFound, InvalidRequest, Conflict: as for `arrive`.
    """
    row = get(connection, organisation_id, version_id, alone=True)
    _adopt(connection, row, archive)
    _put(connection, row.id, state="available")


def _adopt(connection: Connection, row: Row[Any], archive: Archive) -> None:
    if row.state != "created":
        raise refusal(f"Version {row.id} is {row.state}, so that it takes no archive.")
    stored = archive.stored
    if row.blob_id is None:
        # With what was announced for it; what has come before counts for nothing.
        check_announced(row, stored.size_bytes, archive.md5)
    blobs.store(connection, stored.blob_id, size_bytes=stored.size_bytes, sha256=stored.sha256)
    if row.blob_id is not None:
        blobs.discard(connection, [row.blob_id])
    _put(
        connection,
        row.id,
        blob_id=stored.blob_id,
        size_bytes=stored.size_bytes,
        archive_hash=archive.md5,
        content_type=archive.content_type,
    )


def check_announced(row: Row[Any], size_bytes: int, md5: str) -> None:
    """Refuse an archive that is another one than its version was made with.

    Raises:
        InvalidRequest: it is.
    """
    if row.size_bytes is not None and row.size_bytes != size_bytes:
        raise InvalidRequest(
            f"The archive has {size_bytes} bytes and was announced with {row.size_bytes}. Send it "
            "again, whole."
        )
    if row.archive_hash is not None and row.archive_hash != md5:
        raise InvalidRequest(
            f"The archive has the MD5 {md5} and was announced with {row.archive_hash}. Send it "
            "again."
        )


def _refuse_other_archive(row: Row[Any], values: dict[str, Any]) -> None:
    if _differs(row, values) or values.get("state", "available") != "available":
        raise refusal(
            f"Version {row.id} is available, so that its archive and its state do not change. Make "
            "another version.",
            "state",
            code="immutable",
        )


def _differs(row: Row[Any], values: dict[str, Any]) -> bool:
    # A hash that nobody gave so far may still be given.
    return any(
        name in values and getattr(row, name) not in (None, values[name])
        for name in ("size_bytes", "archive_hash", "content_hash")
    )


def _check_archive(connection: Connection, row: Row[Any], values: dict[str, Any]) -> None:
    if row.blob_id is None:
        raise refusal(
            "state: the archive of the version has not come. Send it to its `s3_put_url` first.",
            "state",
        )
    if "content_hash" not in values and row.content_hash is None:
        raise refusal(
            "hash: give the MD5 of the content, by which versions are told apart.",
            "hash",
            code="required",
        )
    for name, attr in (("size_bytes", "size"), ("archive_hash", "archive_hash")):
        if name in values and values[name] != getattr(row, name):
            raise refusal(
                f"{attr}: it is {values[name]}, and that of the archive that came is "
                f"{getattr(row, name)}. Send the archive again.",
                attr,
            )
    content_hash = values.get("content_hash", row.content_hash)
    same = select(corpus_model_versions.c.id).where(
        corpus_model_versions.c.model_id == row.model_id,
        corpus_model_versions.c.content_hash == content_hash,
        corpus_model_versions.c.state == "available",
        corpus_model_versions.c.id != row.id,
    )
    existing = connection.scalar(same.limit(1))
    if existing is not None:
        raise refusal(
            f"hash: version {existing} of the model has this content. Use that one.",
            "hash",
            code="unique",
            # The client 0.4.0 takes the version that is there from this list.
            also={"id": [existing], "hash": ["A version with this content already exists."]},
        )


def _with_address(
    connection: Connection, principal: Principal, version_id: str
) -> tuple[dict[str, Any], str]:
    row = get(connection, principal.organisation_id, version_id)
    _, secret = links.open_upload(connection, principal.organisation_id, Kind.MODEL_VERSION, row.id)
    return _shown(row), secret


def _put(connection: Connection, version_id: str, **values: Any) -> None:
    connection.execute(
        update(corpus_model_versions)
        .where(corpus_model_versions.c.id == version_id)
        .values(**values)
    )


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "model_id": row.model_id,
        "model": {"id": row.model_id, "name": row.model_name},
        "tag": row.tag,
        "description": row.description,
        "configuration": json.loads(row.configuration),
        "parent": row.parent_id,
        "state": row.state,
        "size": row.size_bytes,
        "hash": row.content_hash,
        "archive_hash": row.archive_hash,
        "s3_url": None,
        "s3_put_url": None,
        "created": iso(row.created_us),
    }

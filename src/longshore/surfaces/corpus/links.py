"""Addresses that need no key: where bytes are to be sent, and where they can be had, for a while.

The published clients send and fetch files without their key, as they do with an object store. So
the address holds 256 random bits, of which only a digest is kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from longshore import ids, limits
from longshore.clock import to_us
from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.corpus.tables import corpus_links, corpus_uploads

UPLOADS: Final = "/api/v1/uploads"
PARTS: Final = "/api/v1/uploads/parts"
DOWNLOADS: Final = "/api/v1/downloads"
OCTETS: Final = "application/octet-stream"
_SECRET_CHARACTERS: Final = 43


class Kind(StrEnum):
    """What the bytes of an upload become."""

    ARTIFACT = "artifact"
    MODEL_VERSION = "model_version"
    MULTIPART = "multipart"


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that are to come.

    Attributes:
        object_id: the artifact or version of a model that they are of.
        content_type: what the request must say, or None for anything.
        size_bytes: how many they must be, or None.
    """

    id: str
    organisation_id: str
    kind: Kind
    object_id: str
    content_type: str | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Download:
    """A file that can be had without a key."""

    organisation_id: str
    blob_id: str
    name: str
    content_type: str


_UPLOAD_COLUMNS: Final = [corpus_uploads.c[name] for name in Upload.__dataclass_fields__]
_DOWNLOAD_COLUMNS: Final = [corpus_links.c[name] for name in Download.__dataclass_fields__]


def digest_of(secret: str) -> str:
    """Return what is kept of the secret in an address."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def open_upload(
    connection: Connection,
    organisation_id: str,
    kind: Kind,
    object_id: str,
    *,
    content_type: str | None = None,
    size_bytes: int | None = None,
) -> tuple[str, str]:
    """Let bytes come for an object; return the id of the upload and the secret of its address.

    An address that was given for the object before takes nothing any more.
    """
    connection.execute(
        delete(corpus_uploads).where(
            corpus_uploads.c.object_id == object_id,
            corpus_uploads.c.kind == kind.value,
            corpus_uploads.c.finished_us.is_(None),
        )
    )
    secret, upload_id = ids.secret(), ids.uuid()
    connection.execute(
        insert(corpus_uploads).values(
            id=upload_id,
            organisation_id=organisation_id,
            kind=kind.value,
            object_id=object_id,
            digest=digest_of(secret),
            content_type=content_type,
            size_bytes=size_bytes,
            expires_us=now_us(connection) + to_us(limits.UPLOAD_LINK_S),
        )
    )
    return upload_id, secret


def upload(connection: Connection, secret: str, *, alone: bool = False) -> Upload:
    """Return the upload of an address; with `alone`, others that ask so wait for the end.

    Raises:
        NotFound: there is none, it took its bytes, or it is too old.
    """
    found = None
    if len(secret) == _SECRET_CHARACTERS:
        query = select(*_UPLOAD_COLUMNS).where(
            corpus_uploads.c.digest == digest_of(secret),
            corpus_uploads.c.kind != Kind.MULTIPART.value,
            corpus_uploads.c.finished_us.is_(None),
            corpus_uploads.c.expires_us > now_us(connection),
        )
        found = connection.execute(query.with_for_update() if alone else query).one_or_none()
    if found is None:
        raise NotFound(
            "Nothing can be sent to this address: it took its file, or is older than "
            f"{limits.UPLOAD_LINK_S / 3600:.0f} hours. Ask for a new one."
        )
    return _upload(found)


def under_way(connection: Connection, upload_id: str, *, alone: bool = False) -> Upload | None:
    """Return an upload in parts that is not over, or None; with `alone`, it is locked."""
    query = select(*_UPLOAD_COLUMNS).where(
        corpus_uploads.c.id == upload_id,
        corpus_uploads.c.kind == Kind.MULTIPART.value,
        corpus_uploads.c.finished_us.is_(None),
        corpus_uploads.c.expires_us > now_us(connection),
    )
    row = connection.execute(query.with_for_update() if alone else query).one_or_none()
    return None if row is None else _upload(row)


def finish(connection: Connection, upload_id: str) -> None:
    """Note that an upload has its bytes; its address takes no more."""
    connection.execute(
        update(corpus_uploads)
        .where(corpus_uploads.c.id == upload_id)
        .values(finished_us=now_us(connection))
    )


def offer(connection: Connection, download: Download) -> str:
    """Let a file be had without a key for a while; return the secret of its address."""
    secret = ids.secret()
    connection.execute(
        insert(corpus_links).values(
            digest=digest_of(secret),
            organisation_id=download.organisation_id,
            blob_id=download.blob_id,
            name=download.name,
            content_type=download.content_type,
            expires_us=now_us(connection) + to_us(limits.DOWNLOAD_LINK_S),
        )
    )
    return secret


def download(connection: Connection, secret: str) -> Download:
    """Return the file of an address.

    Raises:
        NotFound: there is none, or it is too old.
    """
    found = connection.execute(
        select(*_DOWNLOAD_COLUMNS).where(
            corpus_links.c.digest == digest_of(secret),
            corpus_links.c.expires_us > now_us(connection),
        )
    ).one_or_none()
    if found is None:
        raise NotFound(
            "Nothing can be had at this address: it is wrong, or older than "
            f"{limits.DOWNLOAD_LINK_S / 3600:.0f} hours. Ask for a new one."
        )
    return Download(**found._asdict())


def expire(connection: Connection, *, limit: int = 500) -> int:
    """Delete addresses of files that nobody can use any more; return how many."""
    old = (
        select(corpus_links.c.digest)
        .where(corpus_links.c.expires_us <= now_us(connection))
        .limit(limit)
    )
    return connection.execute(delete(corpus_links).where(corpus_links.c.digest.in_(old))).rowcount


def _upload(row: Row[Any]) -> Upload:
    return Upload(**{**row._asdict(), "kind": Kind(row.kind)})

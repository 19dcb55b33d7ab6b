"""Uploads in parts that are under way: found, and given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select

from longshore.engine import artifacts as blobs
from longshore.storage import now_us
from longshore.surfaces.corpus.links import Kind
from longshore.surfaces.corpus.tables import corpus_upload_parts, corpus_uploads


@dataclass(frozen=True, slots=True)
class Part:
    """A part that was announced; its blob is None until its bytes have come."""

    upload_id: str
    part_number: int
    md5: str
    blob_id: str | None
    size_bytes: int | None


COLUMNS: Final = [corpus_upload_parts.c[name] for name in Part.__dataclass_fields__]


def of_upload(connection: Connection, upload_id: str) -> list[Part]:
    """Return the parts of an upload by number."""
    rows = connection.execute(
        select(*COLUMNS)
        .where(corpus_upload_parts.c.upload_id == upload_id)
        .order_by(corpus_upload_parts.c.part_number)
    )
    return [Part(**row._asdict()) for row in rows]


def drop(connection: Connection, upload_ids: Sequence[str]) -> None:
    """Delete the parts of uploads, and give up their bytes."""
    rows = connection.execute(
        delete(corpus_upload_parts)
        .where(corpus_upload_parts.c.upload_id.in_(upload_ids))
        .returning(corpus_upload_parts.c.blob_id)
    )
    blobs.discard(connection, [blob_id for blob_id in rows.scalars() if blob_id is not None])


def forget(connection: Connection, object_id: str) -> None:
    """Delete all uploads of an object that are under way in parts."""
    found = connection.execute(
        select(corpus_uploads.c.id).where(
            corpus_uploads.c.object_id == object_id,
            corpus_uploads.c.kind == Kind.MULTIPART.value,
            corpus_uploads.c.finished_us.is_(None),
        )
    ).scalars()
    upload_ids = list(found)
    drop(connection, upload_ids)
    connection.execute(delete(corpus_uploads).where(corpus_uploads.c.id.in_(upload_ids)))


def expire(connection: Connection, *, limit: int = 100) -> int:
    """Delete uploads whose time is over, with what came of them; return how many."""
    found = connection.execute(
        select(corpus_uploads.c.id)
        .where(corpus_uploads.c.expires_us <= now_us(connection))
        .limit(limit)
    ).scalars()
    upload_ids = list(found)
    drop(connection, upload_ids)
    connection.execute(delete(corpus_uploads).where(corpus_uploads.c.id.in_(upload_ids)))
    return len(upload_ids)

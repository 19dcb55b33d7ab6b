"""Which blobs exist, whose they are, and which are to go.

A blob's row comes first (pending), then its bytes, then `store` in the transaction that makes
it part of something. So whatever dies on the way, a row is left that the sweeper can follow.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, update

from longshore import ids
from longshore.clock import to_us
from longshore.engine.tables import artifacts
from longshore.errors import Conflict, NotFound
from longshore.storage import now_us


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored blob."""

    id: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """How many blobs were given up, and their bytes."""

    count: int
    size_bytes: int


def reserve(
    connection: Connection, *, organisation_id: str, media_type: str = "application/octet-stream"
) -> str:
    """Announce a blob that is about to be written; return its id."""
    blob_id = ids.new(ids.BLOB)
    connection.execute(
        artifacts.insert().values(
            id=blob_id,
            organisation_id=organisation_id,
            state="pending",
            media_type=media_type,
            created_us=now_us(connection),
        )
    )
    return blob_id


def store(connection: Connection, blob_id: str, *, size_bytes: int, sha256: str) -> None:
    """Make a written blob count.

    Raises:
        Conflict: the blob was given up meanwhile (it lay unused for too long).
    """
    done = connection.execute(
        update(artifacts)
        .where(artifacts.c.id == blob_id, artifacts.c.state == "pending")
        .values(state="stored", size_bytes=size_bytes, sha256=sha256)
    ).rowcount
    if not done:
        raise Conflict("The upload took too long and was given up. Send the file again.")


def get(connection: Connection, organisation_id: str, blob_id: str) -> Artifact:
    """Return a stored blob of the organisation; NotFound if there is none."""
    row = connection.execute(
        select(artifacts).where(
            artifacts.c.id == blob_id,
            artifacts.c.organisation_id == organisation_id,
            artifacts.c.state == "stored",
        )
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no blob {blob_id!r}. It may have been deleted; check the id.")
    return Artifact(row.id, row.size_bytes, row.sha256, row.media_type)


def discard(connection: Connection, blob_ids: Collection[str]) -> Discarded:
    """Give up stored blobs; their bytes are deleted by the sweeper soon after.

    Blobs that were given up before are not counted again.
    """
    chosen = artifacts.c.id.in_(blob_ids), artifacts.c.state == "stored"
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(artifacts.c.size_bytes), 0)).where(*chosen)
    ).one()
    connection.execute(update(artifacts).where(*chosen).values(state="doomed"))
    return Discarded(count, int(size))


def doomed(connection: Connection, *, limit: int, pending_s: float = 3600.0) -> list[str]:
    """Return blobs to delete: those given up, and those announced `pending_s` ago but never stored."""
    old_us = now_us(connection) - to_us(pending_s)
    rows = connection.execute(
        select(artifacts.c.id)
        .where(
            artifacts.c.state != "stored",
            (artifacts.c.state == "doomed") | (artifacts.c.created_us <= old_us),
        )
        .order_by(artifacts.c.created_us)
        .limit(limit)
    )
    return list(rows.scalars())


def condemn(connection: Connection, blob_ids: Sequence[str]) -> None:
    """Make pending blobs impossible to store, before their bytes are deleted."""
    connection.execute(
        update(artifacts)
        .where(artifacts.c.id.in_(blob_ids), artifacts.c.state == "pending")
        .values(state="doomed")
    )


def erase(connection: Connection, blob_ids: Sequence[str]) -> int:
    """Delete the rows of blobs whose bytes are gone; return how many."""
    return connection.execute(
        delete(artifacts).where(artifacts.c.id.in_(blob_ids), artifacts.c.state == "doomed")
    ).rowcount


def counts(connection: Connection, organisation_id: str) -> dict[str, int]:
    """Return the number and bytes of the organisation's stored blobs."""
    count, size = connection.execute(
        select(func.count(), func.coalesce(func.sum(artifacts.c.size_bytes), 0)).where(
            artifacts.c.organisation_id == organisation_id, artifacts.c.state == "stored"
        )
    ).one()
    return {"objects": count, "bytes": int(size)}

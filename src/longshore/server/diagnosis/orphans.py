"""Blobs and their rows: which has lost the other. A bounded look, that deletes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Text, and_, func, select

from longshore.clock import SECOND_US, SystemClock
from longshore.edge.context import Context
from longshore.engine.tables import artifacts
from longshore.server.diagnosis.finding import Finding, fault, ok, size, warning
from longshore.storage.blobs import Blobs
from longshore.storage.bulk import given_parameters, given_rows

LOOK_BLOBS: Final = 10_000
"""So many of the blobs that lie in the store are looked up in the database."""
LOOK_ROWS: Final = 1_000
"""So many rows, the newest, are looked up in the store."""
YOUNG_S: Final = 3_600.0
"""Bytes that are younger may belong to a request that is under way."""
_AT_ONCE: Final = 32
_TOLD: Final = 3


@dataclass(frozen=True, slots=True)
class Orphans:
    """Bytes without rows and rows without bytes, and how far the look has reached."""

    bytes_without_rows: list[str]
    without_rows_bytes: int
    rows_without_bytes: list[str]
    looked_at_blobs: int
    looked_at_rows: int
    all_looked_at: bool


async def find(context: Context, organisation_id: str) -> Orphans:
    """Compare a part of the store with the database, and the organisation's rows with the store.

    Raises:
        Unavailable: the store cannot be used.
    """
    # The rows first: a blob that is deleted meanwhile loses its row before its bytes.
    newest = await context.database.read(_newest, organisation_id)
    total = await context.database.read(_count, organisation_id)
    found = await context.blobs.look(limit=LOOK_BLOBS)
    # The store writes times by the clock of its machine.
    old_us = SystemClock().now_us() - round(YOUNG_S * SECOND_US)
    known = await context.database.read(_known, [each.blob_id for each in found])
    lost = [each for each in found if each.blob_id not in known and each.modified_us < old_us]
    missing = await _missing(context.blobs, newest)
    # Whoever was deleted while we looked is no orphan.
    still = set(await context.database.read(_stored, missing))
    return Orphans(
        bytes_without_rows=[each.blob_id for each in lost],
        without_rows_bytes=sum(each.size_bytes for each in lost),
        rows_without_bytes=[each for each in missing if each in still],
        looked_at_blobs=len(found),
        looked_at_rows=len(newest),
        all_looked_at=len(found) < LOOK_BLOBS and len(newest) >= total,
    )


def examine(found: Orphans) -> Iterator[Finding]:
    """Judge it."""
    reach = (
        "all of them"
        if found.all_looked_at
        else f"{found.looked_at_blobs} blobs and the newest {found.looked_at_rows} rows"
    )
    if found.rows_without_bytes:
        yield fault(
            "lost blobs",
            f"the bytes of {len(found.rows_without_bytes)} stored files are gone "
            f"({_some(found.rows_without_bytes)}): whoever asks for them gets an error",
            "restore them from a back-up: longshore restore",
        )
    if found.bytes_without_rows:
        yield warning(
            "orphan blobs",
            f"{len(found.bytes_without_rows)} blobs of {size(found.without_rows_bytes)} belong to "
            f"nothing ({_some(found.bytes_without_rows)}): the database is older than the store, or "
            "somebody put them there",
            "after a restore they may go: compare with your back-up, then delete the files",
        )
    if not (found.rows_without_bytes or found.bytes_without_rows):
        yield ok("files", f"each has its row and each row its bytes (looked at {reach})")


async def _missing(blobs: Blobs, blob_ids: Sequence[str]) -> list[str]:
    turns = asyncio.Semaphore(_AT_ONCE)

    async def there(blob_id: str) -> bool:
        async with turns:
            return await blobs.has(blob_id)

    answers = await asyncio.gather(*(there(blob_id) for blob_id in blob_ids))
    return [blob_id for blob_id, found in zip(blob_ids, answers, strict=True) if not found]


def _newest(connection: Connection, organisation_id: str) -> list[str]:
    # Ids begin with the time at which they were made.
    rows = connection.execute(
        select(artifacts.c.id)
        .where(_of(organisation_id))
        .order_by(artifacts.c.id.desc())
        .limit(LOOK_ROWS)
    )
    return list(rows.scalars())


def _count(connection: Connection, organisation_id: str) -> int:
    some = select(artifacts.c.id).where(_of(organisation_id)).limit(LOOK_ROWS + 1).subquery()
    return int(connection.scalar(select(func.count()).select_from(some)) or 0)


def _of(organisation_id: str) -> ColumnElement[bool]:
    return and_(artifacts.c.organisation_id == organisation_id, artifacts.c.state == "stored")


def _known(connection: Connection, blob_ids: Sequence[str]) -> set[str]:
    return set(_rows(connection, blob_ids, only_stored=False))


def _stored(connection: Connection, blob_ids: Sequence[str]) -> list[str]:
    return _rows(connection, blob_ids, only_stored=True)


def _rows(connection: Connection, blob_ids: Sequence[str], *, only_stored: bool) -> list[str]:
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    query = select(artifacts.c.id).join(given, given.c.id == artifacts.c.id)
    if only_stored:
        query = query.where(artifacts.c.state == "stored")
    rows = connection.execute(
        query, given_parameters(dialect, [(blob_id,) for blob_id in blob_ids], 1)
    )
    return list(rows.scalars())


def _some(blob_ids: Sequence[str]) -> str:
    more = len(blob_ids) - _TOLD
    return ", ".join(blob_ids[:_TOLD]) + (f" and {more} more" if more > 0 else "")

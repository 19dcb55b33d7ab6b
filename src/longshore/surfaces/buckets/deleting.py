"""Deleting works of buckets, in whatever state they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete

from longshore.engine import works
from longshore.storage import mark
from longshore.surfaces.buckets import artifacts, documents, notices
from longshore.surfaces.buckets.artifacts import Gone
from longshore.surfaces.buckets.tables import bucket_works

DELETED: Final = "works_deleted"
"""Mark of a transaction that deletes works, for longshore.storage.faults."""


def delete_works(
    connection: Connection, organisation_id: str, work_ids: Sequence[str], *, actor: str
) -> Gone:
    """Delete works with their documents and what they made; ids that name none are passed over.

    A holder of a deleted work learns of it at its next word. What depended on one is settled as
    if it had been cancelled.
    """
    known = sorted(documents.read(connection, work_ids, organisation_id=organisation_id, lock=True))
    if not known:
        return Gone()
    mark(connection, DELETED)
    notices.settle(connection, known)
    rows = sum(works.discard(connection, known, actor=actor, why="it is deleted").values())
    rows += connection.execute(
        delete(bucket_works).where(bucket_works.c.work_id.in_(known))
    ).rowcount
    return Gone(rows) + artifacts.forget(connection, organisation_id, known)

"""Products and plots of works: the paths that a work names, and the files that we hold for them.

A row belongs to a work by its id, wherever the work is: in its bucket, or in the results store
after it was archived. So moving a work moves no row, and the row goes when the work is in neither.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Row, delete, select

from longshore.access import Principal
from longshore.engine import artifacts as blobs
from longshore.engine.tables import queues, works
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage.bulk import insert_rows
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.tables import bucket_artifacts, bucket_results

PRODUCT: Final = "product"
PLOT: Final = "plot"

_COLUMNS: Final = (
    "organisation_id", "pipeline", "work_id", "kind", "position", "path", "blob_id", "size_bytes",
    "sha256",
)  # fmt: skip
_NO_FILE: Final = (None, None, None)
_SHOWN: Final = ("kind", "path", "blob_id", "size_bytes", "sha256")


class StoredFile(Protocol):
    """A file that a worker uploaded for a product or plot of its work."""

    @property
    def kind(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def blob_id(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Made:
    """What a work names as made by it.

    Attributes:
        products: paths, as the work gives them; None for none.
        plots: the same.
        stored: the files among them that were uploaded to us.
    """

    pipeline: str
    work_id: str
    products: Sequence[str] | None = None
    plots: Sequence[str] | None = None
    stored: Sequence[StoredFile] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """What a removal took: rows of artifacts, blobs given up, and the bytes of those."""

    rows: int = 0
    objects: int = 0
    size_bytes: int = 0

    def __add__(self, other: Gone) -> Gone:
        """Return both together."""
        return Gone(
            self.rows + other.rows,
            self.objects + other.objects,
            self.size_bytes + other.size_bytes,
        )


def paths(value: Any) -> list[str]:
    """Return the texts among what a document holds as its products or plots."""
    return [path for path in value if isinstance(path, str)] if isinstance(value, list) else []


def register(
    connection: Connection,
    organisation_id: str,
    pipeline: str,
    work_id: str,
    products: Sequence[str] | None,
    plots: Sequence[str] | None,
    *,
    stored: Sequence[StoredFile] = (),
) -> None:
    """Do `register_many` for one work."""
    made = Made(pipeline, work_id, products, plots, stored)
    register_many(connection, organisation_id, [made])


def register_many(connection: Connection, organisation_id: str, made: Iterable[Made]) -> None:
    """Note what works name as their products and plots, in place of what they named before.

    A path that was named before keeps its file. A file whose path is not named any more is given
    up. An upload that took so long that it was swept away leaves its path without a file.

    Raises:
        InvalidRequest: a stored file is none of the organisation's, or belongs to another work.
    """
    latest = {each.work_id: each for each in made}
    before = _rows(connection, organisation_id, list(latest))
    changed = [each for each in latest.values() if _differs(each, before.get(each.work_id, ()))]
    if not changed:
        return
    rows: list[tuple[Any, ...]] = []
    for each in changed:
        files = _files(connection, organisation_id, each, before.get(each.work_id, ()))
        for kind, position, path in _named(each):
            file = files.get((kind, path), _NO_FILE)
            rows.append((organisation_id, each.pipeline, each.work_id, kind, position, path, *file))
    _remove(connection, organisation_id, [each.work_id for each in changed])
    insert_rows(connection, bucket_artifacts, _COLUMNS, rows)
    kept = {row[_COLUMNS.index("blob_id")] for row in rows}
    held = (row.blob_id for each in changed for row in before.get(each.work_id, ()))
    given_up = {blob_id for blob_id in held if blob_id is not None} - kept
    if given_up:
        blobs.discard(connection, given_up)


def forget(connection: Connection, organisation_id: str, work_ids: Collection[str]) -> Gone:
    """Drop the artifacts of works that leave their bucket, and give up their files.

    Those of a work whose document is in the results store stay with that. The bytes are deleted
    by the server's sweeper after the transaction.
    """
    held = select(bucket_results.c.id).where(
        bucket_results.c.organisation_id == organisation_id, bucket_results.c.id.in_(work_ids)
    )
    return _drop(connection, organisation_id, work_ids, set(connection.execute(held).scalars()))


def forget_results(connection: Connection, organisation_id: str, ids: Collection[str]) -> Gone:
    """Drop the artifacts of documents that leave the results store; see `forget`.

    Those of a work that is still in its bucket stay with that.
    """
    held = (
        select(works.c.id)
        .join(queues, queues.c.id == works.c.queue_id)
        .where(queues.c.organisation_id == organisation_id, works.c.id.in_(ids))
    )
    return _drop(connection, organisation_id, ids, set(connection.execute(held).scalars()))


def listing(connection: Connection, principal: Principal, work_id: str) -> list[dict[str, Any]]:
    """Return what a work names, products first, in its order.

    Each is {"kind": "product" or "plot", "path", "blob_id", "size_bytes", "sha256"}; the last
    three are null for a file that lies only where its path says.

    Raises:
        NotFound: the organisation has no such work, neither in a bucket nor among the results.
    """
    organisation_id = principal.organisation_id
    rows = _rows(connection, organisation_id, [work_id]).get(work_id, [])
    if not rows and not _known(connection, organisation_id, work_id):
        raise NotFound(
            f"There is no work {work_id[:80]!a}, in a bucket or among the results. It may have "
            "been deleted; check the id."
        )
    shown = [
        dict(zip(_SHOWN, (getattr(row, name) for name in _SHOWN), strict=True)) for row in rows
    ]
    return sorted(shown, key=lambda artifact: artifact["kind"] != PRODUCT)


def _named(made: Made) -> list[tuple[str, int, str]]:
    """Return kind, position and path of all that a work names."""
    pairs = ((PRODUCT, made.products), (PLOT, made.plots))
    return [
        (kind, position, path) for kind, paths in pairs for position, path in enumerate(paths or ())
    ]


def _differs(made: Made, before: Iterable[Row[Any]]) -> bool:
    if made.stored:
        return True
    return {(row.kind, row.position, row.path) for row in before} != set(_named(made))


def _files(
    connection: Connection, organisation_id: str, made: Made, before: Iterable[Row[Any]]
) -> Mapping[tuple[str, str], tuple[str, int, str]]:
    """Return blob, size and checksum of each named path that has a file, by kind and path."""
    held = {
        (row.kind, row.path): (row.blob_id, row.size_bytes, row.sha256)
        for row in before
        if row.blob_id is not None
    }
    named = {(kind, path) for kind, _, path in _named(made)}
    for file in made.stored:
        if (file.kind, file.path) not in named:
            raise InvalidRequest(
                f"The file {file.path[:200]!a} of work {made.work_id} is none of the products and "
                "plots that the work names. Name it there, or leave the file out."
            )
        adopted = _adopt(connection, organisation_id, made.work_id, file)
        if adopted is not None:
            held[file.kind, file.path] = adopted
    return held


def _adopt(
    connection: Connection, organisation_id: str, work_id: str, file: StoredFile
) -> tuple[str, int, str] | None:
    """Make an uploaded blob count as this work's; None if it was swept away meanwhile."""
    try:
        blobs.store(connection, file.blob_id, size_bytes=file.size_bytes, sha256=file.sha256)
    except Conflict:
        # Not pending any more: this report was sent before, or the blob is gone or not ours.
        owned = connection.execute(
            select(bucket_artifacts.c.work_id).where(
                bucket_artifacts.c.organisation_id == organisation_id,
                bucket_artifacts.c.work_id == work_id,
                bucket_artifacts.c.blob_id == file.blob_id,
            )
        ).first()
        if owned is None:
            _refuse_foreign(connection, organisation_id, work_id, file)
            return None
    try:
        blob = blobs.get(connection, organisation_id, file.blob_id)
    except NotFound as error:
        raise _foreign(work_id, file) from error
    return blob.id, blob.size_bytes, blob.sha256


def _refuse_foreign(
    connection: Connection, organisation_id: str, work_id: str, file: StoredFile
) -> None:
    """Raise for a blob that something else holds; return for one that is gone."""
    try:
        blobs.get(connection, organisation_id, file.blob_id)
    except NotFound:
        return
    raise _foreign(work_id, file)


def _foreign(work_id: str, file: StoredFile) -> InvalidRequest:
    return InvalidRequest(
        f"Work {work_id} names the blob {file.blob_id[:80]!a} as {file.path[:200]!a}, which was not "
        "uploaded for it with a key of this organisation. Upload the file and name its new blob."
    )


def _drop(
    connection: Connection, organisation_id: str, work_ids: Collection[str], held: set[str]
) -> Gone:
    leaving = sorted(set(work_ids) - held)
    found = _rows(connection, organisation_id, leaving)
    if not found:
        return Gone()
    _remove(connection, organisation_id, list(found))
    blob_ids = {row.blob_id for rows in found.values() for row in rows if row.blob_id is not None}
    discarded = blobs.discard(connection, blob_ids) if blob_ids else blobs.Discarded(0, 0)
    return Gone(
        rows=sum(len(rows) for rows in found.values()),
        objects=discarded.count,
        size_bytes=discarded.size_bytes,
    )


def _rows(
    connection: Connection, organisation_id: str, work_ids: Collection[str]
) -> dict[str, list[Row[Any]]]:
    """Return the artifacts of works, in the order of their positions, by work."""
    if not work_ids:
        return {}
    found: dict[str, list[Row[Any]]] = {}
    rows = connection.execute(
        select(bucket_artifacts)
        .where(
            bucket_artifacts.c.organisation_id == organisation_id,
            bucket_artifacts.c.work_id.in_(work_ids),
        )
        .order_by(bucket_artifacts.c.kind, bucket_artifacts.c.position)
    )
    for row in rows:
        found.setdefault(row.work_id, []).append(row)
    return found


def _remove(connection: Connection, organisation_id: str, work_ids: Collection[str]) -> None:
    connection.execute(
        delete(bucket_artifacts).where(
            bucket_artifacts.c.organisation_id == organisation_id,
            bucket_artifacts.c.work_id.in_(work_ids),
        )
    )


def _known(connection: Connection, organisation_id: str, work_id: str) -> bool:
    in_bucket = (
        select(works.c.id)
        .join(queues, queues.c.id == works.c.queue_id)
        .where(
            works.c.id == work_id,
            queues.c.organisation_id == organisation_id,
            queues.c.surface == SURFACE,
        )
    )
    archived = select(bucket_results.c.id).where(
        bucket_results.c.organisation_id == organisation_id, bucket_results.c.id == work_id
    )
    return any(connection.execute(query).first() is not None for query in (in_bucket, archived))

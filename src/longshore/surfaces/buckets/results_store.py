"""The results store: documents of works that are over, apart from those that are not.

A document here is what a bucket showed of its work when it was moved, or what a client deposited.
The names `id`, `pipeline` and `status` of a document are also columns, always with the same value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, select
from sqlalchemy import update as update_rows
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from longshore import limits
from longshore.access import Principal
from longshore.errors import NotFound, TooLarge
from longshore.storage import mark, now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.buckets import artifacts, query, results_rules
from longshore.surfaces.buckets.artifacts import Gone, Made
from longshore.surfaces.buckets.documents import encode
from longshore.surfaces.buckets.query import Filter, Projection
from longshore.surfaces.buckets.results_rules import NewResult
from longshore.surfaces.buckets.tables import bucket_results
from longshore.surfaces.buckets.viewing import View

STORED: Final = "results_stored"
CHANGED: Final = "results_changed"
DELETED: Final = "results_deleted"
"""Marks of transactions, for longshore.storage.faults."""
_CHUNK_IDS: Final = 1_000
_COLUMNS: Final = (
    "organisation_id", "pipeline", "id", "document", "status", "locked", "deposited_us",
)  # fmt: skip
_FIELDS: Final = query.Fields(
    document=bucket_results.c.document,
    columns={
        name: query.Column(bucket_results.c[name], "text") for name in ("id", "pipeline", "status")
    },
)


def deposit(
    connection: Connection, principal: Principal, new: Sequence[NewResult]
) -> dict[str, bool]:
    """Store finished works, all of them or none; return {pipeline: True} for each pipeline.

    None is fine: the published transfer daemon deposits none whenever it has nothing but deletions
    to do.

    Raises:
        Conflict: an id is there already; nothing was stored.
    """
    organisation_id = principal.organisation_id
    wanted = [each.document["id"] for each in new]
    present = [row.id for row in _rows(connection, organisation_id, wanted, bucket_results.c.id)]
    if present:
        raise results_rules.duplicates_error(present, "is in the results store already")
    at_us = now_us(connection)
    rows = [_row(organisation_id, each.document, each.text, at_us) for each in new]
    try:
        with connection.begin_nested():
            insert_rows(connection, bucket_results, _COLUMNS, rows)
    except IntegrityError as error:
        # Another server stored one of them between our look and our insert.
        raise results_rules.duplicates_error(
            wanted, "was deposited by another request just now"
        ) from error
    _register(connection, organisation_id, [each.document for each in new])
    mark(connection, STORED)
    return {each.document["pipeline"]: True for each in new}


def archive(
    connection: Connection, organisation_id: str, documents: Sequence[dict[str, Any]]
) -> None:
    """Store documents that leave their buckets; one whose id is there already is passed over."""
    if not documents:
        return
    at_us = now_us(connection)
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    rows = [
        dict(zip(_COLUMNS, _row(organisation_id, document, encode(document), at_us), strict=True))
        for document in documents
    ]
    connection.execute(make(bucket_results).on_conflict_do_nothing(), rows)


def update(
    connection: Connection, principal: Principal, given: Mapping[str, dict[str, Any]]
) -> int:
    """Lay new documents over those with the same ids, all or none; return how many changed.

    What a new document does not name at its top level stays. Of a locked result nothing can be
    changed but the lock: a document that differs only in `results.locked` unlocks it.

    Raises:
        NotFound: an id is not in the results store of its pipeline.
        Conflict: a result is locked.
    """
    organisation_id = principal.organisation_id
    rows = {
        row.id: row
        for row in _rows(connection, organisation_id, given, *bucket_results.c, lock=True)
    }
    missing = [
        one
        for one, document in given.items()
        if one not in rows or rows[one].pipeline != document["pipeline"]
    ]
    if missing:
        raise NotFound(
            f"{results_rules.naming(missing)} not in the results store of the pipeline that the "
            "document names. Deposit it first, or check id and pipeline; nothing was changed.",
            details={"ids": missing[: results_rules.SHOWN_IDS]},
        )
    changed, refused = results_rules.changes(
        given,
        {one: row.document for one, row in rows.items()},
        {one for one, row in rows.items() if row.locked},
    )
    if refused:
        raise results_rules.locked_error(refused, "changed")
    for document in changed:
        connection.execute(
            update_rows(bucket_results)
            .where(
                bucket_results.c.organisation_id == organisation_id,
                bucket_results.c.id == document["id"],
            )
            .values(
                document=encode(document),
                status=document["status"],
                locked=results_rules.is_locked(document),
            )
        )
    _register(connection, organisation_id, changed)
    mark(connection, CHANGED)
    return len(changed)


def delete_ids(
    connection: Connection, principal: Principal, wanted: Mapping[str, Collection[str]]
) -> dict[str, bool]:
    """Delete results by pipeline and id, all or none; return {pipeline: True} for each pipeline.

    An id that is not there does no harm, so that a repeated request gets the same answer.

    Raises:
        Conflict: a result is locked.
        TooLarge: there are more than `limits.DEPOSIT_WORKS`.
    """
    pipelines = {one: pipeline for pipeline, some in wanted.items() for one in some}
    results_rules.refuse_many(len(pipelines))
    columns = bucket_results.c.id, bucket_results.c.pipeline, bucket_results.c.locked
    rows = [
        row
        for row in _rows(connection, principal.organisation_id, pipelines, *columns, lock=True)
        if row.pipeline in wanted and row.id in wanted[row.pipeline]
    ]
    locked = [row.id for row in rows if row.locked]
    if locked:
        raise results_rules.locked_error(locked, "deleted")
    remove(connection, principal.organisation_id, [row.id for row in rows])
    mark(connection, DELETED)
    return dict.fromkeys(wanted, True)


def remove(connection: Connection, organisation_id: str, result_ids: Sequence[str]) -> Gone:
    """Delete results, locked or not, with their artifacts; return what is gone."""
    gone = Gone()
    for some in _chunks(result_ids):
        rows = connection.execute(
            delete(bucket_results).where(
                bucket_results.c.organisation_id == organisation_id, bucket_results.c.id.in_(some)
            )
        ).rowcount
        files = artifacts.forget_results(connection, organisation_id, some)
        gone += Gone(rows + files.rows, files.objects, files.size_bytes)
    return gone


def view(connection: Connection, principal: Principal, wanted: View) -> list[dict[str, Any]]:
    """Return the documents that match, oldest deposit first unless sorted otherwise.

    A limit of 0 or None is none.

    Raises:
        InvalidRequest: the sort cannot be used.
        TooLarge: more match than one answer holds (`limits.VIEW_WORKS`, `limits.VIEW_BYTES`).
    """
    ordering = query.ordering(wanted.sort, _FIELDS, connection.dialect.name)
    most = min(wanted.limit or limits.VIEW_WORKS + 1, limits.VIEW_WORKS + 1)
    statement = (
        _matching(connection, principal, wanted.where, bucket_results.c.document)
        .order_by(*ordering, bucket_results.c.deposited_us, bucket_results.c.id)
        .offset(wanted.skip)
        .limit(most)
        # The rows arrive a few at a time, so that too many bytes are noticed before they are here.
        .execution_options(stream_results=True, max_row_buffer=64)
    )
    found: list[dict[str, Any]] = []
    size_bytes = 0
    with connection.execute(statement) as rows:
        for row in rows:
            size_bytes += len(row.document)
            if len(found) == limits.VIEW_WORKS or size_bytes > limits.VIEW_BYTES:
                raise TooLarge(
                    f"More than {limits.VIEW_WORKS} results, or {limits.VIEW_BYTES} bytes of them, "
                    "match. Give a `limit` and go on with `skip`, or narrow the query.",
                    details={"limit": limits.VIEW_WORKS, "limit_bytes": limits.VIEW_BYTES},
                )
            found.append(_shown(row.document, wanted.projection))
    return found


def view_encoded(connection: Connection, principal: Principal, wanted: View) -> bytes:
    """Return what `view` returns, as JSON."""
    return msgspec.json.encode(view(connection, principal, wanted))


def count(connection: Connection, principal: Principal, where: Filter) -> int:
    """Return how many documents match the query."""
    return int(
        connection.execute(_matching(connection, principal, where, func.count())).scalar_one()
    )


def status(connection: Connection, principal: Principal) -> dict[str, int]:
    """Return how many results each pipeline of the organisation has."""
    rows = connection.execute(
        select(bucket_results.c.pipeline, func.count())
        .where(bucket_results.c.organisation_id == principal.organisation_id)
        .group_by(bucket_results.c.pipeline)
        .order_by(bucket_results.c.pipeline)
    )
    return dict(rows.all())


def _matching(
    connection: Connection, principal: Principal, where: Filter, *columns: ColumnElement[Any]
) -> Select[Any]:
    """Return the query for what a user's filter leaves of the organisation's own results."""
    statement = select(*columns).select_from(bucket_results)
    statement = statement.where(bucket_results.c.organisation_id == principal.organisation_id)
    pipelines = query.pipelines_of(where)
    if pipelines is not None:
        statement = statement.where(bucket_results.c.pipeline.in_(sorted(pipelines)))
    return statement.where(query.condition(where, _FIELDS, connection.dialect.name))


def _shown(text: str, projection: Projection) -> dict[str, Any]:
    document = msgspec.json.decode(text)
    if results_rules.ASIDE not in projection.names:
        document.pop(results_rules.ASIDE, None)
    shown: dict[str, Any] = projection.apply(document)
    return shown


def _row(organisation_id: str, document: dict[str, Any], text: str, at_us: int) -> tuple[Any, ...]:
    """Return the values of _COLUMNS for a document."""
    return (
        organisation_id,
        document["pipeline"],
        document["id"],
        text,
        document["status"],
        results_rules.is_locked(document),
        at_us,
    )


def _register(
    connection: Connection, organisation_id: str, documents: Sequence[Mapping[str, Any]]
) -> None:
    made = [
        Made(
            document["pipeline"],
            document["id"],
            artifacts.paths(document.get("products")),
            artifacts.paths(document.get("plots")),
        )
        for document in documents
    ]
    for some in _chunks(made):
        artifacts.register_many(connection, organisation_id, some)


def _rows(
    connection: Connection,
    organisation_id: str,
    result_ids: Collection[str],
    *columns: ColumnElement[Any],
    lock: bool = False,
) -> list[Row[Any]]:
    """Return those of the results that exist; with `lock`, as nobody else may change them."""
    found: list[Row[Any]] = []
    for some in _chunks(sorted(result_ids)):
        statement = (
            select(*columns)
            .where(
                bucket_results.c.organisation_id == organisation_id, bucket_results.c.id.in_(some)
            )
            .order_by(bucket_results.c.id)
        )
        # SQLite has one writer at a time and needs no lock.
        if lock and connection.dialect.name == "postgresql":
            statement = statement.with_for_update()
        found += connection.execute(statement).all()
    return found


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _CHUNK_IDS):
        yield items[start : start + _CHUNK_IDS]

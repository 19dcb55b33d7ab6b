"""Looking at works of buckets: by query, by status, by bucket."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, exists, func, select

from longshore import limits
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.errors import InvalidRequest, TooLarge
from longshore.surfaces.buckets import documents, query
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.documents import STATUSES, Document, Kept
from longshore.surfaces.buckets.query import Filter, Projection
from longshore.surfaces.buckets.tables import bucket_works

DETAILS = "longshore"
"""A projection that names this field gets what the engine knows beyond the protocol."""
_STEP_ROWS = 500


@dataclass(frozen=True, slots=True)
class View:
    """What a view asks for; `limit` None is as many as are given at once."""

    where: Filter
    projection: Projection
    sort: Any = None
    skip: int = 0
    limit: int | None = 100

    @classmethod
    def parse(cls, body: dict[str, Any]) -> View:
        """Read the body of a view.

        Raises:
            InvalidRequest: a part of it is not of its form.
            TooLarge: the filter is beyond its limits.
        """
        unknown = sorted(set(body) - {"query", "projection", "skip", "limit", "sort"})
        if unknown:
            raise InvalidRequest(
                f"A view has no {unknown[0]!r}. Send query, projection, sort, skip and limit."
            )
        return cls(
            where=query.parse(body.get("query") or {}),
            projection=Projection.parse(body.get("projection") or {}),
            sort=body.get("sort"),
            skip=_number(body, "skip", 0),
            limit=_limit(body),
        )


def view(connection: Connection, organisation_id: str, wanted: View) -> list[Document]:
    """Return the documents that a query matches, in the order of their deposit unless it sorts.

    Raises:
        TooLarge: the answer is larger than `limits.VIEW_BYTES`.
    """
    details = DETAILS in wanted.projection.names
    found: list[Document] = []
    with closing(_matching(connection, organisation_id, wanted)) as matching:
        for work in _fitting(matching):
            document = work.effective()
            if details:
                document[DETAILS] = _details(connection, work)
            found.append(wanted.projection.apply(document))
    return found


def _fitting(works_found: Iterable[Kept]) -> Iterator[Kept]:
    """Pass on as many works as one answer holds, and refuse when there are more."""
    size_bytes = 0
    for position, work in enumerate(works_found):
        size_bytes += len(work.document)
        if position == limits.VIEW_WORKS or size_bytes > limits.VIEW_BYTES:
            raise TooLarge(
                f"More than {limits.VIEW_WORKS} works match, or {limits.VIEW_BYTES} bytes of them. "
                "Ask for fewer at a time, with limit and skip, or narrow the query.",
                details={"limit": limits.VIEW_WORKS, "limit_bytes": limits.VIEW_BYTES},
            )
        yield work


def count(connection: Connection, organisation_id: str, where: Filter) -> int:
    """Return how many works a query matches."""
    matching = _chosen(connection, organisation_id, where).subquery()
    return connection.execute(select(func.count()).select_from(matching)).scalar_one()


def ids(
    connection: Connection,
    organisation_id: str,
    where: Filter,
    *,
    after: str | None = None,
    until: str | None = None,
    limit: int,
) -> list[str]:
    """Return the ids of the works that a query matches, oldest first, a page at a time.

    Args:
        connection: the transaction.
        organisation_id: whose works.
        where: the query.
        after: only later ids than this one.
        until: no later ids than this one; ids are ordered by the time of deposit.
        limit: at most so many.
    """
    statement = _chosen(connection, organisation_id, where).with_only_columns(
        works_table.c.id, maintain_column_froms=True
    )
    if after is not None:
        statement = statement.where(bucket_works.c.work_id > after)
    if until is not None:
        statement = statement.where(bucket_works.c.work_id <= until)
    return list(connection.execute(statement.order_by(works_table.c.id).limit(limit)).scalars())


def status(
    connection: Connection, organisation_id: str, pipeline: str | None = None
) -> dict[str, int]:
    """Count works by status: of one bucket, or of all. A bucket that is not there has none.

    The keys come in the order in which the published client prints them.
    """
    statement = (
        select(works_table.c.state, func.count())
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
        .where(queues_table.c.organisation_id == organisation_id, queues_table.c.surface == SURFACE)
        .group_by(works_table.c.state)
    )
    if pipeline is not None:
        statement = statement.where(queues_table.c.name == pipeline)
    counts = dict.fromkeys(("total", *dict.fromkeys(STATUSES.values())), 0)
    for state, number in connection.execute(statement):
        counts[STATUSES[State(state)]] += number
        counts["total"] += number
    return counts


def pipelines(connection: Connection, organisation_id: str) -> list[str]:
    """Return the names of the buckets that hold works."""
    holds = exists().where(bucket_works.c.queue_id == queues_table.c.id)
    rows = connection.execute(
        select(queues_table.c.name)
        .where(
            queues_table.c.organisation_id == organisation_id,
            queues_table.c.surface == SURFACE,
            holds,
        )
        .order_by(queues_table.c.name)
    )
    return list(rows.scalars())


def _matching(
    connection: Connection, organisation_id: str, wanted: View
) -> Generator[Kept, None, None]:
    statement = _chosen(connection, organisation_id, wanted.where)
    order = query.ordering(wanted.sort, documents.fields(), connection.dialect.name)
    most = limits.VIEW_WORKS + 1
    if wanted.limit is not None:
        most = min(wanted.limit, most)
    statement = (
        statement.order_by(*order, works_table.c.id)
        .limit(most)
        .offset(wanted.skip)
        .execution_options(yield_per=_STEP_ROWS)
    )
    # A view that is given up in the middle must leave no open cursor behind.
    with connection.execute(statement) as result:
        for row in result:
            yield documents.kept(row)


def _chosen(connection: Connection, organisation_id: str, where: Filter) -> Select[Any]:
    """Return the query for the organisation's works that a filter matches."""
    statement = documents.selected().where(
        queues_table.c.organisation_id == organisation_id,
        queues_table.c.surface == SURFACE,
        query.condition(where, documents.fields(), connection.dialect.name),
    )
    names = query.pipelines_of(where)
    if names is not None:
        # Found first, so that the index by bucket is used and not all works are read.
        rows = connection.execute(
            select(queues_table.c.id).where(
                queues_table.c.organisation_id == organisation_id,
                queues_table.c.surface == SURFACE,
                queues_table.c.name.in_(sorted(names)),
            )
        )
        statement = statement.where(bucket_works.c.queue_id.in_(list(rows.scalars())))
    return statement


def _details(connection: Connection, work: Kept) -> dict[str, Any]:
    error = None
    if work.state is State.FAILURE:
        output = works.outputs(connection, [work.work_id]).get(work.work_id)
        error = documents.error_of(output.error) if output is not None else None
    return {
        "state": str(work.state),
        "reason": work.reason,
        "holder": work.worker_id,
        "retry_us": work.retry_us,
        "lease_until_us": work.lease_until_us,
        "finished_us": work.finished_us,
        "error": error,
    }


def _number(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidRequest(f"{name} is {str(value)[:40]!r}; send a whole number from 0 on.")
    return value


def _limit(body: dict[str, Any]) -> int | None:
    if body.get("limit", 100) is None:
        # Clients send null for "all" (`workflow buckets rm` without a limit does).
        return None
    return _number(body, "limit", 100)

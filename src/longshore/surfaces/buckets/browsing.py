"""Looking through buckets a page at a time: what a person sees, however many works there are.

Nothing here reads more than a bounded number of rows: counts end at `most`, lists go by key, and
a filter on documents looks at `WINDOW_WORKS` works at a time and says where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    union_all,
)

from longshore import ids
from longshore.access import Principal
from longshore.engine import activity_counts, queues
from longshore.engine.activity_census import QueueCount
from longshore.engine.choosing import constant
from longshore.engine.queues import Queue
from longshore.engine.states import State
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.errors import Conflict, InvalidRequest, NotFound
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.buckets import documents, query, results_store
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.documents import Kept
from longshore.surfaces.buckets.query import Filter
from longshore.surfaces.buckets.tables import bucket_results, bucket_works

WINDOW_WORKS: Final = 5_000
"""Works whose documents one page of a filtered list looks at."""
LISTED_BYTES: Final = 256 * 1024
"""A larger document is not read for a list; the page of its work has it."""
STATES: Final = ("queued", "running", "success", "failure", "cancelled")
"""In which a work of a bucket can be; one that a person holds is "waiting" for as long."""
_PRIORITIES: Final = range(1, 6)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and what is in it.

    Attributes:
        counts: works by state; one more than was asked for at most stands for "more than that".
        retrying: how many of the failed ones will be tried again by themselves.
        oldest_us: since when the one waits that has waited longest.
        census: counts by state as the engine has last made them, for those that are larger; and
            those of single works that somebody holds, as "waiting".
    """

    queue: Queue
    counts: Mapping[str, int]
    retrying: int
    oldest_us: int | None
    census: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Listed:
    """A work in a list; `document` is None where it is too large to be read for one."""

    work: Kept
    document: documents.Document | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of works; `older` is where the next one begins, or None at the end.

    Attributes:
        looked_at: how many works the filter was held against to find these.
    """

    works: list[Listed]
    older: str | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Result:
    """A result of a bucket, as the results store has it; `document` is its JSON text."""

    id: str
    status: str
    locked: bool
    deposited_us: int
    document: str

    @property
    def place(self) -> str:
        """Where it stands in the list; many are stored at the same time."""
        return f"{self.deposited_us}:{self.id}"


def buckets(
    connection: Connection, organisation_id: str, *, after: str | None, limit: int, most: int
) -> list[Bucket]:
    """Return the organisation's buckets by name, those after `after`, with counts up to `most`."""
    chosen = _buckets(most).where(queues_table.c.organisation_id == organisation_id)
    if after is not None:
        chosen = chosen.where(queues_table.c.name > after)
    rows = connection.execute(chosen.order_by(queues_table.c.name).limit(limit)).all()
    return _made(connection, rows)


def bucket(connection: Connection, organisation_id: str, name: str, *, most: int) -> Bucket:
    """Return one bucket with its counts up to `most`.

    Raises:
        NotFound: the organisation has no such bucket.
    """
    chosen = _buckets(most).where(
        queues_table.c.organisation_id == organisation_id, queues_table.c.name == name
    )
    found = _made(connection, connection.execute(chosen).all())
    if not found:
        raise NotFound(
            f"There is no bucket {name[:130]!a}; the first deposit of a work makes it. "
            "The page of buckets lists those that are there."
        )
    return found[0]


def works(
    connection: Connection,
    queue: Queue,
    *,
    state: str | None,
    where: Filter | None,
    before: str | None,
    limit: int,
) -> Page:
    """Return a page of the works of a bucket.

    All of them come newest first, finished ones by their end, and queued ones in the order in
    which they are withdrawn.

    Args:
        connection: the transaction.
        queue: of the bucket.
        state: only works in this state of `STATES`.
        where: only works whose documents match.
        before: where the page begins: `Page.older` of the one before it.
        limit: most works on it.

    Raises:
        InvalidRequest: `before` is not of that form.
    """
    most = limit + 1 if where is None else WINDOW_WORKS
    candidates = _candidates(connection, queue.id, state, before, most)
    if where is None:
        shown, older = candidates[:limit], candidates[limit - 1] if candidates[limit:] else None
        found = _documents(connection, [work_id for work_id, _ in shown], None)
        kept = [found[work_id] for work_id, _ in shown if work_id in found]
        return Page(kept, None if older is None else older[1], len(shown))
    found = _documents(connection, [work_id for work_id, _ in candidates], where)
    matching = [each for each in candidates if each[0] in found]
    if len(matching) > limit:
        last: tuple[str, str] | None = matching[limit - 1]
    else:
        last = candidates[-1] if len(candidates) == most else None
    listed = [found[work_id] for work_id, _ in matching[:limit]]
    return Page(listed, None if last is None else last[1], len(candidates))


def results(
    connection: Connection, organisation_id: str, name: str, *, before: str | None, limit: int
) -> list[Result]:
    """Return results of a bucket, the newest first; those behind `before`, a `Result.place`."""
    columns = bucket_results.c
    size = func.length(columns.document)
    statement = select(
        columns.id,
        columns.status,
        columns.locked,
        columns.deposited_us,
        case((size <= LISTED_BYTES, columns.document), else_=literal("")),
    ).where(columns.organisation_id == organisation_id, columns.pipeline == name)
    if before is not None:
        at, _, result_id = before.partition(":")
        if not at.isdecimal() or len(at) > 18:
            raise _no_place(before)
        same = and_(columns.deposited_us == int(at), columns.id < result_id)
        earlier = or_(columns.deposited_us < int(at), same)
        statement = statement.where(columns.deposited_us <= int(at), earlier)
    newest = statement.order_by(columns.deposited_us.desc(), columns.id.desc()).limit(limit)
    return [Result(*row) for row in connection.execute(newest)]


def lock_result(
    connection: Connection, principal: Principal, name: str, result_id: str, *, locked: bool
) -> None:
    """Lock a result of a bucket, so that nobody changes or deletes it, or unlock it.

    Raises:
        NotFound: the bucket has no such result.
        Conflict: its `results` are no object, so that they cannot hold a lock.
    """
    columns = bucket_results.c
    text = connection.scalar(
        select(columns.document).where(
            columns.organisation_id == principal.organisation_id,
            columns.pipeline == name,
            columns.id == result_id,
        )
    )
    if text is None:
        raise NotFound(f"There is no result {result_id[:80]!a} of {name[:80]!a} any more.")
    document = msgspec.json.decode(text)
    found = document.get("results") or {}
    if not isinstance(found, dict):
        raise Conflict(f"The results of {result_id} are no object, so that nothing can lock them.")
    changed = {**document, "results": {**found, "locked": locked}}
    results_store.update(connection, principal, {result_id: changed})


def _buckets(most: int) -> Select[Any]:
    """Return the query for buckets: id, how many works in each state, how many retry, the oldest."""
    one = literal(1)

    def count(state: str, *conditions: ColumnElement[bool]) -> ColumnElement[int]:
        rows = (
            select(one)
            .select_from(works_table)
            .where(
                works_table.c.queue_id == queues_table.c.id,
                works_table.c.state == constant(state),
                # Said too, so that the index of finished works is seen to be enough.
                *((works_table.c.finished_us.is_not(None),) if state in STATES[2:] else ()),
                *conditions,
            )
            .limit(most + 1)
            .correlate(queues_table)
        )
        return select(func.count()).select_from(rows.subquery()).scalar_subquery()

    def oldest(priority: int) -> Select[Any]:
        return (
            select(func.min(works_table.c.due_us).label("due_us"))
            .where(
                works_table.c.queue_id == queues_table.c.id,
                works_table.c.state == constant("queued"),
                works_table.c.priority == priority,
            )
            .correlate(queues_table)
        )

    # The index of what can be claimed goes by priority first: one look for each of them.
    waits = union_all(*(oldest(priority) for priority in _PRIORITIES)).subquery()
    oldest_us = select(func.min(waits.c.due_us)).scalar_subquery()
    retrying = count("failure", works_table.c.retry_us.is_not(None))
    counts = [count(state).label(state) for state in STATES]
    return select(
        queues_table.c.id, *counts, retrying.label("retrying"), oldest_us.label("oldest_us")
    ).where(queues_table.c.surface == SURFACE)


def _made(connection: Connection, rows: Sequence[Row[Any]]) -> list[Bucket]:
    known = queues.get_many(connection, {row.id for row in rows})
    census = activity_counts.of_queues(connection, list(known))
    return [
        Bucket(
            known[row.id],
            dict(zip(STATES, row[1:], strict=False)),
            row.retrying,
            row.oldest_us,
            _census(census.get(row.id)),
        )
        for row in rows
    ]


def _census(found: QueueCount | None) -> dict[str, int]:
    if found is None:
        return {}
    by_state = dict(found.by_state)
    # The census counts those apart that will be tried again.
    by_state["failure"] += by_state["retrying"]
    return by_state


def _candidates(
    connection: Connection, queue_id: int, state: str | None, before: str | None, limit: int
) -> list[tuple[str, str]]:
    """Return ids of works with what the next page begins at after each of them."""
    if state is None:
        return _by_id(connection, queue_id, before, limit)
    if state == State.QUEUED:
        return _by_turn(connection, queue_id, before, limit)
    column = works_table.c.started_us if state == State.RUNNING else works_table.c.finished_us
    chosen = select(works_table.c.id, column).where(
        works_table.c.queue_id == queue_id,
        works_table.c.state == constant(state),
        column.is_not(None),
    )
    if before is not None:
        at_us, work_id = _cursor(before, 1)
        chosen = chosen.where(
            or_(column < at_us, and_(column == at_us, works_table.c.id < work_id)),
            # Said alone as well, for the index.
            column <= at_us,
        )
    rows = connection.execute(
        chosen.order_by(column.desc(), works_table.c.id.desc()).limit(limit)
    ).all()
    return [(work_id, f"{at_us}:{work_id}") for work_id, at_us in rows]


def _by_id(
    connection: Connection, queue_id: int, before: str | None, limit: int
) -> list[tuple[str, str]]:
    chosen = select(bucket_works.c.work_id).where(bucket_works.c.queue_id == queue_id)
    if before is not None:
        chosen = chosen.where(bucket_works.c.work_id < _cursor(before, 0)[0])
    newest = chosen.order_by(bucket_works.c.work_id.desc()).limit(limit)
    return [(work_id, work_id) for work_id in connection.execute(newest).scalars()]


def _by_turn(
    connection: Connection, queue_id: int, before: str | None, limit: int
) -> list[tuple[str, str]]:
    columns = works_table.c
    chosen = select(columns.id, columns.priority, columns.due_us).where(
        columns.queue_id == queue_id, columns.state == constant("queued")
    )
    if before is not None:
        priority, due_us, work_id = _cursor(before, 2)
        later = or_(columns.due_us > due_us, and_(columns.due_us == due_us, columns.id > work_id))
        chosen = chosen.where(
            columns.priority <= priority,
            or_(columns.priority < priority, and_(columns.priority == priority, later)),
        )
    turn = columns.priority.desc(), columns.due_us, columns.id
    rows = connection.execute(chosen.order_by(*turn).limit(limit)).all()
    return [(work_id, f"{priority}:{due_us}:{work_id}") for work_id, priority, due_us in rows]


def _cursor(text: str, numbers: int) -> tuple[Any, ...]:
    """Return the numbers and the id that a cursor names."""
    *parts, work_id = text.split(":")
    usable = len(parts) == numbers and work_id.startswith(f"{ids.WORK}_")
    if not usable or not all(part.isdecimal() and len(part) < 19 for part in parts):
        raise _no_place(text)
    return (*map(int, parts), work_id)


def _no_place(text: str) -> InvalidRequest:
    return InvalidRequest(
        f"before is {text[:80]!a}, which is no place in this list. Begin with its first page."
    )


def _documents(
    connection: Connection, work_ids: Sequence[str], where: Filter | None
) -> dict[str, Listed]:
    """Return those of the works whose documents match, by id."""
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    text = bucket_works.c.document
    small = func.length(text).cast(BigInteger) <= LISTED_BYTES
    columns = [column for column in documents.selected().selected_columns if column is not text]
    statement = (
        documents.selected()
        .with_only_columns(*columns, case((small, text), else_=literal("")))
        .where(works_table.c.id.in_(select(given.c.id)))
    )
    if where is not None:
        statement = statement.where(query.condition(where, documents.fields(), dialect))
    chosen = given_parameters(dialect, [(work_id,) for work_id in work_ids], 1)
    found = (documents.kept(row) for row in connection.execute(statement, chosen).all())
    return {work.work_id: _listed(work) for work in found}


def _listed(work: Kept) -> Listed:
    if not work.document:
        return Listed(msgspec.structs.replace(work, document="{}"), None)
    return Listed(work, work.effective())

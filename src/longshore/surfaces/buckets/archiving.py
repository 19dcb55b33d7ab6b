"""What moves by itself: finished works to the results store, old results out of it.

A work leaves its bucket and appears among the results in one transaction, so that a server which
dies on the way leaves it in exactly one of the two places, and the next pass goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    case,
    cast,
    delete,
    func,
    select,
    true,
)

from longshore import limits
from longshore.clock import SECOND_US
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.tables import is_final, notices, queues
from longshore.engine.tables import works as works_table
from longshore.storage import mark, now_us
from longshore.surfaces.buckets import artifacts, documents, results_rules, results_store
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.documents import Document
from longshore.surfaces.buckets.tables import bucket_results, bucket_settings, bucket_works

ACTOR: Final = "archive"
"""Who does it, in the history of works."""
ARCHIVED: Final = "buckets_archived"
"""Mark of a transaction that moves works, for longshore.storage.faults."""
EXPIRED: Final = "buckets_expired"
"""Mark of a transaction that deletes old results."""
PASS_WORKS: Final = 400
"""Most works that one pass moves; what is left waits for the next, which follows at once."""
PASS_CHARACTERS: Final = 16 * limits.MIB
"""Most characters of documents that one pass moves, unless a single document is longer."""
PASS_RESULTS: Final = 1_000
"""Most results that one pass deletes."""


def sweep(connection: Connection) -> dict[str, int]:
    """Do one pass, bounded and harmless to repeat; return what it did.

    Its counts are `archived` (works moved to the results), `dropped` (works whose documents say
    that their results are not to be kept) and `expired` (results past their bucket's retention).
    """
    archived, dropped = _archive(connection)
    return {"archived": archived, "dropped": dropped, "expired": _expire(connection)}


def _archive(connection: Connection) -> tuple[int, int]:
    due = _due(connection)
    if not due:
        return 0, 0
    archived = dropped = 0
    for organisation_id, some in _by_organisation(due):
        kept = [
            document
            for document in _finished(connection, organisation_id, some)
            if _is_kept(document)
        ]
        results_store.archive(connection, organisation_id, kept)
        # What is kept is among the results by now, so that its artifacts stay with it.
        connection.execute(delete(bucket_works).where(bucket_works.c.work_id.in_(some)))
        works.forget(connection, work_ids=some)
        artifacts.forget(connection, organisation_id, some)
        archived += len(kept)
        dropped += len(some) - len(kept)
    mark(connection, ARCHIVED)
    return archived, dropped


def _due(connection: Connection) -> list[Row[*tuple[Any, ...]]]:
    """Return id, organisation and length of works that are to move, as nobody else may change them."""
    found: list[Row[*tuple[Any, ...]]] = []
    for state in (State.SUCCESS, State.FAILURE, State.CANCELLED):
        room = PASS_WORKS - len(found)
        if room:
            found += _due_in(connection, state, room)
    size = 0
    some: list[Row[*tuple[Any, ...]]] = []
    for row in found:
        size += row.size
        if some and size > PASS_CHARACTERS:
            break
        some.append(row)
    return some


def _due_in(connection: Connection, state: State, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    # A state at a time, written out: so each bucket is looked up in the index of finished works,
    # and what is too young is not read.
    finished: FromClause = works_table
    condition = and_(
        works_table.c.queue_id == queues.c.id,
        works_table.c.state == state.value,
        works_table.c.finished_us <= _before_us(connection, _age_s()),
        is_final(works_table),
        # Messages about a work are made of its document.
        works_table.c.id.not_in(select(notices.c.work_id)),
    )
    if connection.dialect.name == "postgresql":
        # Its planner takes a third of all works to be due and would read all of them; an order
        # and a limit for each bucket keep it on the index. SQLite goes by the index anyway, and
        # has one writer at a time, so that it needs no lock either.
        some = select(works_table.c.id).where(condition).order_by(works_table.c.finished_us)
        finished = some.limit(limit).with_for_update(skip_locked=True).lateral("finished")
        condition = true()
    due = (
        select(finished.c.id, queues.c.organisation_id)
        .select_from(queues)
        .outerjoin(bucket_settings, bucket_settings.c.queue_id == queues.c.id)
        .join(finished, condition)
        .where(queues.c.surface == SURFACE)
        .limit(limit)
        # The limit lies inside, so that documents are read of what is due and nothing else.
        .subquery("due")
    )
    size = func.length(bucket_works.c.document).label("size")
    statement = select(due.c.id, due.c.organisation_id, size).join(
        bucket_works, bucket_works.c.work_id == due.c.id
    )
    return connection.execute(statement).all()


def _age_s() -> ColumnElement[Any]:
    """Return after which time a finished work moves: that of its bucket, null for never."""
    return case(
        (bucket_settings.c.queue_id.is_(None), limits.BUCKET_ARCHIVE_AFTER_S),
        else_=bucket_settings.c.archive_after_s,
    )


def _before_us(connection: Connection, age_s: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the time `age_s` ago, of the type of the columns that are compared with it."""
    # Compared with a number that may have a fraction, they could not be looked up in an index.
    return cast(now_us(connection) - age_s * SECOND_US, BigInteger)


def _finished(
    connection: Connection, organisation_id: str, work_ids: Sequence[str]
) -> list[Document]:
    """Return the documents of finished works, with what the engine knows of their ends aside."""
    found = documents.read(connection, work_ids, organisation_id=organisation_id)
    failed = [one for one, kept in found.items() if kept.state is State.FAILURE]
    outputs = works.outputs(connection, failed)
    finished = []
    for one, kept in found.items():
        output = outputs.get(one)
        aside = {
            "state": str(kept.state),
            "reason": kept.reason,
            "holder": kept.worker_id,
            "finished_us": kept.finished_us,
            "error": None if output is None else documents.error_of(output.error),
        }
        finished.append({**kept.effective(), results_rules.ASIDE: aside})
    return finished


def _is_kept(document: dict[str, Any]) -> bool:
    """Whether a document's results are to be kept; only a plain false says that they are not."""
    config = document.get("config")
    archive = config.get("archive") if isinstance(config, dict) else None
    return not (isinstance(archive, dict) and archive.get("results") is False)


def _by_organisation(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.organisation_id, []).append(row.id)
    return sorted(found.items())


def _expire(connection: Connection) -> int:
    """Delete results past the retention of their bucket; locked ones stay."""
    old = connection.execute(
        select(bucket_results.c.id, bucket_results.c.organisation_id)
        .select_from(bucket_settings)
        .join(queues, queues.c.id == bucket_settings.c.queue_id)
        .join(
            bucket_results,
            (bucket_results.c.organisation_id == queues.c.organisation_id)
            & (bucket_results.c.pipeline == queues.c.name),
        )
        .where(
            queues.c.surface == SURFACE,
            bucket_settings.c.results_retention_s.is_not(None),
            bucket_results.c.locked.is_(False),
            bucket_results.c.deposited_us
            <= _before_us(connection, bucket_settings.c.results_retention_s),
        )
        .limit(PASS_RESULTS)
    ).all()
    for organisation_id, some in _by_organisation(old):
        results_store.remove(connection, organisation_id, some)
    if old:
        mark(connection, EXPIRED)
    return len(old)

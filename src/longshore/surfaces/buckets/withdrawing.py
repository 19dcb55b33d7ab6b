"""Withdrawing works from buckets: finding them in a read, leasing them in a guarded write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select

from longshore.engine import works
from longshore.engine.choosing import constant
from longshore.engine.states import State
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.engine.works import Lease, Lost
from longshore.errors import InvalidRequest
from longshore.limits import BUCKETS_PER_WITHDRAW
from longshore.surfaces.buckets import documents, query
from longshore.surfaces.buckets.depositing import SURFACE
from longshore.surfaces.buckets.documents import STATUSES, Document, Plain
from longshore.surfaces.buckets.query import Filter

GRACE_S: Final = 10.0
"""What a lease is longer than the time limit, so that an auditor who comes every few seconds is
the first to see that the time is over."""
SPARE_CANDIDATES: Final = 32
"""Works that a search finds beyond what is wanted, since others may take some meanwhile."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a withdrawal asks for.

    Attributes:
        queue_ids: the buckets that are there; those of other names have no works.
        where: the rest of the filter, or None when the names of the buckets are all of it.
        complete: whether all buckets that the filter names are there.
    """

    queue_ids: list[int]
    where: Filter | None
    complete: bool = True


class Withdrawn(msgspec.Struct, frozen=True):
    """A work that was leased, and its document as the holder sees it."""

    lease: Lease
    document: Plain | Document


def understand(connection: Connection, organisation_id: str, wanted: Any) -> Wanted:
    """Find out which buckets a filter names, and whether it says more.

    Raises:
        InvalidRequest: it is no filter, or does not name its buckets.
        TooLarge: it is too long, or names too many.
    """
    where = query.parse(wanted)
    names = query.pipelines_of(where)
    if names is None:
        raise InvalidRequest(
            "A withdrawal names its buckets. Send the filter as "
            '{"pipeline": {"$in": ["NAME", ...]}}, with what else is wanted beside it.'
        )
    if len(names) > BUCKETS_PER_WITHDRAW:
        raise InvalidRequest(
            f"{len(names)} buckets; withdraw from at most {BUCKETS_PER_WITHDRAW} at once."
        )
    queue_ids = _queue_ids(connection, organisation_id, names)
    return Wanted(queue_ids, _rest(wanted, where), complete=len(queue_ids) == len(names))


def waiting(connection: Connection, wanted: Wanted) -> bool:
    """Return whether a claim might find something, so that an idle poll writes nothing."""
    return bool(wanted.queue_ids) and works.claimable(connection, wanted.queue_ids)


def candidates(connection: Connection, wanted: Wanted, *, limit: int) -> list[str]:
    """Return the ids of the works that come first among those that the filter matches."""
    assert wanted.where is not None
    if not wanted.queue_ids:
        return []
    fields, dialect = documents.fields(), connection.dialect.name
    order = (works_table.c.priority.desc(), works_table.c.due_us, works_table.c.id)
    found: list[Any] = []
    # Bucket by bucket, each in the order of its index: the database can stop at the limit.
    for queue_id in wanted.queue_ids:
        statement = (
            documents.selected()
            .with_only_columns(
                works_table.c.id,
                works_table.c.priority,
                works_table.c.due_us,
                maintain_column_froms=True,
            )
            .where(
                works_table.c.queue_id == queue_id,
                works_table.c.state == constant("queued"),
                queues_table.c.held_us.is_(None),
                query.condition(wanted.where, fields, dialect),
            )
            .order_by(*order)
            .limit(limit + SPARE_CANDIDATES)
        )
        found += connection.execute(statement).all()
    found.sort(key=lambda row: (-row.priority, row.due_us, row.id))
    return [row.id for row in found]


def claim(
    connection: Connection,
    wanted: Wanted,
    *,
    limit: int,
    holder: str,
    lease_s: float | None,
    among: Sequence[str] | None = None,
) -> list[Withdrawn]:
    """Lease up to `limit` works: highest priority first, then oldest, over all the buckets.

    Args:
        connection: a write transaction.
        wanted: the buckets; its filter is not looked at again.
        limit: at most so many.
        holder: who may renew.
        lease_s: length of the lease; None gives each work its own time limit and `GRACE_S`.
        among: the works that `candidates` found, for a filter that says more than buckets.
    """
    if not wanted.queue_ids:
        return []
    leases = works.claim(
        connection,
        wanted.queue_ids,
        limit=limit,
        holder=holder,
        lease_s=lease_s,
        grace_s=GRACE_S,
        among=among,
        with_payloads=False,
    )
    return with_documents(connection, leases)


def with_documents(connection: Connection, leases: Sequence[Lease]) -> list[Withdrawn]:
    """Return leases of works of buckets with the documents that their holders see."""
    stored = documents.stored(connection, [lease.id for lease in leases])
    status = STATUSES[State.RUNNING]
    withdrawn = []
    for lease in leases:
        text, offset = stored[lease.id]
        document = documents.shown(
            text,
            work_id=lease.id,
            status=status,
            attempt=lease.attempt + offset,
            started_us=lease.started_us,
        )
        withdrawn.append(Withdrawn(lease, document))
    return withdrawn


def renew(
    connection: Connection,
    organisation_id: str,
    held: Sequence[tuple[str, int]],
    *,
    lease_s: float,
) -> list[Lost]:
    """Lengthen leases, named by id and attempt as clients see it; return those that are lost.

    A work that is to be cancelled keeps its lease and is returned with `cancelled`.
    """
    known = documents.read(
        connection, [work_id for work_id, _ in held], organisation_id=organisation_id
    )
    lost: list[Lost] = []
    by_holder: dict[str, list[tuple[str, int]]] = {}
    for work_id, attempt in held:
        work = known.get(work_id)
        if work is None:
            lost.append(Lost(work_id, attempt, "the work does not exist (any more)"))
        elif work.worker_id is None or work.state is not State.RUNNING:
            lost.append(
                Lost(work_id, attempt, f"nobody holds it: state {work.state} ({work.reason})")
            )
        else:
            by_holder.setdefault(work.worker_id, []).append(
                (work_id, attempt - work.attempt_offset)
            )
    for holder, pairs in by_holder.items():
        for each in works.renew(connection, pairs, holder=holder, lease_s=lease_s):
            shown = each.attempt + known[each.work_id].attempt_offset
            lost.append(Lost(each.work_id, shown, each.reason, each.cancelled))
    return lost


def hand_back(connection: Connection, leases: Sequence[Lease], *, holder: str) -> None:
    """Give works back whose holder cannot have heard of them; the attempts are not charged."""
    endings = [works.Ending(lease.id, lease.attempt, works.Outcome.HANDED_BACK) for lease in leases]
    works.finish(connection, endings, holder=holder)


def _queue_ids(connection: Connection, organisation_id: str, names: set[str]) -> list[int]:
    # No bucket has the character NUL in its name, and no PostgreSQL takes it.
    usable = sorted(name for name in names if "\0" not in name)
    rows = connection.execute(
        select(queues_table.c.id)
        .where(
            queues_table.c.organisation_id == organisation_id,
            queues_table.c.surface == SURFACE,
            queues_table.c.name.in_(usable),
        )
        .order_by(queues_table.c.id)
    )
    return list(rows.scalars())


def _rest(wanted: Any, where: Filter) -> Filter | None:
    """Return the filter, unless it only names buckets."""
    if isinstance(wanted, Mapping) and set(wanted) == {"pipeline"}:
        return None
    return where

"""Works that wait for other works."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, Text, exists, select

from longshore.engine import queues
from longshore.engine.states import Reason, State
from longshore.engine.tables import dependencies, is_final, works
from longshore.engine.transitions import Guard, Moved, move
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows

if TYPE_CHECKING:
    from longshore.engine.submission import NewWork


def declare(connection: Connection, fresh: Sequence[tuple[str, NewWork]]) -> set[str]:
    """Store what the new works require; return the ids of those that require anything.

    Raises:
        InvalidRequest: a required work does not exist, or works wait for each other.
    """
    rows = [
        (work_id, requires_id, work.requires_success)
        for work_id, work in fresh
        for requires_id in dict.fromkeys(work.requires)
    ]
    if not rows:
        return set()
    own = {work_id for work_id, _ in fresh}
    _refuse_circles([(work_id, needs) for work_id, needs, _ in rows if needs in own])
    needed = sorted({requires_id for _, requires_id, _ in rows} - own)
    missing = set(needed) - _lock_required(connection, needed)
    if missing:
        raise InvalidRequest(
            f"Work {min(missing)} is required but does not exist. Submit it first, or leave it out.",
            details={"missing": sorted(missing)[:20]},
        )
    insert_rows(connection, dependencies, ("work_id", "requires_id", "success_only"), rows)
    return {work_id for work_id, _, _ in rows}


def settle(connection: Connection, ended: Iterable[Moved], *, actor: str) -> None:
    """Release or cancel the works that waited for `ended`, and what waited for those."""
    final = [moved.work_id for moved in ended if moved.final]
    dialect = connection.dialect.name
    # Level by level: a chain of dependents may be longer than calls can be nested.
    while final:
        chosen = given_parameters(dialect, [(work_id,) for work_id in final], 1)
        blocked = sorted(connection.execute(_dependents(dialect), chosen).scalars())
        cancelled = _settle_level(connection, blocked, actor=actor)
        final = [moved.work_id for moved in cancelled]


def settle_blocked(connection: Connection, blocked: Sequence[str], *, actor: str) -> None:
    """Look at works that are blocked and move those whose requirements have ended."""
    settle(connection, _settle_level(connection, blocked, actor=actor), actor=actor)


@cache
def _dependents(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return select(dependencies.c.work_id).where(dependencies.c.requires_id == given.c.id).distinct()


def _settle_level(connection: Connection, blocked: Sequence[str], *, actor: str) -> list[Moved]:
    """Release or cancel those of `blocked` that can be; return what was cancelled."""
    if not blocked:
        return []
    # Two transactions may each end one requirement of the same work: whoever comes second must
    # see what the first did, so the blocked work is locked before its requirements are read.
    query = (
        select(works.c.id, works.c.attempt, works.c.due_us)
        .where(
            works.c.id.in_(blocked),
            # Only what waits is blocked. Naming the state would let the planner take the index of
            # waiting works, and walk all of them.
            works.c.reason == Reason.BLOCKED,
        )
        .order_by(works.c.id)
    )
    if connection.dialect.name == "postgresql":
        query = query.with_for_update()
    waiting = {row.id: row for row in connection.execute(query)}
    if not waiting:
        return []
    failed, pending = _judge(connection, list(waiting))
    at_us = now_us(connection)
    ready = [
        row for work_id, row in waiting.items() if work_id not in failed and work_id not in pending
    ]
    released = move(
        connection,
        Reason.RELEASED,
        [Guard(row.id, row.attempt) for row in ready if row.due_us <= at_us],
        actor=actor,
    )
    move(
        connection,
        Reason.DELAYED,
        [Guard(row.id, row.attempt) for row in ready if row.due_us > at_us],
        actor=actor,
    )
    queues.wake(connection, (moved.queue_id for moved in released))
    return move(
        connection,
        Reason.DEPENDENCY_FAILED,
        [Guard(work_id, waiting[work_id].attempt) for work_id in sorted(failed)],
        actor=actor,
    )


def _refuse_circles(needs: Iterable[tuple[str, str]]) -> None:
    """Refuse works of one submission that would wait for each other for ever."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for work_id, requires_id in needs:
        sorter.add(work_id, requires_id)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = error.args[1]
        raise InvalidRequest(
            f"Work {circle[0]} would wait for itself (over {len(circle) - 1} works). Leave one of "
            "the requirements out.",
            details={"circle": circle[:20]},
        ) from error


def _judge(connection: Connection, work_ids: Sequence[str]) -> tuple[set[str], set[str]]:
    """Return which works can never run, and which still have to wait."""
    required = works.alias("required")
    final = is_final(required)
    of_work = dependencies.c.work_id == works.c.id
    source = dependencies.join(required, required.c.id == dependencies.c.requires_id)
    lost = (
        exists()
        .select_from(source)
        .where(of_work, dependencies.c.success_only, final, required.c.state != State.SUCCESS)
    )
    open_ = exists().select_from(source).where(of_work, ~final)
    rows = connection.execute(
        select(works.c.id, lost.label("lost"), open_.label("open")).where(works.c.id.in_(work_ids))
    ).all()
    failed = {row.id for row in rows if row.lost}
    return failed, {row.id for row in rows if row.open} - failed


def _lock_required(connection: Connection, needed: Sequence[str]) -> set[str]:
    """Return which of the needed works exist, keeping them from ending meanwhile."""
    query = select(works.c.id).where(works.c.id.in_(needed)).order_by(works.c.id)
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(read=True)
    return set(connection.execute(query).scalars())

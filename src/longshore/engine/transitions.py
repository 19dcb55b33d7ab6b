"""The one write path for every change of state.

A change is a guarded UPDATE on (id, state, attempt): what is no longer there is not returned,
and each row that is returned gets its event in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    UpdateBase,
    bindparam,
    case,
    cast,
    literal,
    null,
    update,
)

from longshore.clock import SECOND_US
from longshore.engine.states import ENDED, HELD_UNTIL_US, TRANSITIONS, Reason, State
from longshore.engine.tables import events, works
from longshore.storage import after_commit, mark, now_us, tally_of
from longshore.storage.bulk import given_parameters, given_rows, insert_rows

EVENT_COLUMNS: Final = ("work_id", "queue_id", "attempt", "detail")
"""What differs between the events of one change."""
CHANGES: Final = "changes"
"""What `storage.Tally` calls changes of state, by reason."""
RUNS: Final = "runs"
"""What it calls the lengths of attempts that ended, whatever their outcome."""


class Guard(Struct, frozen=True):
    """A work that is to change, as the caller last saw it.

    Attributes:
        work_id: which work.
        attempt: the fence; a work whose attempt has gone on is left alone.
        retry_us: when the next attempt is due, for a change that is retryable.
        detail: JSON text for the event, or None.
    """

    work_id: str
    attempt: int
    retry_us: int | None = None
    detail: str | None = None


class Moved(Struct, frozen=True):
    """A work that has changed."""

    work_id: str
    queue_id: int
    attempt: int
    state: State
    reason: Reason
    final: bool


def move(
    connection: Connection,
    reason: Reason,
    guards: Sequence[Guard],
    *,
    actor: str,
    source: State | None = None,
    held_by: str | None = None,
    except_cancelling: bool = False,
) -> list[Moved]:
    """Change the works that are still as their guards say; return those that were.

    Args:
        connection: the transaction.
        reason: which change; see TRANSITIONS.
        guards: the works.
        actor: who does it, for the event.
        source: the one state to leave, where the change allows several.
        held_by: leave works alone that another holder has leased.
        except_cancelling: leave running works alone that are to be cancelled.
    """
    if not guards:
        return []
    change = TRANSITIONS[reason]
    sources = [source] if source is not None else sorted(change.sources)
    assert set(sources) <= change.sources, f"{reason} does not leave {source}"
    dialect = connection.dialect.name
    at_us = now_us(connection)
    rows = [(guard.work_id, guard.attempt, guard.retry_us) for guard in guards]
    details = {guard.work_id: guard.detail for guard in guards}
    moved: list[Moved] = []
    for leaving in sources:
        result = connection.execute(
            _statement(dialect, reason, leaving, held_by is not None, except_cancelling),
            {"now_us": at_us, "held_by": held_by, **given_parameters(dialect, rows, 3)},
        ).all()
        record(
            connection,
            reason,
            [
                (work_id, queue_id, attempt, details[work_id])
                for work_id, queue_id, attempt, _, _ in result
            ],
            leaving=leaving,
            actor=actor,
            at_us=at_us,
        )
        ended = change.target in ENDED
        if ended and leaving is State.RUNNING:
            _tally_runs(connection, result, at_us)
        moved.extend(
            Moved(work_id, queue_id, attempt, change.target, reason, ended and retry_us is None)
            for work_id, queue_id, attempt, retry_us, _ in result
        )
    return moved


def _tally_runs(connection: Connection, rows: Sequence[Any], at_us: int) -> None:
    tally = tally_of(connection)
    if tally is not None and rows:
        lengths = [
            (queue_id, max(at_us - started_us, 0) / SECOND_US)
            for _, queue_id, _, _, started_us in rows
        ]
        after_commit(connection, partial(tally.observe, RUNS, lengths))


def record(
    connection: Connection,
    reason: Reason,
    rows: Sequence[tuple[str, int, int, str | None]],
    *,
    leaving: State | None,
    actor: str,
    at_us: int,
) -> None:
    """Write one event for each (work id, queue id, attempt, detail) that has changed."""
    if not rows:
        return
    mark(connection, reason)
    if (tally := tally_of(connection)) is not None:
        changed = [queue_id for _, queue_id, _, _ in rows]
        after_commit(connection, partial(tally.add_each, CHANGES, reason.value, changed))
    insert_rows(
        connection,
        events,
        EVENT_COLUMNS,
        rows,
        same={
            "at_us": at_us,
            "from_state": None if leaving is None else leaving.value,
            "to_state": TRANSITIONS[reason].target.value,
            "reason": reason.value,
            "actor": actor,
        },
    )


@cache
def _statement(
    dialect: str, reason: Reason, leaving: State, of_holder: bool, except_cancelling: bool
) -> UpdateBase:
    given = given_rows(dialect, work_id=Text, attempt=Integer, retry_us=BigInteger)
    change = TRANSITIONS[reason]
    # On PostgreSQL a bare `state = 'running'` is planned over the partial lease index once
    # ANALYZE has seen an idle queue, and then walks every leased row; an expression on the
    # column keeps the planner on the primary key.
    state = works.c.state if dialect == "sqlite" else works.c.state.concat(literal(""))
    statement = (
        update(works)
        .where(works.c.id == given.c.work_id, works.c.attempt == given.c.attempt)
        .where(state == literal(str(leaving)))
        .values(state=str(change.target), reason=str(reason), **_values(reason, given.c.retry_us))
        .returning(
            works.c.id, works.c.queue_id, works.c.attempt, works.c.retry_us, works.c.started_us
        )
    )
    if of_holder:
        statement = statement.where(works.c.worker_id == bindparam("held_by", type_=Text))
    if reason is Reason.CANCEL_CONFIRMED:
        # Nobody but who asked for it can say that a work is to be cancelled.
        statement = statement.where(works.c.reason == str(Reason.CANCEL_REQUESTED))
    if except_cancelling:
        statement = statement.where(works.c.reason != str(Reason.CANCEL_REQUESTED))
    if reason is Reason.CANCELLED and leaving is State.FAILURE:
        # A failure that is final stays one.
        statement = statement.where(works.c.retry_us.is_not(None))
    return statement


def _values(reason: Reason, retry_us: Any) -> Mapping[str, Any]:
    """Return what a change sets besides state and reason."""
    change = TRANSITIONS[reason]
    at_us = bindparam("now_us", type_=BigInteger)
    if change.target in ENDED:
        retry = null()
        if change.retryable:
            left = works.c.attempt < works.c.attempts_max
            retry = case((left, cast(retry_us, BigInteger)), else_=null())  # type: ignore[assignment]
        return {"finished_us": at_us, "lease_until_us": null(), "retry_us": retry}
    if change.target is State.QUEUED:
        values: dict[str, Any] = {
            "finished_us": null(), "lease_until_us": null(), "retry_us": null(), "worker_id": null(),
        }  # fmt: skip
        if reason is Reason.HANDED_BACK:
            values["attempts_max"] = works.c.attempts_max + 1
        if reason is Reason.REOPENED:
            # A person's word buys at least one attempt more, whatever was used up before.
            spent = works.c.attempt >= works.c.attempts_max
            values["attempts_max"] = case((spent, works.c.attempt + 1), else_=works.c.attempts_max)
            # It may have been cancelled while it was held.
            held = works.c.due_us >= HELD_UNTIL_US
            values["due_us"] = case((held, at_us), else_=works.c.due_us)
        return values
    return {"due_us": HELD_UNTIL_US} if reason is Reason.HELD else {}

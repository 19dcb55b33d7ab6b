"""Doing something to some works in one transaction, each as its surface allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, select

from longshore.access import Principal
from longshore.engine import queues, works
from longshore.engine.tables import queues as queues_table
from longshore.engine.tables import works as works_table
from longshore.engine.works import Work
from longshore.errors import Conflict, LongshoreError
from longshore.surfaces.buckets import deleting
from longshore.surfaces.works.explaining import visible
from longshore.surfaces.works.possible import Action, Judge

_CHANGED: Final = "it changed in this moment"
_TOLD: Final = 20
"""Different reasons that are kept; further ones are counted together."""


@dataclass(slots=True)
class Outcome:
    """What became of works.

    Attributes:
        done: how many were changed.
        skipped: how many were left alone, by why.
        failed: how many could not be changed, by why.
    """

    done: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


def one(
    connection: Connection,
    principal: Principal,
    work_id: str,
    action: Action,
    *,
    actor: str,
    why: str,
) -> Work:
    """Do something to one work; return it as it is then.

    Raises:
        NotFound: the key reaches no such work.
        Conflict: it cannot be done to this work, or not now.
    """
    _one(connection, principal, work_id, action, actor=actor, why=why)
    return works.get(connection, work_id)


def delete_one(
    connection: Connection,
    principal: Principal,
    work_id: str,
    action: Action,
    *,
    actor: str,
    why: str,
) -> None:
    """Do what `one` does where nothing is left of the work."""
    _one(connection, principal, work_id, action, actor=actor, why=why)


def _one(
    connection: Connection,
    principal: Principal,
    work_id: str,
    action: Action,
    *,
    actor: str,
    why: str,
) -> None:
    visible(connection, principal, work_id)
    outcome = some(connection, principal.organisation_id, [work_id], action, actor=actor, why=why)
    refused = next(iter((*outcome.skipped, *outcome.failed)), None)
    if refused is not None:
        raise Conflict(f"{action} is not possible for work {work_id}: {refused}.")


def some(
    connection: Connection,
    organisation_id: str,
    work_ids: Sequence[str],
    action: Action,
    *,
    actor: str,
    why: str,
) -> Outcome:
    """Do something to those of the works that it can be done to; say why not to the others.

    Ids that name no work of the organisation are passed over.
    """
    outcome = Outcome()
    known = _known(connection, organisation_id, work_ids)
    judge = Judge(connection, list(known.values()), lock=action is Action.RETRY)
    chosen = []
    for work_id, (work, surface) in known.items():
        refused = judge.refusal(work, surface, action)
        if refused is None:
            chosen.append(work_id)
        else:
            outcome.skipped[refused] += 1
    act = _ACTS[action]
    try:
        with connection.begin_nested():
            changed = act(connection, organisation_id, chosen, actor, why)
    except LongshoreError:
        # One of them is at fault: the others need not suffer for it.
        changed = _one_by_one(connection, organisation_id, chosen, outcome, (act, actor, why))
    outcome.done += changed
    left = len(chosen) - changed - outcome.failed.total()
    if left > 0:
        outcome.skipped[_CHANGED] += left
    return outcome


def refusals(connection: Connection, work: Work) -> dict[str, str | None]:
    """Return by action why it cannot be done to a work now, or None where it can."""
    surface = queues.get(connection, work.queue_id).surface
    judge = Judge(connection, [(work, surface)])
    return {action.value: judge.refusal(work, surface, action) for action in Action}


def merged(before: dict[str, int], more: Counter[str]) -> dict[str, int]:
    """Add counts by reason up, with no more than some reasons told apart."""
    after = Counter(before)
    for why, count in more.items():
        after[why if why in after or len(after) < _TOLD else "other reasons"] += count
    return dict(after)


Act = Callable[[Connection, str, Sequence[str], str, str], int]
"""Takes organisation, works, actor and reason; returns how many works it changed."""


def _one_by_one(
    connection: Connection,
    organisation_id: str,
    chosen: Sequence[str],
    outcome: Outcome,
    how: tuple[Act, str, str],
) -> int:
    act, actor, why = how
    changed = 0
    for work_id in chosen:
        try:
            with connection.begin_nested():
                changed += act(connection, organisation_id, [work_id], actor, why)
        except LongshoreError as error:
            outcome.failed[error.message] += 1
    return changed


def _known(
    connection: Connection, organisation_id: str, work_ids: Sequence[str]
) -> dict[str, tuple[Work, str]]:
    query = (
        select(works_table.c.id, queues_table.c.surface)
        .join(queues_table, queues_table.c.id == works_table.c.queue_id)
        .where(works_table.c.id.in_(work_ids), queues_table.c.organisation_id == organisation_id)
        .order_by(works_table.c.id)
    )
    # Judged and changed as they are now, whatever a claim does in between.
    if connection.dialect.name == "postgresql":
        query = query.with_for_update(of=works_table)
    surfaces = {row.id: row.surface for row in connection.execute(query)}
    found = works.get_many(connection, list(surfaces))
    return {work_id: (found[work_id], surfaces[work_id]) for work_id in sorted(found)}


def _retry(
    connection: Connection, _organisation: str, work_ids: Sequence[str], actor: str, why: str
) -> int:
    early = works.retry_given(connection, work_ids, actor=actor, why=why)
    return early + len(works.reopen(connection, work_ids, actor=actor, why=why))


def _cancel(
    connection: Connection, _organisation: str, work_ids: Sequence[str], actor: str, why: str
) -> int:
    cancelled = works.cancel(connection, work_ids, actor=actor, why=why)
    return len(cancelled.cancelled) + len(cancelled.stopping)


def _hold(
    connection: Connection, _organisation: str, work_ids: Sequence[str], actor: str, why: str
) -> int:
    return len(works.hold(connection, work_ids, actor=actor, why=why))


def _release(
    connection: Connection, _organisation: str, work_ids: Sequence[str], actor: str, why: str
) -> int:
    return len(works.release(connection, work_ids, actor=actor, why=why))


def _delete(
    connection: Connection, organisation: str, work_ids: Sequence[str], actor: str, _why: str
) -> int:
    # Only works of buckets come as far as this.
    deleting.delete_works(connection, organisation, work_ids, actor=actor)
    return len(work_ids)


_ACTS: Final[dict[Action, Act]] = {
    Action.RETRY: _retry,
    Action.CANCEL: _cancel,
    Action.HOLD: _hold,
    Action.RELEASE: _release,
    Action.DELETE: _delete,
}
assert set(_ACTS) == set(Action), "every Action can be done"

"""Holding and resuming steps, areas, runs and workflows.

A held step goes nowhere: it begins no attempt, and what depends on it waits. What runs goes on to
its end. A ready step that was never claimed goes back to waiting, so that it keeps nothing from
others; one between two attempts waits in the held queue of its host. Resuming lets each step go
on from where it really is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, select, update

from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.errors import Conflict, NotFound
from longshore.storage import now_us
from longshore.surfaces.scripts import (
    admission,
    advancing,
    holds,
    places,
    releasing,
    workflows,
)
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import scripts_runs, scripts_workflows

_RECALLED: Final = "it was put on hold before anybody had claimed it"


def hold(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    *,
    step: str | None = None,
    area: str | None = None,
    actor: str,
    reason: str,
) -> list[str]:
    """Put a step, an area, or else the whole run on hold; return the steps that now are.

    Raises:
        NotFound: there is no such run, step or area.
        Conflict: the run is finished or cancelled, or the step is over.
    """
    board = _open(connection, organisation_id, run_id, actor=actor)
    now = now_us(connection)
    if step is not None:
        found = board.require(step)
        if found.settled:
            raise Conflict(
                f"Step {found.name} is {found.state}: there is nothing left of it to hold."
            )
        if found.held_us is None:
            found.held_us, found.held_by, found.held_why = now, actor, reason
    elif area is not None:
        _set_areas(board, {*board.run.areas_on_hold, _area(board, area)})
    elif board.run.held_us is None:
        board.run.held_us, board.run.held_by, board.run.held_why = now, actor, reason
    return _apply(board)


def resume(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    *,
    step: str | None = None,
    area: str | None = None,
    actor: str,
) -> list[str]:
    """Lift the hold of a step, an area, or else of the run; return the steps still on hold.

    Raises:
        NotFound: there is no such run, step or area.
        Conflict: the run is finished or cancelled.
    """
    board = _open(connection, organisation_id, run_id, actor=actor)
    if step is not None:
        found = board.require(step)
        found.held_us = found.held_by = found.held_why = None
    elif area is not None:
        _set_areas(board, {*board.run.areas_on_hold} - {_area(board, area)})
    else:
        board.run.held_us = board.run.held_by = board.run.held_why = None
    left = _apply(board)
    event = board.run.event_folded
    if board.run.state == "pending" and event is not None:
        admission.admit(connection, organisation_id, event, actor=actor)
    return left


def hold_workflow(
    connection: Connection, organisation_id: str, name: str, *, actor: str, reason: str
) -> list[int]:
    """Put all runs of a workflow on hold, those to come as well; return those under way."""
    workflow = workflows.get(connection, organisation_id, name)
    connection.execute(
        update(scripts_workflows)
        .where(scripts_workflows.c.id == workflow.id, scripts_workflows.c.held_us.is_(None))
        .values(held_us=now_us(connection), held_by=actor, held_why=reason)
    )
    return _apply_to_runs(connection, workflow.id, actor=actor)


def resume_workflow(
    connection: Connection, organisation_id: str, name: str, *, actor: str
) -> list[int]:
    """Lift the hold of a workflow; return its runs that are under way."""
    workflow = workflows.get(connection, organisation_id, name)
    connection.execute(
        update(scripts_workflows)
        .where(scripts_workflows.c.id == workflow.id)
        .values(held_us=None, held_by=None, held_why=None)
    )
    return _apply_to_runs(connection, workflow.id, actor=actor)


def locked_works(board: Board, steps: Sequence[RunStep]) -> dict[str, Any]:
    """Return (id, state, attempt, queue_id) of the works of steps, which stay as they are for now."""
    ids = [step.work_id for step in steps if step.work_id is not None]
    rows = board.connection.execute(
        select(works_table.c.id, works_table.c.state, works_table.c.attempt, works_table.c.queue_id)
        .where(works_table.c.id.in_(ids))
        .order_by(works_table.c.id)
        # Without the lock, a claim in between would run what is on hold.
        .with_for_update()
    )
    return {row.id: row for row in rows}


def _apply(board: Board) -> list[str]:
    """Put the works of a run where its holds want them, and let the rest go on."""
    active = [step for step in board.steps.values() if step.state == "active" and step.work_id]
    found = locked_works(board, active)
    queues = releasing.hosts_of(board, {step.host for step in active})
    moves: defaultdict[int, list[str]] = defaultdict(list)
    recalled = []
    for step in active:
        work = found.get(step.work_id or "")
        if work is None or work.state == State.RUNNING:
            continue
        host = queues[fold(step.host)]
        on_hold = holds.of(board, step) is not None
        if on_hold and work.attempt == 0:
            recalled.append(step)
        elif work.queue_id != (host.held_queue_id if on_hold else host.queue_id):
            moves[host.held_queue_id if on_hold else host.queue_id].append(work.id)
    for queue_id, work_ids in moves.items():
        works.move(board.connection, work_ids, queue_id=queue_id, group_id=board.run.group_id)
    _recall(board, recalled)
    advancing.advance_all(board)
    return [
        step.name
        for step in board.steps.values()
        if step.kind == "step" and not step.settled and holds.of(board, step) is not None
    ]


def _recall(board: Board, steps: Sequence[RunStep]) -> None:
    ids = [step.work_id for step in steps if step.work_id is not None]
    if not ids:
        return
    works.discard(board.connection, ids, actor=board.actor, why=_RECALLED)
    releasing.forget(board.connection, ids)
    places.give_back(board.connection, board.run.organisation_id, [step.id for step in steps])
    for step in steps:
        step.state, step.work_id = "waiting", None


def _apply_to_runs(connection: Connection, workflow_id: str, *, actor: str) -> list[int]:
    if connection.dialect.name == "postgresql":
        # One that is pending may be about to begin in another transaction: wait for that.
        pending = (scripts_runs.c.workflow_id == workflow_id, scripts_runs.c.state == "pending")
        connection.execute(
            select(scripts_runs.c.id).where(*pending).order_by(scripts_runs.c.id).with_for_update()
        )
    rows = connection.execute(
        select(scripts_runs.c.id)
        .where(
            scripts_runs.c.workflow_id == workflow_id,
            scripts_runs.c.state == "running",
            scripts_runs.c.finished_us.is_(None),
        )
        .order_by(scripts_runs.c.id)
    )
    run_ids = list(rows.scalars())
    for run_id in run_ids:
        board = boards.load(connection, run_id, actor=actor)
        if board is not None:
            _apply(board)
    return run_ids


def _open(connection: Connection, organisation_id: str, run_id: int | str, *, actor: str) -> Board:
    board = boards.load_own(connection, organisation_id, run_id, actor=actor)
    # What waits in a failed run can be held before it is rerun.
    if board.run.state in ("finished", "cancelled"):
        raise Conflict(
            f"Run {board.run.id} is {board.run.state}: nothing of it is left to hold or resume."
        )
    return board


def _area(board: Board, area: str) -> str:
    known = {fold(step.area): step.area for step in board.steps.values()}
    if fold(area) not in known:
        raise NotFound(
            f"Run {board.run.id} has no area {area[:100]!r}. Its areas are: "
            f"{', '.join(known.values())}."
        )
    return fold(area)


def _set_areas(board: Board, folded: set[str]) -> None:
    board.run.held_areas = boards.areas_text(folded)

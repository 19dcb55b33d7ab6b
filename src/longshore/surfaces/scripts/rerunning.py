"""Running steps again, of a run that has them, or a whole run anew.

Steps that run again get works of their own; what they stored before stays until they store
something new, and finished steps that are not run again keep theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from sqlalchemy import Connection

from longshore.engine import works
from longshore.errors import Conflict
from longshore.surfaces.scripts import advancing, deciding, releasing, starting
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep

Mode = Literal["failed", "step", "from_step"]
_BAD: Final = ("failed", "cancelled")
_AGAIN: Final = "is to run again"


def rerun(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    mode: Mode,
    *,
    step: str | None = None,
    actor: str,
) -> list[str]:
    """Run steps of a run again; return their names.

    Args:
        connection: the transaction.
        organisation_id: whose run it is.
        run_id: which one.
        mode: `failed`: all steps that failed or were cancelled, and what comes after them and is
            not finished. `step`: one step, and what comes after it and is not finished.
            `from_step`: one step and all that comes after it, finished or not.
        step: which one, unless the mode is `failed`.
        actor: who does it.

    Raises:
        NotFound: there is no such run or step.
        Conflict: the run waits for its turn, nothing has failed, the step is not over, or
            something after it runs at this moment.
    """
    board = boards.load_own(connection, organisation_id, run_id, actor=actor)
    if board.run.state == "pending":
        raise Conflict(f"Run {board.run.id} has not begun; there is nothing to run again.")
    if mode == "failed" or step is None:
        chosen = [each for each in board.steps.values() if each.state in _BAD]
        if not chosen:
            raise Conflict(
                f"No step of run {board.run.id} has failed or was cancelled. To run everything "
                "again, start it as a new run (mode whole)."
            )
    else:
        chosen = [_over(board, board.require(step))]
    again = _with_later(board, chosen, even_finished=mode == "from_step")
    deciding.withdraw(board, again, why="steps before it run again")
    _reset(board, again)
    board.run.state, board.run.finished_us = "running", None
    advancing.advance_all(board)
    return [each.name for each in again]


def rerun_whole(
    connection: Connection, organisation_id: str, run_id: int | str, *, actor: str
) -> int:
    """Start a new run with what a run was started with, of the newest version; return its id.

    Raises:
        NotFound: there is no such run.
        Conflict: the workflow is retired.
    """
    run = boards.get(connection, organisation_id, run_id)
    given = releasing.event_of(connection, run.id)
    return starting.start(
        connection,
        organisation_id,
        run.workflow_id,
        trigger="manual",
        started_by=f"rerun of run {run.id} by {actor}",
        payload=None if given is None else msgspec.json.encode(given),
        business_date=run.business_date,
        priority=run.priority,
        actor=actor,
    )


def _over(board: Board, step: RunStep) -> RunStep:
    if not step.settled:
        raise Conflict(
            f"Step {step.name} of run {board.run.id} is not over ({step.state}: {step.why}), so "
            "it cannot be run again. Wait for its end, or cancel it first."
        )
    return step


def _with_later(board: Board, chosen: Sequence[RunStep], *, even_finished: bool) -> list[RunStep]:
    """Return the steps to run again, in the order of the run."""
    picked = {each.id for each in chosen}
    for each in chosen:
        # An instance takes the one that stands for all of them along, and that one its bad ones.
        if (parent := board.parent(each)) is not None:
            picked.add(parent.id)
        picked |= _instances(board, each, even_finished=even_finished)
    for name in board.later({each.definition for each in chosen}):
        later = board.require(name)
        if even_finished or later.state != "finished":
            picked.add(later.id)
            picked |= _instances(board, later, even_finished=even_finished)
    return [each for each in board.steps.values() if each.id in picked]


def _instances(board: Board, step: RunStep, *, even_finished: bool) -> set[str]:
    own = step.state == "finished"
    return {
        each.id
        for each in board.instances(step)
        if even_finished or own or each.state != "finished"
    }


def _reset(board: Board, steps: Sequence[RunStep]) -> None:
    ids = [each.work_id for each in steps if each.work_id is not None]
    had = works.get_many(board.connection, ids)
    for each in steps:
        if each.work_id in had:
            each.attempts_before += had[each.work_id].attempt
        each.state, each.why, each.work_id, each.forced = "waiting", _AGAIN, None, False
        each.started_us = each.finished_us = None

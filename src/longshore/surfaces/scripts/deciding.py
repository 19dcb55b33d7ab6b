"""What operators decide of steps and runs: skip, force ok, cancel.

| step | skip | force ok | cancel |
|---|---|---|---|
| waiting, ready, on hold | skipped | finished | cancelled |
| running | refused | refused | told to stop, then cancelled |
| failed, cancelled | skipped | finished | nothing |
| skipped | nothing | finished | nothing |
| finished | refused | nothing | nothing |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from longshore.engine import works
from longshore.engine.states import State
from longshore.errors import Conflict
from longshore.surfaces.scripts import advancing, operating, places
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep

SKIPPED: Final = "skipped"
FINISHED: Final = "finished"
CANCELLED: Final = "cancelled"


@dataclass(slots=True)
class Halted:
    """What a cancellation did, by names of steps.

    Attributes:
        cancelled: those that are cancelled now.
        stopping: those whose process was told to stop; they are cancelled once it has.
        final: those that were over already.
    """

    cancelled: list[str] = field(default_factory=list)
    stopping: list[str] = field(default_factory=list)
    final: list[str] = field(default_factory=list)


def skip(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    name: str,
    *,
    actor: str,
    reason: str,
) -> list[str]:
    """Leave a step out, so that what depends on it goes on; return the steps that were.

    Raises:
        NotFound: there is no such run or step.
        Conflict: the step is running or finished.
    """
    board, steps = _chosen(connection, organisation_id, run_id, name, actor=actor)
    done = [each for each in steps if each.state == FINISHED]
    if done and len(done) == len(steps):
        raise Conflict(
            f"Step {done[0].name} is finished: what depends on it can go on already. To run it "
            "again, rerun the run from it."
        )
    left = [each for each in steps if each.state not in (FINISHED, SKIPPED)]
    return _decide(board, left, SKIPPED, f"skipped by {actor}: {reason}")


def force_ok(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    name: str,
    *,
    actor: str,
    reason: str,
) -> list[str]:
    """Take a step for finished, whatever became of it; return the steps that were.

    Raises:
        NotFound: there is no such run or step.
        Conflict: the step is running.
    """
    board, steps = _chosen(connection, organisation_id, run_id, name, actor=actor)
    left = [each for each in steps if each.state != FINISHED]
    for each in left:
        each.forced = True
    return _decide(board, left, FINISHED, f"forced ok by {actor}: {reason}")


def cancel_step(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    name: str,
    *,
    actor: str,
    reason: str,
) -> Halted:
    """Cancel a step; a running one is told to stop.

    Raises:
        NotFound: there is no such run or step.
    """
    board, steps = _chosen(connection, organisation_id, run_id, name, actor=actor)
    halted = _halt(board, steps, reason)
    advancing.advance_all(board)
    return halted


def cancel_run(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    *,
    actor: str,
    reason: str,
) -> Halted:
    """Cancel a run: what has not begun is cancelled, what runs is told to stop.

    A failed run that is cancelled lets those wait no longer that its failure kept from starting.

    Raises:
        NotFound: there is no such run.
        Conflict: the run is finished.
    """
    board = boards.load_own(connection, organisation_id, run_id, actor=actor)
    run = board.run
    if run.state == FINISHED:
        raise Conflict(f"Run {run.id} is finished: there is nothing left of it to cancel.")
    halted = _halt(board, list(board.steps.values()), reason)
    if run.state != CANCELLED:
        # Its end, which follows once nothing of it runs any more, is told again.
        run.state, run.finished_us = CANCELLED, None
    advancing.advance_all(board)
    return halted


def withdraw(board: Board, steps: Sequence[RunStep], *, why: str) -> None:
    """Take back the works of active steps that do not run.

    Raises:
        Conflict: one of them runs; nothing was changed.
    """
    active = [each for each in steps if each.state == "active" and each.work_id is not None]
    found = operating.locked_works(board, active)
    for each in active:
        work = found.get(each.work_id or "")
        if work is not None and work.state == State.RUNNING:
            raise Conflict(
                f"Step {each.name} is running. Cancel it first (`longshore workflow cancel "
                f"{board.run.id} --step {each.name}`), or wait for its end."
            )
    if found:
        works.cancel(board.connection, list(found), actor=board.actor, why=why)
    places.give_back(board.connection, board.run.organisation_id, [each.id for each in active])


def _chosen(
    connection: Connection, organisation_id: str, run_id: int | str, name: str, *, actor: str
) -> tuple[Board, list[RunStep]]:
    """Return the step that is meant, with its instances if it stands for some."""
    board = boards.load_own(connection, organisation_id, run_id, actor=actor)
    step = board.require(name)
    return board, [*board.instances(step), step]


def _decide(board: Board, steps: Sequence[RunStep], state: str, why: str) -> list[str]:
    if not steps:
        return []
    withdraw(board, steps, why=why)
    for each in steps:
        board.settle(each, state, why)
        _open_parent(board, each)
    _reopen_run(board)
    advancing.advance_all(board)
    return [each.name for each in steps]


def _open_parent(board: Board, step: RunStep) -> None:
    """Let the step that stands for an instance be settled anew, by what all of them are now."""
    parent = board.parent(step)
    if parent is not None and parent.state in ("failed", "cancelled"):
        parent.state, parent.finished_us = "active", None


def _reopen_run(board: Board) -> None:
    if board.run.state == "failed":
        board.run.state, board.run.finished_us = "running", None


def _halt(board: Board, steps: Sequence[RunStep], reason: str) -> Halted:
    halted = Halted()
    active = [each for each in steps if each.state == "active" and each.work_id is not None]
    work_ids = [each.work_id for each in active if each.work_id is not None]
    done = works.cancel(board.connection, work_ids, actor=board.actor, why=reason)
    why = f"cancelled by {board.actor}: {reason}"
    freed = []
    for each in steps:
        if each.settled:
            halted.final.append(each.name)
        elif each.work_id in done.stopping and each.state == "active":
            each.why = f"is being stopped; {why}"
            halted.stopping.append(each.name)
        elif each.kind == "matrix" and any(
            one.work_id in done.stopping for one in board.instances(each)
        ):
            halted.stopping.append(each.name)
        elif each.work_id not in done.final or each.state != "active":
            board.settle(each, CANCELLED, why)
            halted.cancelled.append(each.name)
            freed.append(each.id)
    places.give_back(board.connection, board.run.organisation_id, freed)
    return halted

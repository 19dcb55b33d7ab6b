"""Holds: of a step, an area, a run or a workflow. A held step stays where it is; what runs goes on."""

from __future__ import annotations

from longshore.clock import iso
from longshore.surfaces.scripts.board import Board, Run, RunStep
from longshore.surfaces.scripts.hosts import fold


def of_step(run: Run, step: RunStep, parent: RunStep | None = None) -> str | None:
    """Say why a step is on hold, or None where it is not."""
    for each, what in ((step, "step"), (parent, "step")):
        if each is not None and each.held_us is not None:
            return _words(f"{what} {each.name}", each.held_us, each.held_by, each.held_why)
    if fold(step.area) in run.areas_on_hold:
        return f"area {step.area} is on hold"
    if run.held_us is not None:
        return _words("the run", run.held_us, run.held_by, run.held_why)
    if run.workflow_held_us is not None:
        return _words(
            f"workflow {run.workflow}",
            run.workflow_held_us,
            run.workflow_held_by,
            run.workflow_held_why,
        )
    return None


def of(board: Board, step: RunStep) -> str | None:
    """Say why a step of a board is on hold, or None where it is not."""
    return of_step(board.run, step, board.parent(step))


def _words(what: str, since_us: int, by: str | None, why: str | None) -> str:
    told = f": {why}" if why else ""
    return f"{what} is on hold since {iso(since_us)} by {by}{told}"

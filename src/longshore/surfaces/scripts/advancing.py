"""Moving a run on: which of its steps may go now, and whether it is over.

Called in the transaction of whatever may have changed that: the end of a step, a hold that was
lifted, a flag that was set.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from sqlalchemy import Connection

from longshore.errors import LongshoreError
from longshore.storage import now_us
from longshore.surfaces.scripts import (
    board as boards,
)
from longshore.surfaces.scripts import (
    conditions,
    ended,
    holds,
    matrix,
    places,
    priorities,
    releasing,
)
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.conditions import Verdict
from longshore.surfaces.scripts.definition.model import Status


def advance(connection: Connection, run_id: int, *, actor: str) -> None:
    """Let the steps of a run go on that may, and end it when it is over; then those it leads to."""
    left = deque([run_id])
    while left:
        board = boards.load(connection, left.popleft(), actor=actor)
        if board is not None:
            left.extend(advance_board(board))


def advance_all(board: Board) -> None:
    """Do what `advance` does with a run that is loaded already."""
    for run_id in advance_board(board):
        advance(board.connection, run_id, actor=board.actor)


def advance_board(board: Board) -> list[int]:
    """Advance a loaded run and write it; return the runs to be advanced because it has ended."""
    round_ = _Round(board)
    if board.run.state == "running":
        while round_.go():
            pass
    for step in board.top():
        if step.kind == "matrix" and step.state == "active":
            matrix.settle(board, step)
    places.keep(board, round_.waits)
    over = _conclude(board, round_.dead)
    board.save()
    return ended.follow_run(board.connection, board.run) if over else []


@dataclass(slots=True)
class _Round:
    """One look at all waiting steps.

    Attributes:
        dead: the steps that cannot go on unless somebody does something, and why.
        ready: those that only need a place under their concurrency keys, if that.
    """

    board: Board
    dead: dict[str, str] = field(default_factory=dict)
    waits: places.Waits = field(default_factory=places.Waits)
    ready: list[RunStep] = field(default_factory=list)

    def go(self) -> bool:
        """Look at all steps; return whether another look may find more."""
        self.dead, self.waits, self.ready = {}, places.Waits(), []
        changed = False
        # In the order of the graph, what cannot go on is known before what depends on it.
        for name in self.board.graph.sorted:
            step = self.board.require(name)
            if step.state == "waiting":
                changed |= self._look(step)
            if step.kind == "matrix" and step.state == "active":
                for instance in self.board.instances(step):
                    if instance.state == "waiting":
                        self._own(instance)
                changed |= matrix.settle(self.board, step)
        return changed or self._release()

    def _look(self, step: RunStep) -> bool:
        """Look at a waiting step of the definition; return whether its state has changed."""
        look = conditions.look(self.board, step, self.dead)
        if look.verdict in (Verdict.WAIT, Verdict.DEAD):
            step.why = look.why
            if look.verdict is Verdict.DEAD:
                self.dead[step.folded] = look.why
            return False
        inactive = self.board.definition(step).status is Status.INACTIVE
        if not inactive and (why := holds.of(self.board, step)) is not None:
            step.why = why
            return False
        if inactive or look.verdict is Verdict.SKIP:
            self._skip(step, look.why or "inactive in the definition: it is taken out")
            return True
        if self._wait_for_flags(step):
            return False
        if step.kind == "matrix":
            return self._expand(step)
        self.ready.append(step)
        return False

    def _skip(self, step: RunStep, why: str) -> None:
        for each in (step, *self.board.instances(step)):
            if not each.settled:
                self.board.settle(each, "skipped", why)

    def _own(self, instance: RunStep) -> None:
        """Look at an instance of a matrix that has begun."""
        if (why := holds.of(self.board, instance)) is not None:
            instance.why = why
        else:
            self.ready.append(instance)

    def _wait_for_flags(self, step: RunStep) -> bool:
        missing = places.missing_flags(self.board, step)
        date = self.board.run.business_date
        for flag in missing:
            self.waits.flag(step, flag, date)
        if missing:
            names = ", ".join(
                flag.name + (f" of {flag.system_name}" if flag.system_name else "")
                for flag in missing[:3]
            )
            step.why = f"waits for the flag {names} for {date}"
        return bool(missing)

    def _expand(self, step: RunStep) -> bool:
        try:
            matrix.expand(self.board, step)
        except LongshoreError as error:
            self.board.settle(step, "failed", error.message)
        else:
            step.state, step.why = "active", "its instances are under way"
            step.started_us = step.started_us or now_us(self.board.connection)
        return True

    def _release(self) -> bool:
        """Submit what is ready; return whether one of them has failed at once."""
        if not self.ready:
            return False
        order = priorities.of(self.board)
        going = places.take(self.board, self.ready, order, self.waits)
        releasing.release(self.board, going, order)
        return any(step.settled for step in going)


def _conclude(board: Board, dead: dict[str, str]) -> bool:
    """Give a run its state; return whether it has just ended."""
    run = board.run
    if run.finished_us is not None or run.state == "pending":
        return False
    top = list(board.top())
    if any(step.state == "active" for step in top):
        return False
    if run.state == "running":
        if any(step.state == "waiting" and step.folded not in dead for step in top):
            return False
        bad = [step for step in top if step.state in ("failed", "cancelled")]
        good = not dead and all(conditions.handles(board, step) for step in bad)
        run.state = "finished" if good else "failed"
    run.finished_us = now_us(board.connection)
    return True

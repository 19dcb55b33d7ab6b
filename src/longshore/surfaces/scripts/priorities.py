"""Which of the ready steps comes first: by the event, then by the path that is still to go."""

from __future__ import annotations

from datetime import date

from longshore.engine import works
from longshore.engine.states import State
from longshore.surfaces.scripts import durations
from longshore.surfaces.scripts.board import Board
from longshore.surfaces.scripts.planning.ordering import priority, remaining_paths


def of(board: Board) -> dict[str, int]:
    """Return the priorities of the engine for the steps of a run, by their names in the definition."""
    run = board.run
    weekday = date.fromisoformat(run.business_date).weekday()
    expected = durations.forecasts(
        board.connection, run.workflow_id, board.workflow.steps, weekday=weekday
    )
    settled = {step.definition for step in board.top() if step.settled}
    lengths = {
        name: 0.0 if name in settled else forecast.seconds for name, forecast in expected.items()
    }
    paths = remaining_paths(board.graph, lengths, run.order)
    return {name: priority(run.priority, path) for name, path in paths.items()}


def apply(board: Board) -> None:
    """Give the works of a run that are not claimed yet the priorities of now."""
    active = {
        step.work_id: step
        for step in board.steps.values()
        if step.state == "active" and step.work_id is not None
    }
    if not active:
        return
    now = of(board)
    found = works.get_many(board.connection, list(active))
    works.amend(
        board.connection,
        [
            works.Amendment(work_id=work.id, priority=now[active[work.id].definition])
            for work in found.values()
            if work.state is not State.RUNNING and work.priority != now[active[work.id].definition]
        ],
    )

"""Switching the order of a run's steps while it runs."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from longshore.errors import Conflict
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts import priorities
from longshore.surfaces.scripts.board import OVER
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.simulations import checked_order


@dataclass(frozen=True, slots=True)
class Switched:
    """An order that a run has now, and the one that it had."""

    run_id: int
    order: Order
    before: Order


def switch(
    connection: Connection, organisation_id: str, run_id: int | str, order: Order, *, actor: str
) -> Switched:
    """Order the ready steps of a run in another way from now on; what runs goes on.

    Raises:
        NotFound: the organisation has no such run.
        InvalidRequest: the order names no step of it.
        Conflict: the run is over.
    """
    board = boards.load_own(connection, organisation_id, run_id, actor=actor)
    run = board.run
    if run.state in OVER:
        raise Conflict(
            f"Run {run.id} is {run.state}: nothing of it waits for its turn. Rerun it first."
        )
    before = run.order
    target = board.named(order.step) if order.step is not None else None
    if target is not None:
        # An instance of a matrix comes as soon as all of them do.
        order = Order(path=order.path, step=target.definition)
    wanted = checked_order(order, list(board.workflow.steps))
    run.ordering = msgspec.json.encode(wanted).decode()
    board.save()
    priorities.apply(board)
    return Switched(run.id, wanted, before)

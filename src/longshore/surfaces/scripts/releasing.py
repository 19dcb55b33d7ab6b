"""Handing ready steps to the engine: the works that the workers of their hosts claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select

from longshore import ids, limits
from longshore.engine import works
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import hosts, places, templates
from longshore.surfaces.scripts.board import Board, Run, RunStep
from longshore.surfaces.scripts.definition.model import Step
from longshore.surfaces.scripts.hosts import Host
from longshore.surfaces.scripts.tables import scripts_inputs, scripts_step_works


def release(board: Board, ready: Sequence[RunStep], priorities: Mapping[str, int]) -> None:
    """Submit the works of ready steps. Those whose texts cannot be filled in have failed."""
    run = board.run
    going = [step for step in ready if _can_be_filled(board, step)]
    queues = hosts_of(board, {step.host for step in going})
    new = [
        works.NewWork(
            queue_id=queues[hosts.fold(step.host)].queue_id,
            payload=None,
            id=ids.new(ids.WORK),
            group_id=run.group_id,
            priority=priorities[step.definition],
            timeout_s=board.definition(step).timeout_s,
            attempts_max=_attempts_max(board.definition(step)),
        )
        for step in going
    ]
    if not new:
        return
    works.submit(board.connection, new, actor=board.actor)
    rows = []
    for step, work in zip(going, new, strict=True):
        step.state, step.work_id = "active", work.id
        step.why = f"ready: it is in line on host {step.host}"
        step.finished_us = None
        rows.append(
            {
                "work_id": work.id,
                "step_id": step.id,
                "run_id": run.id,
                "organisation_id": run.organisation_id,
                "attempts_before": step.attempts_before,
            }
        )
    board.connection.execute(insert(scripts_step_works), rows)


def hosts_of(board: Board, names: set[str]) -> dict[str, Host]:
    """Return hosts by their folded names; those that are not there yet are made."""
    return {
        hosts.fold(name): hosts.ensure(
            board.connection, board.run.organisation_id, name, actor=board.actor
        )
        for name in sorted(names)
    }


def forget(connection: Connection, work_ids: Sequence[str]) -> None:
    """Forget works that steps had and nobody has claimed."""
    connection.execute(delete(scripts_step_works).where(scripts_step_works.c.work_id.in_(work_ids)))


def values_of(
    connection: Connection, run: Run, step: RunStep, definition: Step
) -> templates.Values:
    """Return what the places in the texts of a step stand for."""
    return templates.Values(
        run_id=run.id,
        business_date=run.business_date,
        step=step.name,
        matrix=step.values,
        event=event_of(connection, run.id) if templates.needs_event(definition) else None,
    )


def event_of(connection: Connection, run_id: int) -> Any:
    """Return what a run was started with, or None."""
    text = connection.execute(
        select(scripts_inputs.c.payload).where(scripts_inputs.c.run_id == run_id)
    ).scalar()
    return None if text is None else msgspec.json.decode(text)


def _can_be_filled(board: Board, step: RunStep) -> bool:
    definition = board.definition(step)
    try:
        templates.fill(definition, values_of(board.connection, board.run, step, definition))
    except InvalidRequest as error:
        board.settle(step, "failed", error.message)
        places.give_back(board.connection, step.organisation_id, [step.id])
        return False
    return True


def _attempts_max(step: Step) -> int:
    if step.on_lost_worker == "fail":
        # The end of its worker is then the end of the step; `judging` adds attempts for failures.
        return 1
    return min(1 + step.retries.attempts + limits.STEP_LOSSES, limits.ATTEMPTS)

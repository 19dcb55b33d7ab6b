"""What time asks for: steps of lost hosts, works that ended unheard, and what became free.

Each change does what follows from it at once. This regular look is for what nobody tells of (a
host whose workers have fallen silent) and for what was not told (a server that died in between).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, or_, select

from longshore.engine import workers, works
from longshore.engine.choosing import constant
from longshore.engine.states import State
from longshore.engine.tables import is_final
from longshore.engine.tables import works as works_table
from longshore.storage import now_us
from longshore.surfaces.scripts import advancing, holds, hosts, places, recording, workflows
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.hosts import Host
from longshore.surfaces.scripts.tables import scripts_runs, scripts_schedules, scripts_steps

LOOKED_AT: Final = 200
"""Runs that one look takes; what is left waits for the next."""
_ACTOR: Final = "server"


def due(connection: Connection) -> list[int]:
    """Return runs that a look may help, in a read transaction, so that idle looks write nothing."""
    found = [*_unheard(connection), *_of_lost_hosts(connection), *places.due(connection)]
    return list(dict.fromkeys(found))[:LOOKED_AT]


def schedules_due(connection: Connection) -> bool:
    """Whether an instant of a schedule is due, in a read transaction."""
    query = select(scripts_schedules.c.id).where(scripts_schedules.c.next_us <= now_us(connection))
    return connection.execute(query.limit(1)).first() is not None


def look_after(connection: Connection, run_id: int) -> None:
    """Bring a run to where its works are, move steps of lost hosts, and let it go on."""
    board = boards.load(connection, run_id, actor=_ACTOR)
    if board is not None:
        recording.settle_active(board)
        move_lost(board)
        advancing.advance_all(board)


def move_lost(board: Board) -> list[RunStep]:
    """Move ready steps of hosts without workers to the first other host with one; return them."""
    wanted = {
        step.work_id: step
        for step in board.steps.values()
        if step.state == "active" and step.work_id is not None and _may_move(board, step)
    }
    moved: defaultdict[int, list[str]] = defaultdict(list)
    found = works.get_many(board.connection, list(wanted))
    for work_id, step in wanted.items():
        target = _other_host(board, step)
        if target is None or found[work_id].state is State.RUNNING:
            continue
        on_hold = holds.of(board, step) is not None
        moved[target.held_queue_id if on_hold else target.queue_id].append(work_id)
        step.why = f"ready: moved to host {target.name}, since no worker of {step.host} is online"
        step.host = target.name
    for queue_id, work_ids in moved.items():
        works.move(board.connection, work_ids, queue_id=queue_id, group_id=board.run.group_id)
    return [wanted[work_id] for some in moved.values() for work_id in some]


def _unheard(connection: Connection) -> Sequence[int]:
    """Return runs with an active step whose work is over, or gone."""
    rows = connection.execute(
        select(scripts_steps.c.run_id)
        .outerjoin(works_table, works_table.c.id == scripts_steps.c.work_id)
        .where(
            scripts_steps.c.state == constant("active"),
            scripts_steps.c.kind == "step",
            or_(works_table.c.id.is_(None), is_final(works_table)),
        )
        .distinct()
        .limit(LOOKED_AT)
    )
    return rows.scalars().all()


def _of_lost_hosts(connection: Connection) -> list[int]:
    """Return runs with a ready step that is to move from a host without workers."""
    rows = connection.execute(
        select(scripts_steps.c.organisation_id, scripts_steps.c.host)
        .where(scripts_steps.c.state == constant("active"), scripts_steps.c.kind == "step")
        .distinct()
    ).all()
    found: list[int] = []
    for row in rows:
        host = hosts.find(connection, row.organisation_id, row.host)
        if host is not None and not workers.online(connection, host.queue_id):
            found += _moving_from(connection, row.organisation_id, row.host)
    return found


def _moving_from(connection: Connection, organisation_id: str, host: str) -> list[int]:
    rows = connection.execute(
        select(
            scripts_steps.c.run_id,
            scripts_steps.c.definition,
            scripts_runs.c.workflow_id,
            scripts_runs.c.version,
        )
        .join(scripts_runs, scripts_runs.c.id == scripts_steps.c.run_id)
        .where(
            scripts_steps.c.state == constant("active"),
            scripts_steps.c.organisation_id == organisation_id,
            scripts_steps.c.host == host,
        )
        .distinct()
    )
    moving = []
    for row in rows.all():
        step = workflows.document(connection, row.workflow_id, row.version).steps[row.definition]
        if step.on_lost_host == "move" and any(
            _online(connection, organisation_id, name) for name in [step.host, *step.other_hosts]
        ):
            moving.append(row.run_id)
    return moving


def _may_move(board: Board, step: RunStep) -> bool:
    return board.definition(step).on_lost_host == "move"


def _other_host(board: Board, step: RunStep) -> Host | None:
    """Return the host to which a step of a lost host moves; None if its own is there."""
    connection, organisation_id = board.connection, step.organisation_id
    if _online(connection, organisation_id, step.host) is not None:
        return None
    definition = board.definition(step)
    for name in [definition.host, *definition.other_hosts]:
        host = _online(connection, organisation_id, name)
        if host is not None:
            return host
    return None


def _online(connection: Connection, organisation_id: str, name: str) -> Host | None:
    host = hosts.find(connection, organisation_id, name)
    if host is None or not workers.online(connection, host.queue_id):
        return None
    return host

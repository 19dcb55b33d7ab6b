"""Starting runs: of events, schedules, flags, other runs, and people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, insert, select

from longshore import ids, limits
from longshore.access import masking
from longshore.clock import SECOND_US
from longshore.errors import Conflict, InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import admission, advancing, matrix, workflows
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.dates import parse_date
from longshore.surfaces.scripts.definition.model import Status, Step, Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_inputs,
    scripts_runs,
    scripts_steps,
    scripts_workflows,
)

Trigger = Literal["event", "schedule", "manual", "flag", "workflow", "backfill"]
GROUP = "ac"
PRIORITY = 100


@dataclass(frozen=True, slots=True)
class EventRow:
    """The event that starts a run, and what its definition says of its runs."""

    id: int
    folded: str
    priority: int
    parallel: int
    stop_on_error: bool


def start(  # noqa: PLR0913 - one argument a fact, all by name
    connection: Connection,
    organisation_id: str,
    workflow_id: str,
    *,
    trigger: Trigger,
    started_by: str,
    payload: bytes | None,
    business_date: str,
    actor: str,
    version: int | None = None,
    event: EventRow | None = None,
    priority: int = PRIORITY,
) -> int:
    """Make a run of a workflow with all of its steps, and let it begin; return its id.

    The run of an event is pending while the event's limit is reached, or a failed run blocks it.

    Args:
        connection: the transaction.
        organisation_id: whose workflow it is.
        workflow_id: which one.
        trigger: what starts it.
        started_by: which event, instant, key or run, in words.
        payload: JSON that every step can read as the event's payload, or None.
        business_date: YYYY-MM-DD.
        actor: who does it, for the history of works.
        version: of the definition; the newest unless given.
        event: the event that starts it; its priority is the run's.
        priority: 0 to 999, lower first.

    Raises:
        NotFound: there is no such workflow, or no such version of it.
        Conflict: the workflow is retired.
        InvalidRequest: the date or the payload cannot be used.
        TooLarge: the payload, or the number of steps, is over the limit.
    """
    parse_date(business_date)
    version = _pinned(connection, organisation_id, workflow_id, version)
    definition = workflows.document(connection, workflow_id, version)
    run_id = _insert(
        connection,
        event,
        organisation_id=organisation_id,
        workflow_id=workflow_id,
        version=version,
        trigger=trigger,
        started_by=started_by,
        priority=priority if event is None else event.priority,
        business_date=business_date,
        ordering=msgspec.json.encode(definition.order).decode(),
    )
    if payload is not None:
        _keep_input(connection, organisation_id, run_id, payload)
    _make_steps(connection, organisation_id, run_id, definition, actor=actor)
    if event is not None:
        admission.admit(connection, organisation_id, event.folded, actor=actor)
        return run_id
    advancing.advance(connection, run_id, actor=actor)
    return run_id


def _insert(connection: Connection, event: EventRow | None, **facts: Any) -> int:
    """Store a run and return its id; that of an event is pending until it is admitted."""
    at_us = now_us(connection)
    begins = event is None
    facts |= {
        "group_id": ids.new(GROUP),
        "event_id": None if event is None else event.id,
        "event_folded": None if event is None else event.folded,
        "state": "running" if begins else "pending",
        "held_areas": "[]",
        "created_us": at_us,
        "started_us": at_us if begins else None,
    }
    made = insert(scripts_runs).values(facts).returning(scripts_runs.c.id)
    return int(connection.execute(made).scalar_one())


def today(connection: Connection) -> str:
    """Return the date of now in UTC: the business date where nobody says another."""
    return datetime.fromtimestamp(now_us(connection) / SECOND_US, UTC).date().isoformat()


def _pinned(
    connection: Connection, organisation_id: str, workflow_id: str, version: int | None
) -> int:
    """Return the version that a new run of a workflow is pinned to."""
    query = select(scripts_workflows).where(
        scripts_workflows.c.id == workflow_id,
        scripts_workflows.c.organisation_id == organisation_id,
    )
    if connection.dialect.name == "postgresql":
        # A hold that is set or lifted meanwhile must find the run, which looks at the hold now.
        query = query.with_for_update(read=True)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no workflow {workflow_id!r}. List them with `longshore workflow list`."
        )
    if row.retired_us is not None:
        raise Conflict(
            f"Workflow {row.name} is retired and starts no runs any more. Apply its file again "
            "to bring it back."
        )
    if version is not None and not 1 <= version <= row.version:
        raise NotFound(
            f"Workflow {row.name} has no version {version}; its newest is {row.version}."
        )
    return int(version or row.version)


def _keep_input(connection: Connection, organisation_id: str, run_id: int, payload: bytes) -> None:
    if len(payload) > limits.STEP_PAYLOAD_BYTES:
        raise TooLarge(
            f"What the run is started with has {len(payload)} bytes and may have "
            f"{limits.STEP_PAYLOAD_BYTES}. Put what is large into a file, and hand on where it is."
        )
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"What the run is started with is no JSON: {error}.") from error
    clean = masking.of(connection, organisation_id).json(payload)
    connection.execute(insert(scripts_inputs).values(run_id=run_id, payload=clean.decode()))


def _make_steps(
    connection: Connection, organisation_id: str, run_id: int, definition: Workflow, *, actor: str
) -> None:
    held_us = now_us(connection)
    rows = [
        _row(organisation_id, run_id, name, step, position, held_us)
        for position, (name, step) in enumerate(definition.steps.items())
    ]
    if rows:
        connection.execute(insert(scripts_steps), rows)
    if not any(step.matrix and matrix.is_static(step) for step in definition.steps.values()):
        return
    board = boards.load(connection, run_id, actor=actor)
    assert board is not None
    _expand(board)


def _expand(board: Board) -> None:
    for step in list(board.top()):
        definition = board.definition(step)
        if step.kind == "matrix" and matrix.is_static(definition):
            matrix.expand(board, step)
    board.save()


def _row(
    organisation_id: str, run_id: int, name: str, step: Step, position: int, held_us: int
) -> dict[str, object]:
    held = step.status is Status.HOLD
    return {
        **dict.fromkeys(RunStep.__dataclass_fields__),
        "id": ids.new(matrix.STEP),
        "run_id": run_id,
        "organisation_id": organisation_id,
        "name": name,
        "folded": fold(name),
        "definition": name,
        "kind": "matrix" if step.matrix else "step",
        # Between two steps there is room for the instances of a matrix.
        "position": position * (limits.WORKFLOW_STEPS + 1),
        "area": step.area,
        "host": step.host,
        "state": "waiting",
        "why": "the run has not begun",
        "forced": False,
        "held_us": held_us if held else None,
        "held_by": "the definition" if held else None,
        "held_why": "its status is hold" if held else None,
        "attempts_before": 0,
    }

"""Events for people: those that were accepted, and the names that start something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, LargeBinary, cast, func, select

from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_events,
    scripts_inputs,
    scripts_runs,
    scripts_workflows,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event that was accepted, with the run that it started; the run may have been deleted."""

    id: int
    name: str
    source: str | None
    key: str | None
    created_us: int
    created_by: str
    run_id: int | None
    run_state: str | None
    payload_bytes: int | None


@dataclass(frozen=True, slots=True)
class Defined:
    """A name of events that starts runs of a workflow; see definition.model.EventTrigger."""

    name: str
    workflow: str
    parallel: int
    priority: int
    stop_on_error: bool


def accepted(
    connection: Connection,
    organisation_id: str,
    *,
    name: str = "",
    before: int | None = None,
    limit: int,
) -> list[Accepted]:
    """Return events, the newest first; of one name, and below an id, where these are given."""
    events, runs, inputs = scripts_events, scripts_runs, scripts_inputs
    payload: Any = inputs.c.payload
    # SQLite counts the characters of a text, and has no octet_length before 3.43.
    size = func.octet_length(payload)
    if connection.dialect.name == "sqlite":
        size = func.length(cast(payload, LargeBinary))
    query = (
        select(
            events.c.id, events.c.name, events.c.source, events.c.idempotency_key,
            events.c.created_us, events.c.created_by, runs.c.id.label("run_id"), runs.c.state,
            size.label("payload_bytes"),
        )
        .join(runs, runs.c.id == events.c.run_id, isouter=True)
        .join(inputs, inputs.c.run_id == runs.c.id, isouter=True)
        .where(events.c.organisation_id == organisation_id)
        .order_by(events.c.id.desc())
        .limit(limit)
    )  # fmt: skip
    if name:
        query = query.where(events.c.folded == fold(name))
    if before is not None:
        query = query.where(events.c.id < before)
    return [Accepted(*row) for row in connection.execute(query)]


def defined(connection: Connection, organisation_id: str) -> list[Defined]:
    """Return the names of events that start something."""
    names = scripts_event_names
    rows = connection.execute(
        select(
            names.c.name,
            scripts_workflows.c.name.label("workflow"),
            names.c.parallel,
            names.c.priority,
            names.c.stop_on_error,
        )
        .join(scripts_workflows, scripts_workflows.c.id == names.c.workflow_id)
        .where(names.c.organisation_id == organisation_id)
        .order_by(names.c.folded)
    )
    return [Defined(**row._asdict()) for row in rows]

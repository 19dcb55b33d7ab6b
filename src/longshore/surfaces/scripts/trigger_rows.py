"""What starts runs of a workflow, as rows to be looked up by event, instant, flag or workflow."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from longshore import ids
from longshore.storage import now_us
from longshore.surfaces.scripts import calendars
from longshore.surfaces.scripts.definition.model import Flag, ScheduleTrigger, Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_flag_triggers,
    scripts_followers,
    scripts_schedules,
)

SCHEDULE = "sc"


def write(
    connection: Connection, organisation_id: str, workflow_id: str, definition: Workflow
) -> None:
    """Let what a definition names start the workflow, and nothing else any more.

    A schedule that is as it was keeps what it has still to catch up with; one that is new begins
    with its next instant.
    """
    _forget(connection, workflow_id)
    of = {"organisation_id": organisation_id, "workflow_id": workflow_id}
    for event in definition.triggers.events:
        values = {
            "folded": fold(event.name), "name": event.name, "parallel": event.parallel,
            "priority": event.priority, "stop_on_error": event.stop_on_error,
        }  # fmt: skip
        connection.execute(insert(scripts_event_names).values(**of, **values))
    for followed in definition.triggers.workflows:
        connection.execute(
            insert(scripts_followers).values(**of, followed=fold(followed.name), ended=followed.on)
        )
    for position, flags in enumerate(definition.triggers.flags):
        connection.execute(
            insert(scripts_flag_triggers).values(**of, position=position, flags=encode_flags(flags))
        )
    _write_schedules(connection, organisation_id, workflow_id, definition)


def remove(connection: Connection, workflow_id: str) -> None:
    """Let nothing start a workflow any more."""
    _forget(connection, workflow_id)
    connection.execute(
        update(scripts_schedules)
        .where(scripts_schedules.c.workflow_id == workflow_id)
        .values(next_us=None)
    )


def encode_flags(flags: list[Flag]) -> str:
    """Return a list of flags as JSON that does not depend on their order."""
    ordered = sorted(flags, key=lambda each: (each.name, each.system_name, each.source_system_name))
    return msgspec.json.encode(ordered).decode()


def _forget(connection: Connection, workflow_id: str) -> None:
    for table in (scripts_event_names, scripts_followers, scripts_flag_triggers):
        connection.execute(delete(table).where(table.c.workflow_id == workflow_id))


def _write_schedules(
    connection: Connection, organisation_id: str, workflow_id: str, definition: Workflow
) -> None:
    at_us = now_us(connection)
    rows = connection.execute(
        select(
            scripts_schedules.c.trigger, scripts_schedules.c.id, scripts_schedules.c.next_us
        ).where(scripts_schedules.c.workflow_id == workflow_id)
    )
    there = {row.trigger: row for row in rows}
    for schedule in definition.triggers.schedules:
        trigger = encode_schedule(schedule)
        found = there.pop(trigger, None)
        if found is not None and found.next_us is not None and found.next_us <= at_us:
            continue  # It is due and has yet to be looked at.
        following = calendars.next_instant(schedule, definition.calendar, at_us)
        next_us = None if following is None else following.at_us
        if found is None:
            connection.execute(
                insert(scripts_schedules).values(
                    id=ids.new(SCHEDULE),
                    organisation_id=organisation_id,
                    workflow_id=workflow_id,
                    trigger=trigger,
                    next_us=next_us,
                    created_us=at_us,
                )
            )
        else:
            _set_next(connection, found.id, next_us)
    for gone in there.values():
        _set_next(connection, gone.id, None)


def encode_schedule(schedule: ScheduleTrigger) -> str:
    """Return a schedule as the JSON that it is known by."""
    return msgspec.json.encode(schedule).decode()


def _set_next(connection: Connection, schedule_id: str, next_us: int | None) -> None:
    connection.execute(
        update(scripts_schedules)
        .where(scripts_schedules.c.id == schedule_id)
        .values(next_us=next_us)
    )

"""What a definition has wrong in an organisation: hosts, events and workflows that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, select

from longshore.storage import now_us
from longshore.surfaces.scripts import calendars, hosts
from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.definition.problems import Path
from longshore.surfaces.scripts.definition.suggesting import hint
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_followers,
    scripts_workflows,
)

Finding = tuple[Path, str]


def problems_here(
    connection: Connection, organisation_id: str, definition: Workflow
) -> Iterator[Finding]:
    """Yield what is wrong with a definition, which is right by itself, in an organisation."""
    yield from _hosts(connection, organisation_id, definition)
    yield from _events(connection, organisation_id, definition)
    yield from _followed(connection, organisation_id, definition)
    yield from _past(connection, definition)


def _hosts(connection: Connection, organisation_id: str, definition: Workflow) -> Iterator[Finding]:
    known = {each.folded: each.name for each in hosts.listing(connection, organisation_id)}
    none = (
        "; there are no hosts yet. Start a worker with --host, or make one with "
        "`longshore workflow hosts --add NAME`."
    )
    for name, step in definition.steps.items():
        named: list[tuple[Path, str]] = [(("steps", name, "host"), step.host)]
        named += [
            (("steps", name, "other_hosts", number), host)
            for number, host in enumerate(step.other_hosts)
        ]
        for path, host in named:
            if fold(host) not in known:
                suggestion = hint(host, known.values(), otherwise=none)
                yield path, f"step {name} runs on the host {host}, which there is not{suggestion}"


def _events(
    connection: Connection, organisation_id: str, definition: Workflow
) -> Iterator[Finding]:
    wanted = {fold(each.name): number for number, each in enumerate(definition.triggers.events)}
    rows = connection.execute(
        select(scripts_event_names.c.folded, scripts_workflows.c.name)
        .join(scripts_workflows, scripts_workflows.c.id == scripts_event_names.c.workflow_id)
        .where(
            scripts_event_names.c.organisation_id == organisation_id,
            scripts_event_names.c.folded.in_(sorted(wanted)),
            scripts_workflows.c.folded != fold(definition.workflow),
        )
    )
    for row in rows:
        number = wanted[row.folded]
        event = definition.triggers.events[number].name
        yield (
            ("triggers", "events", number),
            f"the event {event} starts the workflow {row.name} already, and an event name belongs "
            "to one workflow; choose another name, or remove it there first",
        )


def _followed(
    connection: Connection, organisation_id: str, definition: Workflow
) -> Iterator[Finding]:
    if not definition.triggers.workflows:
        return
    rows = connection.execute(
        select(scripts_workflows.c.folded, scripts_workflows.c.name).where(
            scripts_workflows.c.organisation_id == organisation_id,
            scripts_workflows.c.retired_us.is_(None),
        )
    )
    names = {row.folded: row.name for row in rows}
    follows = _follows(connection, organisation_id)
    own = fold(definition.workflow)
    for number, other in enumerate(definition.triggers.workflows):
        path = ("triggers", "workflows", number)
        if fold(other.name) not in names:
            suggestion = hint(
                other.name, names.values(), otherwise="; apply the file of that one first."
            )
            yield path, f"there is no workflow {other.name} to follow{suggestion}"
            continue
        circle = _way(follows, fold(other.name), own)
        if circle is not None:
            shown = [names.get(each, definition.workflow) for each in [own, *circle]]
            yield (
                path,
                f"the workflows would start each other for ever: {' -> '.join(shown)} (each "
                "follows the next); remove one of these triggers",
            )


def _follows(connection: Connection, organisation_id: str) -> dict[str, list[str]]:
    """Return which workflows each workflow follows, by folded names."""
    rows = connection.execute(
        select(scripts_workflows.c.folded, scripts_followers.c.followed)
        .join(scripts_workflows, scripts_workflows.c.id == scripts_followers.c.workflow_id)
        .where(scripts_followers.c.organisation_id == organisation_id)
        .order_by(scripts_followers.c.followed)
    )
    follows: dict[str, list[str]] = {}
    for row in rows:
        follows.setdefault(row.folded, []).append(row.followed)
    return follows


def _way(follows: Mapping[str, list[str]], start: str, goal: str) -> list[str] | None:
    """Return a way from one workflow to another along what they follow, or None."""
    ways: dict[str, list[str]] = {start: [start]}
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here == goal:
            return ways[here]
        for other in follows.get(here, []):
            if other not in ways:
                ways[other] = [*ways[here], other]
                waiting.append(other)
    return None


def _past(connection: Connection, definition: Workflow) -> Iterator[Finding]:
    """Find schedules that will never be due again: their holidays are over."""
    at_us = now_us(connection)
    for number, schedule in enumerate(definition.triggers.schedules):
        if calendars.next_instant(schedule, definition.calendar, at_us) is None:
            yield (
                ("triggers", "schedules", number),
                f"the schedule {schedule.cron!r} never fires again on days: {schedule.days}; add "
                "days to come to the calendar, or remove it",
            )

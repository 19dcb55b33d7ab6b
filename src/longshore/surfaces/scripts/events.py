"""Events: word from outside that starts a run of the workflow that is defined for its name."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from longshore import limits
from longshore.errors import IdempotencyConflict, InvalidRequest, NotFound, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import payloads, starting
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_event_names,
    scripts_events,
    scripts_runs,
    scripts_workflows,
)

SOURCE_CHARACTERS: Final = 128
_NEAR: Final = 3


@dataclass(frozen=True, slots=True)
class Posted:
    """An accepted event: its id, the run (action) that it started, and when.

    `repeated` tells that an event with this key had been accepted before, and nothing was done.
    """

    id: int
    run_id: int
    name: str
    created_us: int
    repeated: bool


def post(
    connection: Connection,
    organisation_id: str,
    name: str,
    payload: Any,
    *,
    source: str | None = None,
    key: str | None = None,
    actor: str,
) -> Posted:
    """Accept an event and start its run, once for each idempotency key of the event's name.

    Raises:
        NotFound: no workflow is started by events of that name.
        TooLarge: the payload, see `payloads.text_of`; source or key.
        InvalidRequest: source or key cannot be used.
        IdempotencyConflict: the key came before with another payload or source.
    """
    text = payloads.text_of(payload)
    _check("eventSource", source, SOURCE_CHARACTERS)
    _check("idempotency key", key, limits.IDEMPOTENCY_KEY_CHARACTERS)
    fingerprint = _fingerprint(payload, source)
    # Before the name is looked up: the workflow may have another event by now.
    known = _with_key(connection, organisation_id, name, key)
    if known is not None:
        return _repeated(known, fingerprint)
    defined = _defined(connection, organisation_id, name)
    at_us = now_us(connection)
    event_id = _take(
        connection,
        {
            "organisation_id": organisation_id,
            "folded": defined.folded,
            "name": defined.name,
            "source": source,
            "idempotency_key": key,
            "fingerprint": fingerprint,
            "created_us": at_us,
            "created_by": actor,
        },
    )
    if event_id is None:
        known = _with_key(connection, organisation_id, name, key)
        assert known is not None, "its key was taken, so it is there"
        return _repeated(known, fingerprint)
    return _begin(connection, organisation_id, defined, (event_id, at_us), text, actor=actor)


def listing(connection: Connection, organisation_id: str) -> list[dict[str, Any]]:
    """Return the events that are defined, by name, with the numbers of their runs."""
    names, runs = scripts_event_names, scripts_runs
    counted = connection.execute(
        select(runs.c.event_folded, runs.c.state, func.count().label("number"))
        .where(runs.c.organisation_id == organisation_id, runs.c.event_folded.is_not(None))
        .group_by(runs.c.event_folded, runs.c.state)
    )
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in counted:
        counts[row.event_folded][row.state] = row.number
    rows = connection.execute(
        select(names, scripts_workflows.c.name.label("workflow"))
        .join(scripts_workflows, scripts_workflows.c.id == names.c.workflow_id)
        .where(names.c.organisation_id == organisation_id)
        .order_by(names.c.folded)
    )
    states = ("pending", "running", "finished", "failed", "cancelled")
    return [
        {
            "eventName": row.name,
            "workflow": row.workflow,
            "parallel": row.parallel,
            "priority": row.priority,
            "errormode": int(row.stop_on_error),
            "counts": {state: counts[row.folded].get(state, 0) for state in states},
        }
        for row in rows
    ]


def _defined(connection: Connection, organisation_id: str, name: str) -> Row[Any]:
    names = scripts_event_names
    row = connection.execute(
        select(names).where(
            names.c.organisation_id == organisation_id, names.c.folded == fold(name)
        )
    ).one_or_none()
    if row is not None:
        return row
    known = connection.execute(
        select(names.c.folded, names.c.name).where(names.c.organisation_id == organisation_id)
    )
    spelled = {each.folded: each.name for each in known}
    near = [spelled[each] for each in get_close_matches(fold(name), list(spelled), n=_NEAR)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise NotFound(
        f"No workflow is started by an event {name[:200]!r}.{hint} Name the event under "
        "`triggers: events:` of a workflow and apply it, or send one that is defined.",
        details={"near": near},
    )


def _take(connection: Connection, values: dict[str, Any]) -> int | None:
    """Insert an event; return its id, or None where its key is taken.

    Of two events with one key at the same instant the second waits for the first to commit.
    """
    dialect = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    taken: int | None = connection.scalar(
        dialect(scripts_events)
        .values(values)
        .on_conflict_do_nothing()
        .returning(scripts_events.c.id)
    )
    return taken


def _begin(
    connection: Connection,
    organisation_id: str,
    defined: Row[Any],
    event: tuple[int, int],
    payload: str,
    *,
    actor: str,
) -> Posted:
    """Start the run of an event that was just accepted, given by its id and time."""
    event_id, at_us = event
    run_id = starting.start(
        connection,
        organisation_id,
        defined.workflow_id,
        trigger="event",
        started_by=actor,
        payload=payload.encode(),
        business_date=starting.today(connection),
        event=starting.EventRow(
            id=event_id,
            folded=defined.folded,
            priority=defined.priority,
            parallel=defined.parallel,
            stop_on_error=defined.stop_on_error,
        ),
        priority=defined.priority,
        actor=actor,
    )
    connection.execute(
        update(scripts_events).where(scripts_events.c.id == event_id).values(run_id=run_id)
    )
    return Posted(event_id, run_id, defined.name, at_us, repeated=False)


def _with_key(
    connection: Connection, organisation_id: str, name: str, key: str | None
) -> Row[Any] | None:
    if key is None:
        return None
    return connection.execute(
        select(scripts_events).where(
            scripts_events.c.organisation_id == organisation_id,
            scripts_events.c.folded == fold(name),
            scripts_events.c.idempotency_key == key,
        )
    ).one_or_none()


def _repeated(known: Row[Any], fingerprint: str) -> Posted:
    if known.fingerprint != fingerprint:
        key = known.idempotency_key
        raise IdempotencyConflict(
            f"An event {known.name!r} with the idempotency key {key!a} was accepted before, with "
            "another payload or source. Send the same again to repeat it, or another key for "
            "another event.",
            details={
                "idempotency_key": key,
                "eventId": known.id,
                "actionId": known.run_id,
            },
        )
    return Posted(known.id, known.run_id, known.name, known.created_us, repeated=True)


def _fingerprint(payload: Any, source: str | None) -> str:
    # The order of properties means nothing in JSON.
    said = json.dumps([source, payload], ensure_ascii=False, sort_keys=True, allow_nan=False)
    return hashlib.sha256(said.encode()).hexdigest()


def _check(what: str, text: str | None, characters: int) -> None:
    if text is None:
        return
    if len(text) > characters:
        raise TooLarge(
            f"The {what} has {len(text)} characters and may have {characters}. Shorten it."
        )
    if not text.strip() or not text.isprintable():
        raise InvalidRequest(f"The {what} is empty or not printable. Leave it out, or send text.")

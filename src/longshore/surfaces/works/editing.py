"""Changing what a work was submitted with, and letting it run again with that.

Only works of buckets can be changed: their document is all that they are about. A chunk of a
pipeline or a file of a run stands for records and bytes that others have sent and count on.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from sqlalchemy import Connection

from longshore.access import Principal
from longshore.clock import SECOND_US
from longshore.engine import queues
from longshore.engine.works import State, Work
from longshore.errors import Conflict, InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.buckets import documents, updating
from longshore.surfaces.works.explaining import missing, visible

_BUCKETS: Final = "buckets"
_RUNS: Final = "It runs; cancel it first, or wait for its end."
_OTHERS: Final = {
    "apps": "A file of a run is what was uploaded; start a run with another file.",
    "pipelines": "Its records are what was pushed; push the corrected records.",
}


def checksum(text: str) -> str:
    """Return what tells two texts apart, for forms and the audit log."""
    return hashlib.sha256(text.encode()).hexdigest()


def refusal(connection: Connection, work: Work) -> str | None:
    """Return why a work cannot be edited, or None."""
    surface = queues.get(connection, work.queue_id).surface
    if surface != _BUCKETS:
        return _OTHERS.get(surface, "Its surface has made it; change what it was made from.")
    if work.state is State.RUNNING:
        return _RUNS
    return None


def edit(
    connection: Connection,
    principal: Principal,
    work_id: str,
    text: str,
    *,
    seen: str,
    actor: str,
) -> None:
    """Store another document for a work; one that is over runs again with it.

    Args:
        connection: the transaction.
        principal: the key that reaches it.
        work_id: the work.
        text: the document, JSON.
        seen: checksum of the document that the person changed.
        actor: who does it.

    Raises:
        NotFound: the key reaches no such work.
        Conflict: it cannot be edited, not now, or has changed since it was seen.
        InvalidRequest: the text is no work's document, or names another bucket.
    """
    organisation_id = principal.organisation_id
    work = visible(connection, principal, work_id)
    refused = refusal(connection, work)
    if refused is not None:
        raise Conflict(f"Work {work_id} cannot be edited. {refused}")
    kept = documents.read(connection, [work_id], organisation_id=organisation_id, lock=True).get(
        work_id
    )
    if kept is None:
        # It was deleted between the two looks.
        raise missing(work_id)
    if kept.state is State.RUNNING:
        # It was claimed between them; its document would be taken from whoever holds it.
        raise Conflict(f"Work {work_id} cannot be edited. {_RUNS}")
    if checksum(kept.document) != seen:
        raise Conflict(
            "The work has changed since you saw it. Load the page again, and repeat your change."
        )
    value = documents.decoded(text.encode())
    if not isinstance(value, dict):
        raise InvalidRequest("The document is no JSON object. Write one, {...}.")
    # What the engine knows is not for a person to set; the fence wants it as it is.
    started_s = None if kept.started_us is None else kept.started_us / SECOND_US
    value |= {
        "id": work_id, "status": "queued", "attempt": kept.shown_attempt, "start": started_s,
    }  # fmt: skip
    payload, document = documents.checked(value, now_us(connection) / SECOND_US)
    change = updating.Change(payload, documents.encode(document))
    for each in updating.apply(connection, organisation_id, [change], actor=actor):
        raise Conflict(each.message)


def shown(text: str) -> str:
    """Return a document as people edit it: the same values, a line each."""
    try:
        return msgspec.json.format(text.encode(), indent=2).decode()
    except msgspec.DecodeError:
        return text

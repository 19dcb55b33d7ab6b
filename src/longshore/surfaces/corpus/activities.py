"""Activities one by one: `started`, `processed` and `error`, as the published workers say them.

Each word is one compare-and-set in one transaction. `started` is refused with 409 where another
holds the element or it is processed, and with nothing but 409; whatever else cannot be is 400, so
that a worker never takes it for an element to skip.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, select

from longshore.access import Principal
from longshore.engine import works
from longshore.engine.states import Reason
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Outcome
from longshore.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from longshore.surfaces.corpus import elements, enlisting, holders, states, worker_runs
from longshore.surfaces.corpus.holders import Speaker
from longshore.surfaces.corpus.scope import refusal, unknown, uuid_of
from longshore.surfaces.corpus.states import Activity
from longshore.surfaces.corpus.tables import corpus_activities, corpus_elements

GRACE_S: Final = 5.0
"""What a lease without a heartbeat is longer than the time that a program has."""
_SAID: Final = "the worker said that it could not process the element, and did not say why"


class Word(StrEnum):
    """What a worker says of an element."""

    QUEUED = "queued"
    STARTED = "started"
    PROCESSED = "processed"
    ERROR = "error"


OUTCOMES: Final = {
    Word.QUEUED: Outcome.HANDED_BACK,
    Word.PROCESSED: Outcome.SUCCESS,
    # Not tried again by itself: what a worker cannot do, it can do no better a second later.
    Word.ERROR: Outcome.REJECTED,
}


class Update(msgspec.Struct, frozen=True):
    """What a worker says of an element; `process_id` is that of its worker run."""

    element_id: str
    state: Word
    process_id: str | None = None


def change(connection: Connection, principal: Principal, run_id: str, said: Update) -> Any:
    """Take a word of a worker; return the activity as it is now.

    Raises:
        NotFound: the organisation has no such worker run.
        Conflict: `started`, and the element is not to be processed: another is at it, it is
            processed or cancelled, or the run's process was not started with it.
        InvalidRequest: any other word, by one that does not hold the activity.
    """
    speaker = holders.speaker(connection, principal, run_id)
    if said.process_id is not None and uuid_of(said.process_id) != speaker.process.id:
        raise unknown("process of this worker run", said.process_id, "process_id")
    element_id = uuid_of(said.element_id)
    if element_id is None:
        raise unknown("element", said.element_id, "element_id")
    row = _found(connection, speaker, element_id)
    if said.state is Word.STARTED:
        return _begin(connection, speaker, element_id, row)
    if row is None:
        raise refusal(
            f"element_id: {speaker.run.summary} has no activity for element {element_id}: its "
            "process was not started with it.",
            "element_id",
        )
    return _end(connection, speaker, element_id, row, said.state)


def begin_next(connection: Connection, principal: Principal, site: str) -> dict[str, Any]:
    """Start the next element of the queue of a task; return it as RetrieveElement does.

    Raises:
        InvalidRequest: the caller is no task with a queue of elements.
        NotFound: none is left.
    """
    try:
        _, run_id = holders.own_task(connection, principal)
    except PermissionDenied as error:
        raise InvalidRequest(error.message) from error
    run = None if run_id is None else worker_runs.get(connection, principal.organisation_id, run_id)
    if run is None or run.queue_id is None:
        raise InvalidRequest("This task has no queue of elements: its process has no activities.")
    speaker = holders.speaker(connection, principal, run.id)
    while True:
        leases = works.claim(
            connection,
            [run.queue_id],
            limit=1,
            holder=speaker.holder,
            lease_s=None,
            grace_s=GRACE_S,
            with_payloads=False,
        )
        if not leases:
            raise NotFound("No element is left in the queue of this worker run.")
        element_id = connection.scalar(
            select(corpus_activities.c.element_id).where(
                corpus_activities.c.work_id == leases[0].id
            )
        )
        found = elements.shown(connection, [element_id] if element_id else [], site, elements.ALL)
        if found:
            return found[str(element_id)]
        forget(connection, [leases[0].id])


def forget(connection: Connection, work_ids: list[str]) -> None:
    """Delete activities, in whatever state they are, whose elements are gone."""
    why = "the element was deleted"
    for piece in enlisting.pieces(work_ids):
        works.discard(connection, piece, actor="server", why=why)
        chosen = corpus_activities.c.work_id.in_(piece)
        connection.execute(corpus_activities.delete().where(chosen))


def forget_elements(connection: Connection, element_ids: list[str]) -> None:
    """Delete the activities of elements that are being deleted."""
    for piece in enlisting.pieces(element_ids):
        query = select(corpus_activities.c.work_id).where(corpus_activities.c.element_id.in_(piece))
        forget(connection, list(connection.execute(query).scalars()))


def _found(connection: Connection, speaker: Speaker, element_id: str) -> Row[Any] | None:
    query: Select[Any] = (
        select(
            corpus_activities.c.work_id,
            works_table.c.state,
            works_table.c.reason,
            works_table.c.attempt,
            works_table.c.retry_us,
            works_table.c.queue_id,
            works_table.c.worker_id,
        )
        .join(works_table, works_table.c.id == corpus_activities.c.work_id)
        .where(
            corpus_activities.c.element_id == element_id,
            corpus_activities.c.run_key == speaker.run.run_key,
        )
        .with_for_update(of=works_table)
    )
    return connection.execute(query).one_or_none()


def _begin(
    connection: Connection, speaker: Speaker, element_id: str, row: Row[Any] | None
) -> dict[str, Any]:
    run = speaker.run
    if row is None or run.queue_id is None:
        raise Conflict(
            f"Element {element_id} is not to be processed by {run.summary}: its process was not "
            "started with it."
        )
    state = states.activity(row.state, row.retry_us)
    if state not in (Activity.QUEUED, Activity.ERROR):
        raise Conflict(_why_not(element_id, run, row, state))
    if not _exists(connection, element_id):
        forget(connection, [row.work_id])
        raise Conflict(f"Element {element_id} was deleted.")
    enlisting.take_over(connection, run, run.queue_id, [row], actor=speaker.holder)
    leases = works.claim(
        connection,
        [run.queue_id],
        limit=1,
        holder=speaker.holder,
        lease_s=None,
        grace_s=GRACE_S,
        among=[row.work_id],
        with_payloads=False,
    )
    if not leases:
        raise Conflict(f"Element {element_id} cannot be started: its queue is held by an operator.")
    return _answer(speaker, element_id, Activity.STARTED, leases[0].attempt)


def _end(
    connection: Connection, speaker: Speaker, element_id: str, row: Row[Any], word: Word
) -> dict[str, Any]:
    state = states.activity(row.state, row.retry_us)
    if word is Word.QUEUED and state is Activity.QUEUED:
        return _answer(speaker, element_id, state, row.attempt)
    error = None
    if word is Word.ERROR:
        told = {"type": "Error", "message": _SAID, "traceback": ""}
        error = msgspec.json.encode(told)
    ending = Ending(row.work_id, row.attempt, OUTCOMES[word], result=None, error=error)
    lost = works.finish(connection, [ending], holder=speaker.holder)
    if lost and not lost[0].cancelled:
        raise refusal(
            f"state: {word.value!r} was not taken down for element {element_id}, which this worker "
            f"does not hold: {_standing(row, state)}.",
            "state",
        )
    # Of one that was stopped meanwhile nothing more is wanted; its results stay.
    now = Activity.CANCELLED if lost else Activity(word.value)
    return _answer(speaker, element_id, now, row.attempt)


def _answer(speaker: Speaker, element_id: str, state: Activity, attempt: int) -> dict[str, Any]:
    return {
        "element_id": element_id,
        "process_id": speaker.process.id,
        "state": state.value,
        "attempt": attempt,
    }


def _exists(connection: Connection, element_id: str) -> bool:
    query = select(corpus_elements.c.id).where(corpus_elements.c.id == element_id)
    return connection.scalar(query) is not None


def _why_not(element_id: str, run: worker_runs.Run, row: Row[Any], state: Activity) -> str:
    return f"Element {element_id} is not to be processed by {run.summary}: {_standing(row, state)}."


def _standing(row: Row[Any], state: Activity) -> str:
    """Say where an activity is, for people."""
    if state is Activity.STARTED:
        kind = "a task" if holders.attempt_of(row.worker_id or "") else "another program"
        stop = ", and is to stop" if row.reason == Reason.CANCEL_REQUESTED else ""
        return f"it is started (attempt {row.attempt}), held by {kind} ({row.worker_id}){stop}"
    return {
        Activity.QUEUED: "it is queued, and held by nobody",
        Activity.PROCESSED: "it is processed",
        Activity.ERROR: "its last attempt ended in an error",
        Activity.CANCELLED: "it was cancelled, as its process was stopped",
    }[state]

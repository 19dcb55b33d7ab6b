"""Activities by the hundred: how programs with a heartbeat claim, renew and report elements.

They are held for a minute at a time (`limits.ACTIVITY_LEASE_S`), so that what a program held that
died comes back soon. Each carries the number of its attempt: what an earlier one says is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, Text, bindparam, select

from longshore import limits
from longshore.access import Principal
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.engine.works import Ending, Lease, Lost
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import activities, elements, enlisting, holders, states, worker_runs
from longshore.surfaces.corpus.activities import OUTCOMES, Word
from longshore.surfaces.corpus.holders import Speaker
from longshore.surfaces.corpus.remaining import Remaining, counted
from longshore.surfaces.corpus.scope import unknown, uuid_of
from longshore.surfaces.corpus.states import Activity
from longshore.surfaces.corpus.tables import corpus_activities

_UNKNOWN: Final = "there is no activity of this worker run for the element"


class Claim(msgspec.Struct, frozen=True):
    """What a program wants to begin.

    Attributes:
        limit: at most so many elements of the queue of the run.
        wait_s: how long to wait for one while there is none.
        elements: only these, whichever of them may be started; then there is no wait.
    """

    worker_run_id: str
    limit: int = 1
    wait_s: float = 0.0
    elements: list[str] | None = None


class Held(msgspec.Struct, frozen=True, array_like=True):
    """An activity that a program believes it holds."""

    element_id: str
    attempt: int


class Renewal(msgspec.Struct, frozen=True):
    """What a program is still at."""

    worker_run_id: str
    held: list[Held]


class Failure(msgspec.Struct, frozen=True):
    """Why an element could not be processed."""

    type: str = "Error"
    message: str = ""
    traceback: str = ""


class Report(msgspec.Struct, frozen=True):
    """How it went with an element."""

    element_id: str
    attempt: int
    state: Word
    error: Failure | None = None


class Reports(msgspec.Struct, frozen=True):
    """How it went with elements."""

    worker_run_id: str
    reports: list[Report]


def claimable(connection: Connection, principal: Principal, run_id: str) -> bool:
    """Whether a claim might find something, so that waiting writes nothing.

    Raises:
        NotFound: there is no such run.
    """
    run = worker_runs.get(connection, principal.organisation_id, run_id)
    return run.queue_id is not None and works.claimable(connection, [run.queue_id])


def queue_of(connection: Connection, principal: Principal, run_id: str) -> int | None:
    """Return the queue of a run's activities, or None where it has none.

    Raises:
        NotFound: there is no such run.
    """
    return worker_runs.get(connection, principal.organisation_id, run_id).queue_id


def claim(
    connection: Connection, principal: Principal, asked: Claim, site: str, remaining: Remaining
) -> dict[str, Any]:
    """Start elements; return them, how long they are held, and how many wait or are held.

    Of elements that were asked for by name, `unknown` lists those without an activity; whatever
    else is missing is another worker's, or done.

    Raises:
        NotFound: there is no such run.
        InvalidRequest: it has no activities, or an id is none.
        TooLarge: these are too many at once.
    """
    if asked.limit < 1:
        raise InvalidRequest(f"limit is {asked.limit}; claim at least one element.")
    _check_count(max(asked.limit, len(asked.elements or ())))
    speaker = holders.speaker(connection, principal, asked.worker_run_id)
    queue_id = _queue(speaker)
    limit, among = asked.limit, None
    strange: list[str] = []
    if asked.elements is not None:
        known = _named(connection, speaker, asked.elements)
        strange = [each for each in asked.elements if each not in known]
        among = _startable(connection, speaker, queue_id, known.values())
        limit = len(among)
    leases: list[Lease] = []
    if limit:
        leases = works.claim(
            connection,
            [queue_id],
            limit=limit,
            holder=speaker.holder,
            lease_s=limits.ACTIVITY_LEASE_S,
            among=among,
            with_payloads=False,
        )
    return {
        "activities": _begun(connection, leases, site),
        "lease_s": limits.ACTIVITY_LEASE_S,
        "queued": remaining.after(connection, queue_id, len(leases)),
        "started": counted(connection, queue_id, State.RUNNING),
        "unknown": strange,
    }


def renew(connection: Connection, principal: Principal, asked: Renewal) -> dict[str, Any]:
    """Hold elements for longer; return those that are lost, each with the reason.

    Raises:
        NotFound: there is no such run.
        TooLarge: these are too many at once.
    """
    _check_count(len(asked.held))
    speaker = holders.speaker(connection, principal, asked.worker_run_id)
    known = _works(connection, speaker, [each.element_id for each in asked.held])
    held = [
        (known[each.element_id].work_id, each.attempt)
        for each in asked.held
        if each.element_id in known
    ]
    lost = works.renew(connection, held, holder=speaker.holder, lease_s=limits.ACTIVITY_LEASE_S)
    strange = [each for each in asked.held if each.element_id not in known]
    return {
        "lost": [*_lost(known, lost), *([e.element_id, e.attempt, _UNKNOWN] for e in strange)],
        "lease_s": limits.ACTIVITY_LEASE_S,
    }


def report(connection: Connection, principal: Principal, said: Reports) -> dict[str, Any]:
    """Take down how it went with elements; return those that the program had lost before.

    The same report again is taken once.

    Raises:
        NotFound: there is no such run.
        InvalidRequest: an element is reported as started.
        TooLarge: these are too many at once.
    """
    _check_count(len(said.reports))
    speaker = holders.speaker(connection, principal, said.worker_run_id)
    known = _works(connection, speaker, [each.element_id for each in said.reports])
    endings = []
    lost: list[list[Any]] = []
    for each in said.reports:
        if each.state is Word.STARTED:
            raise InvalidRequest("An element is started by claiming it, not by a report.")
        if each.element_id not in known:
            lost.append([each.element_id, each.attempt, _UNKNOWN])
            continue
        endings.append(
            Ending(
                known[each.element_id].work_id,
                each.attempt,
                OUTCOMES[each.state],
                result=None,
                error=_error(each),
            )
        )
    refused = works.finish(connection, endings, holder=speaker.holder)
    return {"lost": [*_lost(known, refused), *lost]}


def _queue(speaker: Speaker) -> int:
    if speaker.run.queue_id is None:
        state = speaker.process.activity_state
        raise InvalidRequest(
            f"Worker run {speaker.run.id} has no activities (they are {state}): start its process, "
            "and let it have activities."
        )
    return speaker.run.queue_id


def _named(connection: Connection, speaker: Speaker, given: Sequence[str]) -> dict[str, Row[Any]]:
    """Return the activities of elements that were asked for, by the ids as they were given."""
    for place, each in enumerate(given):
        if uuid_of(each) is None:
            raise unknown("element", each, "elements", place)
    return _works(connection, speaker, given)


def _startable(
    connection: Connection, speaker: Speaker, queue_id: int, known: Iterable[Row[Any]]
) -> list[str]:
    """Return the works of those activities that can be started, in the queue of the run."""
    rows = [
        row
        for row in known
        if states.activity(row.state, row.retry_us) in (Activity.QUEUED, Activity.ERROR)
    ]
    enlisting.take_over(connection, speaker.run, queue_id, rows, actor=speaker.holder)
    return [row.work_id for row in rows]


def _begun(connection: Connection, leases: Sequence[Lease], site: str) -> list[dict[str, Any]]:
    if not leases:
        return []
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(lease.id,) for lease in leases], 1)
    of_work = {row.work_id: row.element_id for row in connection.execute(_elements(dialect), given)}
    found = elements.shown(connection, list(of_work.values()), site)
    gone = [lease.id for lease in leases if of_work.get(lease.id, "") not in found]
    if gone:
        activities.forget(connection, gone)
    return [
        {"element": found[of_work[lease.id]], "attempt": lease.attempt}
        for lease in leases
        if of_work.get(lease.id, "") in found
    ]


def _works(
    connection: Connection, speaker: Speaker, element_ids: Sequence[str]
) -> dict[str, Row[Any]]:
    """Return the activities of the run for elements, by the ids as they were given."""
    dialect = connection.dialect.name
    canonical = {each: uuid_of(each) for each in element_ids}
    rows = connection.execute(
        _activities(dialect),
        {
            "run_key": speaker.run.run_key,
            **given_parameters(dialect, [(e,) for e in canonical.values() if e is not None], 1),
        },
    )
    found = {row.element_id: row for row in rows}
    return {each: found[own] for each, own in canonical.items() if own in found}


def _lost(known: dict[str, Row[Any]], lost: Sequence[Lost]) -> list[list[Any]]:
    of_work = {row.work_id: element_id for element_id, row in known.items()}
    return [[of_work[each.work_id], each.attempt, each.reason] for each in lost]


def _error(said: Report) -> bytes | None:
    if said.state is not Word.ERROR:
        return None
    failure = said.error or Failure(message="the worker did not say why")
    most = limits.ERROR_CHARACTERS
    return msgspec.json.encode(
        Failure(
            failure.type[: limits.NAME_CHARACTERS],
            failure.message[:most],
            failure.traceback[-most:],
        )
    )


def _check_count(count: int) -> None:
    if count > limits.ACTIVITIES_PER_CALL:
        raise TooLarge(
            f"These are {count} elements; one call takes {limits.ACTIVITIES_PER_CALL} at most."
        )


@cache
def _elements(dialect: str) -> Select[Any]:
    given = given_rows(dialect, work_id=Text)
    return select(corpus_activities.c.work_id, corpus_activities.c.element_id).join(
        given, given.c.work_id == corpus_activities.c.work_id
    )


@cache
def _activities(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(
            corpus_activities.c.element_id,
            corpus_activities.c.work_id,
            works_table.c.state,
            works_table.c.retry_us,
            works_table.c.queue_id,
        )
        .join(given, given.c.id == corpus_activities.c.element_id)
        .join(works_table, works_table.c.id == corpus_activities.c.work_id)
        .where(corpus_activities.c.run_key == bindparam("run_key", type_=Text))
    )

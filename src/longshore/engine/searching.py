"""Finding works by a filter, newest first, in pages that cost the same however many there are.

Ids are ordered by time, so a page is the next works below an id. There is no index for every
filter, and each further one would slow every claim. So a page is found in one of two ways:

- Where an index that the engine has anyway says that few works can fit (those that run, that
  failed, of a group, of a queue), these are read and filtered.
- Otherwise the primary key is walked backwards, through a bounded number of works. When it is
  used up before the page is full, the page says how far it looked, and the next one goes on there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, Text, select

from longshore import ids
from longshore.engine import reading
from longshore.engine.filtering import Filter, Term
from longshore.engine.searching_bounds import LAST, Bounds, bind
from longshore.engine.searching_paths import candidates
from longshore.engine.states import State
from longshore.engine.tables import queues, works
from longshore.errors import InvalidRequest
from longshore.storage.bulk import given_parameters, given_rows

WINDOW: Final = 30_000
"""Works that one page walks through."""
_UNLIMITED: Final = 2**62
_NEAR: Final = 1_000
"""So many are looked at first: most filters are for what is newest."""
ERRORS_READ: Final = 500
"""Works whose errors one page reads to look for a text."""
PIECE: Final = 250
COUNTED: Final = 10_000
"""Works up to which a count is exact."""


@dataclass(frozen=True, slots=True)
class Found:
    """A work that fits, with the queue that it is in, and what its failure says in one line."""

    work: reading.Work
    queue: str
    surface: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Works that fit, newest first.

    Attributes:
        found: the works.
        next: what to give as `before` for the next page; None where nothing is left.
        searched_to_us: where the page is not full because it would have taken too long, the time
            of the oldest work that was looked at.
    """

    found: list[Found]
    next: str | None
    searched_to_us: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How many works fit; with `exact` False there are at least as many."""

    count: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Ids that fit, newest first, and where the next step goes on (None: nowhere)."""

    ids: list[str]
    next: str | None


def page(
    connection: Connection,
    organisation_id: str,
    wanted: Filter,
    *,
    at_us: int,
    before: str | None = None,
    limit: int = 50,
) -> Page:
    """Return the next works of an organisation that fit, newest first.

    Args:
        connection: of a transaction that reads.
        organisation_id: whose works.
        wanted: the filter.
        at_us: what ages in the filter count back from.
        before: `next` of the page before.
        limit: most works in the page.
    """
    step = ids_page(connection, organisation_id, wanted, at_us=at_us, before=before, limit=limit)
    found = _read(connection, step.ids)
    searched_to_us = None
    if step.next is not None and len(step.ids) < limit:
        searched_to_us = connection.execute(
            select(works.c.created_us).where(works.c.id == step.next)
        ).scalar()
    return Page(found, step.next, searched_to_us)


def ids_page(
    connection: Connection,
    organisation_id: str,
    wanted: Filter,
    *,
    at_us: int,
    before: str | None = None,
    limit: int,
) -> Step:
    """Do what `page` does, for ids alone."""
    if before is not None and not _is_place(before):
        raise InvalidRequest("`before` is no place in the list. Give `next` of the page before.")
    bounds = bind(connection, organisation_id, wanted, at_us)
    if bounds.impossible:
        return Step([], None)
    texts = [term for term in wanted.terms if term.name == "error"]
    most = ERRORS_READ if texts else limit
    narrow = candidates(connection, bounds)
    if narrow is None:
        step = _walk(connection, bounds, before, most)
    else:
        step = _among(connection, bounds, narrow, before, most)
    return _with_errors(connection, step, texts, limit) if texts else step


def count(
    connection: Connection,
    organisation_id: str,
    wanted: Filter,
    *,
    at_us: int,
    most: int = COUNTED,
    windows: int = 20,
) -> Count:
    """Count the works that fit: exactly up to `most`, and within `windows` pages of the walk."""
    counted, before = 0, None
    for _ in range(windows):
        step = ids_page(
            connection,
            organisation_id,
            wanted,
            at_us=at_us,
            before=before,
            limit=most + 1 - counted,
        )
        counted += len(step.ids)
        if counted > most:
            return Count(most, exact=False)
        if step.next is None:
            return Count(counted, exact=True)
        before = step.next
    return Count(counted, exact=False)


def fitting(
    connection: Connection,
    organisation_id: str,
    wanted: Filter,
    work_ids: Sequence[str],
    *,
    at_us: int,
) -> list[str]:
    """Return those of `work_ids` that are the organisation's and fit now, in order."""
    bounds = bind(connection, organisation_id, wanted, at_us)
    if bounds.impossible:
        return []
    step = _among(connection, bounds, work_ids, None, len(work_ids))
    texts = [term for term in wanted.terms if term.name == "error"]
    kept = set(step.ids)
    for term in texts:
        kept &= set(_telling(connection, sorted(kept), term))
    return sorted(kept)


def _walk(connection: Connection, bounds: Bounds, before: str | None, limit: int) -> Step:
    """Look at the next WINDOW works below `before`."""
    below = before
    if below is None:
        newest = connection.execute(_below(select(works.c.id), bounds, None).limit(1)).scalar()
        if newest is None:
            return Step([], None)
        below = newest + LAST
    found: list[str] = []
    for size in (_NEAR, WINDOW - _NEAR):
        # Each query may see the works of another moment. So the ends of the window are keys, and
        # found first: a count of rows would reach another work once some are deleted or made.
        keys = _below(select(works.c.id), bounds, below)
        end = connection.execute(keys.offset(size - 1).limit(1)).scalar()
        found += connection.execute(
            _window(bounds, below, end, limit - len(found)), bounds.parameters
        ).scalars()
        if len(found) == limit:
            return Step(found, found[-1])
        if end is None:
            return Step(found, None)
        below = end
    return Step(found, below)


def _window(bounds: Bounds, below: str, end: str | None, limit: int) -> Select[Any]:
    query = _below(select(works), bounds, below)
    if end is not None:
        query = query.where(works.c.id >= end)
    # The limit cuts nothing off. It keeps the planner from looking the conditions up in another
    # index: what is asked for is the order of the key, between two ends.
    rows = query.limit(_UNLIMITED).subquery("window_rows")
    return (
        select(rows.c.id).where(*bounds.conditions(rows.c)).order_by(rows.c.id.desc()).limit(limit)
    )


def _below(query: Select[Any], bounds: Bounds, before: str | None) -> Select[Any]:
    """Let a query over works go backwards from `before` or the end of what can fit."""
    upper = min((each for each in (before, bounds.below) if each is not None), default=None)
    if upper is not None:
        query = query.where(works.c.id < upper)
    if bounds.at_least is not None:
        query = query.where(works.c.id >= bounds.at_least)
    return query.order_by(works.c.id.desc())


def _among(
    connection: Connection,
    bounds: Bounds,
    narrow: Sequence[str],
    before: str | None,
    limit: int,
) -> Step:
    """Look at the works that an index has named."""
    inside = sorted({one for one in narrow if before is None or one < before}, reverse=True)
    found: list[str] = []
    for start in range(0, len(inside), PIECE * 4):
        piece = inside[start : start + PIECE * 4]
        found += _fitting(connection, bounds, piece)
        if len(found) > limit:
            return Step(found[:limit], found[limit - 1])
    return Step(found, None)


def _fitting(connection: Connection, bounds: Bounds, piece: Sequence[str]) -> list[str]:
    dialect = connection.dialect.name
    given = given_rows(dialect, id=Text)
    named = select(works).join(given, given.c.id == works.c.id).limit(len(piece))
    # The limit keeps the conditions from being looked up in other indexes than the key.
    rows = named.subquery("named_rows")
    query = select(rows.c.id).where(*bounds.conditions(rows.c))
    parameters = {**bounds.parameters, **given_parameters(dialect, [(one,) for one in piece], 1)}
    return sorted(connection.execute(query, parameters).scalars(), reverse=True)


def _with_errors(connection: Connection, step: Step, terms: Sequence[Term], limit: int) -> Step:
    """Keep of a step the works whose errors say what is looked for."""
    found: list[str] = []
    for start in range(0, len(step.ids), PIECE):
        piece = step.ids[start : start + PIECE]
        kept = set(piece)
        for term in terms:
            kept &= set(_telling(connection, piece, term))
        found += [one for one in piece if one in kept]
        if len(found) > limit:
            return Step(found[:limit], found[limit - 1])
    return Step(found, step.next)


def _telling(connection: Connection, work_ids: Sequence[str], term: Term) -> Iterator[str]:
    """Return the works whose last error contains one of the texts, or none where it is negated."""
    texts = [value.text.casefold() for value in term.values]
    told = reading.outputs(connection, work_ids)
    for work_id in work_ids:
        output = told.get(work_id)
        error = error_line(None if output is None else output.error).casefold()
        if any(text in error for text in texts) != term.negated:
            yield work_id


def error_line(error: bytes | None) -> str:
    """Return what an error says, in one line: its type and message."""
    if error is None:
        return ""
    told = json.loads(error)
    if not isinstance(told, dict):
        return str(told)
    kind, message = told.get("type"), told.get("message")
    return ": ".join(str(part) for part in (kind, message) if part)


def _read(connection: Connection, work_ids: Sequence[str]) -> list[Found]:
    known = reading.get_many(connection, work_ids)
    queue_ids = {work.queue_id for work in known.values()}
    rows = connection.execute(
        select(queues.c.id, queues.c.name, queues.c.surface).where(queues.c.id.in_(queue_ids))
    )
    names = {row.id: (row.name, row.surface) for row in rows}
    failed = [work.id for work in known.values() if work.state is State.FAILURE]
    told = reading.outputs(connection, failed)
    return [
        Found(
            known[one],
            *names[known[one].queue_id],
            error=error_line(told[one].error) if one in told else None,
        )
        for one in work_ids
        if one in known
    ]


def _is_place(before: str) -> bool:
    return before.startswith(f"{ids.WORK}_") and len(before) < 64 and before.isascii()

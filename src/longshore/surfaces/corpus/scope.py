"""What of a corpus a caller reaches, by ids: those of another organisation do not exist for it.

An id in a path that names nothing is NotFound; in a body it is InvalidRequest, which says where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Select, Text, select

from longshore.access import Principal
from longshore.errors import InvalidRequest, NotFound
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_elements,
    corpus_processes,
    corpus_tasks,
    corpus_transcriptions,
    corpus_worker_runs,
)

BY_HAND: Final = ""
"""The worker run of what a person made."""
FEW: Final = 500
"""Of so many ids in a body each is looked for; of more, all that the corpus has are looked at."""
_CANONICAL: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}", re.IGNORECASE)


class Target(NamedTuple):
    """An element that results are put on."""

    id: str
    corpus_id: str


class Read(NamedTuple):
    """A transcription, and where it belongs."""

    id: str
    text: str
    element_id: str
    corpus_id: str


def uuid_of(text: str) -> str | None:
    """Return a UUID as ids are stored, in small letters and with dashes; None where it is none."""
    if _CANONICAL.fullmatch(text):
        return text
    return str(UUID(text)) if _UUID.fullmatch(text) else None


def refusal(
    message: str, *attr: str | int, code: str = "invalid", also: dict[str, Any] | None = None
) -> InvalidRequest:
    """Return the error for a body whose field at the path `attr` cannot be used.

    `also` has further keys for the top of the answer, such as `non_field_errors`.
    """
    details: dict[str, Any] = {"error_code": code}
    if attr:
        details["attr"] = list(attr)
    if also is not None:
        details["also"] = also
    return InvalidRequest(message, details=details)


def unknown(kind: str, given: str, *attr: str | int) -> InvalidRequest:
    """Return the error for a field that names a thing by an id that does not exist."""
    where = place(attr)
    if uuid_of(given) is None:
        return refusal(f"{where}: {given[:80]!r} is no UUID. Give the id of {kind}.", *attr)
    return refusal(f"{where}: there is no {kind} {given}.", *attr, code="does_not_exist")


def corpus(
    connection: Connection,
    organisation_id: str,
    corpus_id: str,
    *,
    kept: bool = False,
    alone: bool = False,
) -> str:
    """Return the id of a corpus of the organisation.

    With `kept`, it cannot go before the end of this transaction; with `alone`, others that ask so
    wait for that end, too.

    Raises:
        NotFound: there is none, or it is being deleted.
    """
    found = _corpus(connection, organisation_id, corpus_id, kept=kept, alone=alone)
    if found is None:
        raise NotFound(f"There is no corpus {corpus_id[:80]}.")
    return found


def named_corpus(
    connection: Connection,
    organisation_id: str,
    corpus_id: str,
    *,
    kept: bool = False,
    alone: bool = False,
) -> str:
    """Do what `corpus` does for an id in the field `corpus` of a body.

    Raises:
        InvalidRequest: there is none, or it is being deleted.
    """
    found = _corpus(connection, organisation_id, corpus_id, kept=kept, alone=alone)
    if found is None:
        raise unknown("corpus", corpus_id, "corpus")
    return found


def element(
    connection: Connection,
    organisation_id: str,
    element_id: str,
    *,
    kept: bool = False,
    alone: bool = False,
) -> Target:
    """Return an element of the organisation.

    With `kept`, it cannot be deleted before the end of this transaction; with `alone`, others
    that ask so wait for that end, too.

    Raises:
        NotFound: there is none.
    """
    found = found_element(connection, organisation_id, element_id, kept=kept, alone=alone)
    if found is None:
        raise NotFound(f"There is no element {element_id[:80]}.")
    return found


def found_element(
    connection: Connection,
    organisation_id: str,
    element_id: str,
    *,
    kept: bool = False,
    alone: bool = False,
) -> Target | None:
    """Return what `element` returns, or None where there is no such element."""
    given = uuid_of(element_id)
    if given is None:
        return None
    query = (
        select(corpus_elements.c.id, corpus_elements.c.corpus_id)
        .join(corpora, corpora.c.id == corpus_elements.c.corpus_id)
        .where(
            corpus_elements.c.id == given,
            corpora.c.organisation_id == organisation_id,
            corpora.c.deletion_id.is_(None),
        )
    )
    if kept or alone:
        query = query.with_for_update(read=not alone, key_share=True, of=corpus_elements)
    row = connection.execute(query).one_or_none()
    return None if row is None else Target(row.id, row.corpus_id)


def named_element(
    connection: Connection, organisation_id: str, element_id: str, field: str, *, alone: bool = True
) -> Target:
    """Do what `element` does for an id in a field of a body; it is kept.

    Raises:
        InvalidRequest: there is none.
    """
    found = found_element(connection, organisation_id, element_id, kept=True, alone=alone)
    if found is None:
        raise unknown("element", element_id, field)
    return found


def kept_elements(
    connection: Connection, organisation_id: str, element_ids: Sequence[str], *, alone: bool = False
) -> set[str]:
    """Return which of many ids are of elements; these outlive this transaction.

    With `alone`, others that ask so for one of them wait for the end of this transaction.
    """
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in set(element_ids)], 1)
    found = connection.execute(_elements(dialect, alone), given).all()
    # Asked for by itself: joined to the elements, SQLite begins with the corpora and walks through
    # all their elements for each id.
    among = set(
        connection.scalars(
            select(corpora.c.id).where(
                corpora.c.id.in_({row.corpus_id for row in found}),
                corpora.c.organisation_id == organisation_id,
                corpora.c.deletion_id.is_(None),
            )
        )
    )
    return {row.id for row in found if row.corpus_id in among}


def transcription(
    connection: Connection,
    organisation_id: str,
    transcription_id: str,
    *,
    kept: bool = False,
    alone: bool = False,
) -> Read:
    """Return a transcription of the organisation.

    With `kept`, it cannot be deleted before the end of this transaction; with `alone`, others
    that ask so wait for that end, too.

    Raises:
        NotFound: there is none.
    """
    found = None
    given = uuid_of(transcription_id)
    if given is not None:
        query = (
            select(
                corpus_transcriptions.c.id,
                corpus_transcriptions.c.text,
                corpus_transcriptions.c.element_id,
                corpus_elements.c.corpus_id,
            )
            .join(corpus_elements, corpus_elements.c.id == corpus_transcriptions.c.element_id)
            .join(corpora, corpora.c.id == corpus_elements.c.corpus_id)
            .where(
                corpus_transcriptions.c.id == given,
                corpora.c.organisation_id == organisation_id,
                corpora.c.deletion_id.is_(None),
            )
        )
        if kept:
            # The element first: whoever deletes it holds it, and comes to its texts afterwards.
            query = query.with_for_update(read=True, key_share=True, of=corpus_elements)
        found = connection.execute(query).one_or_none()
        if alone and found is not None:
            mine = select(corpus_transcriptions.c.id).where(corpus_transcriptions.c.id == given)
            connection.execute(mine.with_for_update(key_share=True))
    if found is None:
        raise NotFound(f"There is no transcription {transcription_id[:80]}.")
    return Read(found.id, found.text, found.element_id, found.corpus_id)


def worker_run(connection: Connection, principal: Principal, given: str | None) -> str:
    """Return the worker run that results are stamped with: `BY_HAND` for none.

    Raises:
        InvalidRequest: the organisation has no such worker run; or the caller is the program of a
            task, and names none or one of another process than its own.
    """
    attr = "worker_run_id"
    if given is None:
        if principal.work is None:
            return BY_HAND
        raise refusal(
            "worker_run_id: a program that runs as a task has to name the worker run whose results "
            "it stores. It is in the variable ARKINDEX_WORKER_RUN_ID.",
            attr,
            code="required",
        )
    run_id = uuid_of(given)
    query = (
        select(corpus_worker_runs.c.id, corpus_worker_runs.c.process_id)
        .join(corpus_processes, corpus_processes.c.id == corpus_worker_runs.c.process_id)
        .where(
            corpus_worker_runs.c.id == run_id,
            corpus_processes.c.organisation_id == principal.organisation_id,
        )
    )
    found = connection.execute(query).one_or_none() if run_id is not None else None
    if found is None:
        raise unknown("worker run", given, attr)
    if principal.work is not None and found.process_id != _process(connection, principal.work[0]):
        raise refusal(
            f"worker_run_id: the worker run {found.id} belongs to another process than this task. "
            "A task stores results of its own process only.",
            attr,
        )
    return str(found.id)


def _process(connection: Connection, work_id: str) -> str | None:
    return connection.scalar(
        select(corpus_tasks.c.process_id).where(corpus_tasks.c.work_id == work_id)
    )


def _corpus(
    connection: Connection, organisation_id: str, corpus_id: str, *, kept: bool, alone: bool
) -> str | None:
    given = uuid_of(corpus_id)
    if given is None:
        return None
    query = select(corpora.c.id).where(
        corpora.c.id == given,
        corpora.c.organisation_id == organisation_id,
        corpora.c.deletion_id.is_(None),
    )
    if kept or alone:
        query = query.with_for_update(read=not alone, key_share=True)
    return connection.scalar(query)


@cache
def _elements(dialect: str, alone: bool) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_elements.c.id, corpus_elements.c.corpus_id)
        .join(given, given.c.id == corpus_elements.c.id)
        # In one order, so that two never wait for each other.
        .order_by(corpus_elements.c.id)
        .with_for_update(read=not alone, key_share=True, of=corpus_elements)
    )


def place(attr: Sequence[str | int]) -> str:
    """Return the path of a field as people read it: `transcriptions[2].text`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in attr)[1:]

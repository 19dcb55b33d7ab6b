"""Corpora: what an organisation keeps of documents, apart from each other."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from longshore import ids, limits
from longshore.access import Permission, Principal
from longshore.clock import iso
from longshore.edge.jobs import system_queue
from longshore.engine import works
from longshore.engine.works import NewWork
from longshore.errors import InvalidRequest
from longshore.storage import now_us
from longshore.surfaces.corpus import element_types, scope
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpora, corpus_elements, corpus_types

JOB: Final = "corpus.delete"
DESCRIPTION_CHARACTERS: Final = 10_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]
Description = Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARACTERS)]


class NewType(msgspec.Struct, frozen=True):
    """A type that a corpus is made with."""

    slug: element_types.Slug
    display_name: element_types.DisplayName | None = None
    folder: bool = False


class NewCorpus(msgspec.Struct, frozen=True):
    """Body of CreateCorpus; `types` is an addition of ours.

    A corpus is seen by its organisation alone, so that `public` can only be false.
    """

    name: Name
    description: Description = ""
    public: bool = False
    types: Annotated[list[NewType], msgspec.Meta(max_length=limits.CORPUS_TYPES)] = []


class CorpusChanges(msgspec.Struct, frozen=True):
    """Body of PartialUpdateCorpus; what is left out stays."""

    name: Name | None = None
    description: Description | None = None
    public: bool = False


def create(connection: Connection, principal: Principal, given: NewCorpus) -> str:
    """Make a corpus with its types and return its id.

    Raises:
        InvalidRequest: the name is blank or taken, a type cannot be made, or it is to be public.
    """
    name = _checked(given.name, public=given.public)
    made = ids.uuid()
    try:
        with connection.begin_nested():
            connection.execute(
                insert(corpora).values(
                    id=made,
                    organisation_id=principal.organisation_id,
                    name=name,
                    description=given.description,
                    created_us=now_us(connection),
                )
            )
    except IntegrityError as error:
        raise _taken(name) from error
    for each in given.types:
        new = element_types.NewType(
            slug=each.slug, corpus=made, display_name=each.display_name, folder=each.folder
        )
        element_types.create(connection, principal.organisation_id, new)
    return made


def listing(connection: Connection, principal: Principal) -> list[dict[str, Any]]:
    """Return the corpora of the caller's organisation, by name."""
    query = _corpora(principal.organisation_id).order_by(corpora.c.name)
    rows = connection.execute(query).all()
    types: dict[str, list[dict[str, Any]]] = {row.id: [] for row in rows}
    # Joined, not by a list of ids, which might be long.
    found = connection.execute(
        select(corpus_types)
        .join(corpora, corpora.c.id == corpus_types.c.corpus_id)
        .where(
            corpora.c.organisation_id == principal.organisation_id, corpora.c.deletion_id.is_(None)
        )
        .order_by(corpus_types.c.slug)
    )
    for each in found:
        types.setdefault(each.corpus_id, []).append(element_types.shown(each))
    return [_shown(row, types[row.id], principal) for row in rows]


def show(connection: Connection, principal: Principal, corpus_id: str) -> dict[str, Any]:
    """Return a corpus as it is sent; NotFound where there is none."""
    given = scope.corpus(connection, principal.organisation_id, corpus_id)
    row = connection.execute(_corpora(principal.organisation_id).where(corpora.c.id == given)).one()
    types = [element_types.shown(each) for each in element_types.of(connection, given)]
    return _shown(row, types, principal)


def change(
    connection: Connection, principal: Principal, corpus_id: str, given: CorpusChanges
) -> dict[str, Any]:
    """Change a corpus and return it.

    Raises:
        NotFound: there is no such corpus.
        InvalidRequest: the name is blank or taken, or it is to be public.
    """
    found = scope.corpus(connection, principal.organisation_id, corpus_id, alone=True)
    values: dict[str, str] = {}
    if given.name is not None:
        values["name"] = _checked(given.name, public=given.public)
    elif given.public:
        raise _not_public()
    if given.description is not None:
        values["description"] = given.description
    if values:
        try:
            with connection.begin_nested():
                connection.execute(update(corpora).where(corpora.c.id == found).values(values))
        except IntegrityError as error:
            raise _taken(str(given.name)) from error
    return show(connection, principal, found)


def remove(connection: Connection, principal: Principal, corpus_id: str) -> dict[str, Any]:
    """Let a corpus be deleted with all that is in it; return the job that does it.

    It is gone for everybody at once, and its name is free.

    Raises:
        NotFound: there is no such corpus.
    """
    found = scope.corpus(connection, principal.organisation_id, corpus_id, alone=True)
    payload = json.dumps({"job": JOB, "corpus_id": found}).encode()
    queue_id = system_queue(connection, principal.organisation_id)
    work = works.submit(connection, [NewWork(queue_id, payload)], actor=principal.key_name)[0]
    connection.execute(
        update(corpora)
        .where(corpora.c.id == found)
        .values(deletion_id=work.id, name=f"deleted {found}")
    )
    count = connection.scalar(select(func.count()).where(corpus_elements.c.corpus_id == found))
    return {"id": found, "work_id": work.id, "elements": count or 0}


def _corpora(organisation_id: str) -> Any:
    return select(corpora).where(
        corpora.c.organisation_id == organisation_id, corpora.c.deletion_id.is_(None)
    )


def _shown(row: Row[Any], types: list[dict[str, Any]], principal: Principal) -> dict[str, Any]:
    rights = ["read"]
    if principal.allows(Permission.WORK) or principal.allows(Permission.OPERATE):
        rights.append("write")
    if principal.allows(Permission.OPERATE):
        rights.append("admin")
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "public": False,
        "indexable": False,
        "rights": rights,
        "created": iso(row.created_us),
        "top_level_type": None,
        "types": types,
    }


def _checked(name: str, *, public: bool) -> str:
    if public:
        raise _not_public()
    if not name.strip() or not name.isprintable():
        raise refusal("name is blank or not printable. Give the corpus a name.", "name")
    return name


def _not_public() -> InvalidRequest:
    return refusal(
        "public: a corpus is seen by its organisation only. Leave it out, or give false.", "public"
    )


def _taken(name: str) -> InvalidRequest:
    message = f"There is a corpus {name!r} already. Choose another name."
    return refusal(message, "name", code="unique", also={"non_field_errors": [message]})

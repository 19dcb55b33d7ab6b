"""Entity types of a corpus, and the named entities that its texts speak of."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final
from zlib import crc32

import msgspec
from sqlalchemy import Connection, Select, func, insert, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.storage import now_us
from longshore.surfaces.corpus import scope, stamps, transcriptions
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.tables import (
    corpus_entities,
    corpus_entity_types,
    corpus_transcription_entities,
    corpus_transcriptions,
)

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]
EntityName = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.ENTITY_NAME_CHARACTERS)]
_COLOR: Final = re.compile(r"#?([0-9A-Fa-f]{6})")


class NewEntityType(msgspec.Struct, frozen=True):
    """Body of CreateEntityType; `color` is six hexadecimal digits."""

    name: Name
    corpus: str
    color: str | None = None


class NewEntity(msgspec.Struct, frozen=True):
    """Body of CreateEntity."""

    name: EntityName
    type_id: str
    corpus: str
    metas: dict[str, Any] | None = None
    validated: bool | None = None
    worker_run_id: str | None = None


def create_type(
    connection: Connection, principal: Principal, given: NewEntityType
) -> dict[str, Any]:
    """Make an entity type and return it.

    Raises:
        InvalidRequest: there is no such corpus, the name is blank, the color is none, or there is
            such a type already. The published clients then look for it among the types.
    """
    corpus_id = scope.named_corpus(connection, principal.organisation_id, given.corpus, alone=True)
    if not given.name.strip():
        raise scope.refusal("name is blank. Give the type a name.", "name", code="blank")
    color = _color(given)
    present = connection.scalar(
        select(corpus_entity_types.c.id).where(
            corpus_entity_types.c.corpus_id == corpus_id,
            corpus_entity_types.c.name == given.name,
        )
    )
    if present is not None:
        message = f"The corpus has an entity type {given.name!r} already: {present}."
        also = {"non_field_errors": [message], "existing_id": present}
        raise scope.refusal(message, "name", code="unique", also=also)
    made = {"id": ids.uuid(), "name": given.name, "color": color}
    connection.execute(insert(corpus_entity_types).values(corpus_id=corpus_id, **made))
    return {**made, "corpus": corpus_id}


def list_types(
    connection: Connection, organisation_id: str, corpus_id: str, page: Page
) -> dict[str, Any]:
    """Return a page of the entity types of a corpus, by name.

    Raises:
        NotFound: there is no such corpus, or no such page.
    """
    corpus_id = scope.corpus(connection, organisation_id, corpus_id)
    chosen = corpus_entity_types.c.corpus_id == corpus_id
    query = select(func.count()).select_from(corpus_entity_types).where(chosen)
    count = connection.scalar(query) or 0
    rows = connection.execute(
        select(corpus_entity_types)
        .where(chosen)
        .order_by(corpus_entity_types.c.name)
        .limit(page.size)
        .offset(page.offset)
    )
    return page.answer([shown_type(row.id, row.name, row.color) for row in rows], count)


def create(connection: Connection, principal: Principal, given: NewEntity) -> dict[str, Any]:
    """Make an entity and return it.

    Raises:
        InvalidRequest: the corpus, the worker run or the type does not exist, the type is of
            another corpus, or the name is blank.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    corpus_id = scope.named_corpus(connection, principal.organisation_id, given.corpus)
    if not given.name.strip():
        raise scope.refusal("name is blank. Give the entity a name.", "name", code="blank")
    types = types_of(connection, corpus_id)
    type_id = scope.uuid_of(given.type_id)
    if type_id is None or type_id not in types:
        raise scope.unknown("entity type of the corpus", given.type_id, "type_id")
    made = {"id": ids.uuid(), "name": given.name, "validated": bool(given.validated)}
    connection.execute(
        insert(corpus_entities).values(
            **made,
            corpus_id=corpus_id,
            type_id=type_id,
            metas=None if given.metas is None else msgspec.json.encode(given.metas).decode(),
            worker_run_id=run_id,
            created_us=now_us(connection),
        )
    )
    return {
        **made,
        "corpus": corpus_id,
        "type": types[type_id],
        "metas": given.metas,
        **stamps.shown(connection, [run_id])[run_id],
    }


class Wanted(msgspec.Struct, frozen=True):
    """Which entities are listed.

    Attributes:
        name: those with this in their name, in capital or small letters.
        parent: those in the transcriptions of this element and of all elements below it.
    """

    name: str | None = None
    parent: str | None = None


def listing(
    connection: Connection, organisation_id: str, corpus_id: str, wanted: Wanted, page: Page
) -> dict[str, Any]:
    """Return a page of the entities of a corpus, in the order in which they were made.

    Raises:
        NotFound: there is no such corpus, or no such page.
        InvalidRequest: there is no such parent.
    """
    corpus_id = scope.corpus(connection, organisation_id, corpus_id)
    query: Select[Any] = (
        select(
            corpus_entities,
            corpus_entity_types.c.name.label("type_name"),
            corpus_entity_types.c.color,
        )
        .join(corpus_entity_types, corpus_entity_types.c.id == corpus_entities.c.type_id)
        .where(corpus_entities.c.corpus_id == corpus_id)
    )
    if wanted.name is not None:
        query = query.where(corpus_entities.c.name.icontains(wanted.name, autoescape=True))
    if wanted.parent is not None:
        parent = scope.found_element(connection, organisation_id, wanted.parent)
        if parent is None:
            raise scope.unknown("element", wanted.parent, "parent")
        query = query.where(corpus_entities.c.id.in_(_told_below(parent.id)))
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(corpus_entities.c.id).limit(page.size).offset(page.offset)
    rows = connection.execute(query).all()
    origins = stamps.shown(connection, [row.worker_run_id for row in rows])
    return page.answer(
        [
            {
                "id": row.id,
                "name": row.name,
                "validated": row.validated,
                "corpus": corpus_id,
                "type": shown_type(row.type_id, row.type_name, row.color),
                "metas": None if row.metas is None else msgspec.json.decode(row.metas),
                **origins[row.worker_run_id],
            }
            for row in rows
        ],
        count,
    )


def types_of(connection: Connection, corpus_id: str) -> dict[str, dict[str, str]]:
    """Return the entity types of a corpus as they are shown, by their ids."""
    rows = connection.execute(
        select(corpus_entity_types).where(corpus_entity_types.c.corpus_id == corpus_id)
    )
    return {row.id: shown_type(row.id, row.name, row.color) for row in rows}


def shown_type(type_id: str, name: str, color: str) -> dict[str, str]:
    """Return an entity type as it is shown."""
    return {"id": type_id, "name": name, "color": color}


def _told_below(element_id: str) -> Select[Any]:
    spans = corpus_transcription_entities
    return (
        select(spans.c.entity_id)
        .join(corpus_transcriptions, corpus_transcriptions.c.id == spans.c.transcription_id)
        .where(corpus_transcriptions.c.element_id.in_(transcriptions.below(element_id)))
        .where(spans.c.entity_id.is_not(None))
    )


def _color(given: NewEntityType) -> str:
    """Return the color as it is kept: the one given, or one that follows from the name."""
    if given.color is None:
        return f"{crc32(given.name.encode()) & 0xFFFFFF:06x}"
    match = _COLOR.fullmatch(given.color)
    if match is None:
        raise scope.refusal(
            f"color is {given.color[:40]!r}. Give six hexadecimal digits, such as 28b62c.", "color"
        )
    return match[1].lower()

"""Entities in texts: which characters of a transcription speak of what.

The older clients name an entity; the newer ones give only its type. Both make a span, and what is
stored of it has a type in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import Column, Connection, Select, func, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import entities, scope, stamps
from longshore.surfaces.corpus.entities import EntityName
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.repeats import Said
from longshore.surfaces.corpus.scope import BY_HAND, Read
from longshore.surfaces.corpus.tables import (
    corpus_entities,
    corpus_entity_types,
    corpus_transcription_entities,
)

Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
Offset = Annotated[int, msgspec.Meta(ge=0)]
Length = Annotated[int, msgspec.Meta(ge=1)]


class _Row(NamedTuple):
    """A span as it is stored."""

    id: str
    type_id: str
    entity_id: str | None
    offset: int
    length: int
    confidence: float | None


class NewSpan(msgspec.Struct, frozen=True):
    """Body of CreateTranscriptionEntity: with `entity` as 0.4 sends it, or with `type_id` as 0.6.

    Offset and length count the characters of the text.
    """

    offset: Offset
    length: Length
    entity: str | None = None
    type_id: str | None = None
    confidence: Confidence | None = None
    worker_run_id: str | None = None


class TypedSpan(msgspec.Struct, frozen=True):
    type_id: str
    offset: Offset
    length: Length
    confidence: Confidence | None = None


class NamedSpan(msgspec.Struct, frozen=True):
    name: EntityName
    type_id: str
    offset: Offset
    length: Length
    confidence: Confidence | None = None


class NewSpans(msgspec.Struct, frozen=True):
    """Body of CreateTranscriptionEntities: `entities` in 0.4, `transcription_entities` in 0.6."""

    entities: (
        Annotated[list[NamedSpan], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)]
        | None
    ) = None
    transcription_entities: (
        Annotated[list[TypedSpan], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)]
        | None
    ) = None
    worker_run_id: str | None = None


def create(
    connection: Connection, principal: Principal, transcription_id: str, given: NewSpan
) -> dict[str, Any]:
    """Mark an entity in a text and return the span.

    Raises:
        NotFound: there is no such transcription.
        InvalidRequest: the span is not inside the text; the worker run does not exist; there is
            no such entity or type in the corpus, both are given and differ, or neither is.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    read = scope.transcription(
        connection, principal.organisation_id, transcription_id, kept=True, alone=run_id != BY_HAND
    )
    _check_place(read, given, ())
    types = entities.types_of(connection, read.corpus_id)
    entity_id, type_id = _meant(connection, read, given, types)
    row = _said(connection, read, run_id).take((type_id, entity_id, given.offset, given.length))
    if row is None:
        row = _Row(ids.uuid(), type_id, entity_id, given.offset, given.length, given.confidence)
        _insert(connection, read, run_id, [row])
    return {
        "id": row.id,
        "entity": entity_id,
        "type_id": type_id,
        "type": types[type_id],
        "offset": row.offset,
        "length": row.length,
        "confidence": row.confidence,
        **stamps.shown(connection, [run_id])[run_id],
    }


def create_many(
    connection: Connection, principal: Principal, transcription_id: str, given: NewSpans
) -> dict[str, Any]:
    """Mark many entities in a text, all or none of them; return their ids in order.

    Each item of `entities` makes an entity of its name, too.

    Raises:
        NotFound: there is no such transcription.
        InvalidRequest: as `create`; an item is given twice; both lists are given, or neither is.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    read = scope.transcription(
        connection, principal.organisation_id, transcription_id, kept=True, alone=run_id != BY_HAND
    )
    if (given.entities is None) == (given.transcription_entities is None):
        raise scope.refusal(
            "Give the entities as `transcription_entities` (with their types), or as `entities` "
            "(with their names, too); not both, and not neither.",
            "transcription_entities",
            code="required" if given.entities is None else "invalid",
        )
    types = entities.types_of(connection, read.corpus_id)
    if given.entities is None:
        assert given.transcription_entities is not None
        type_ids = _check(read, given.transcription_entities, types, "transcription_entities")
        rows = _typed(connection, read, run_id, given.transcription_entities, type_ids)
    else:
        type_ids = _check(read, given.entities, types, "entities")
        rows = _named(connection, read, run_id, given.entities, type_ids)
    return {
        "worker_run_id": run_id or None,
        "entities": [
            {"transcription_entity_id": row.id, "entity_id": row.entity_id} for row in rows
        ],
        # The newer clients give back ids here.
        "transcription_entities": [row.id for row in rows],
    }


def listing(
    connection: Connection,
    organisation_id: str,
    transcription_id: str,
    worker_run: str | None,
    worker_version: str | None,
    page: Page,
) -> dict[str, Any]:
    """Return a page of the spans of a text, from its beginning to its end.

    `worker_run` and `worker_version` are ids, or "False" for what people made.

    Raises:
        NotFound: there is no such transcription, or no such page.
        InvalidRequest: a filter cannot be used.
    """
    read = scope.transcription(connection, organisation_id, transcription_id)
    spans = corpus_transcription_entities
    query: Select[Any] = (
        select(
            spans,
            corpus_entity_types.c.name.label("type_name"),
            corpus_entity_types.c.color,
            corpus_entities.c.name.label("entity_name"),
            corpus_entities.c.metas,
            corpus_entities.c.validated,
        )
        .join(corpus_entity_types, corpus_entity_types.c.id == spans.c.type_id)
        .outerjoin(corpus_entities, corpus_entities.c.id == spans.c.entity_id)
        .where(spans.c.transcription_id == read.id)
    )
    query = stamps.narrowed(query, spans.c.worker_run_id, worker_run, worker_version)
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(spans.c.offset, spans.c.id).limit(page.size).offset(page.offset)
    rows = connection.execute(query).all()
    origins = stamps.shown(connection, [row.worker_run_id for row in rows])
    return page.answer([_shown(row, origins[row.worker_run_id]) for row in rows], count)


def _shown(row: Any, origin: Mapping[str, Any]) -> dict[str, Any]:
    kind = entities.shown_type(row.type_id, row.type_name, row.color)
    entity = None
    if row.entity_id is not None:
        entity = {
            "id": row.entity_id,
            "name": row.entity_name,
            "type": kind,
            "metas": None if row.metas is None else msgspec.json.decode(row.metas),
            "validated": row.validated,
        }
    return {
        "id": row.id,
        "entity": entity,
        "type_id": row.type_id,
        "type": kind,
        "offset": row.offset,
        "length": row.length,
        "confidence": row.confidence,
        **origin,
    }


def _meant(
    connection: Connection, read: Read, given: NewSpan, types: Mapping[str, Any]
) -> tuple[str | None, str]:
    """Return the entity, or None, and the type of a span."""
    if given.entity is None:
        if given.type_id is None:
            raise scope.refusal(
                "type_id: give the type of the entity, or as `entity` the id of one that there is.",
                "type_id",
                code="required",
            )
        return None, _type(given.type_id, types, ())
    entity_id = scope.uuid_of(given.entity)
    type_id = connection.scalar(
        select(corpus_entities.c.type_id)
        .where(corpus_entities.c.id == entity_id, corpus_entities.c.corpus_id == read.corpus_id)
        .with_for_update(read=True, key_share=True)
    )
    if type_id is None:
        raise scope.unknown("entity of the transcription's corpus", given.entity, "entity")
    if given.type_id is not None and scope.uuid_of(given.type_id) != type_id:
        raise scope.refusal(
            f"type_id: the entity {entity_id} is of type {type_id}. Leave the type out.", "type_id"
        )
    return entity_id, type_id


def _check(
    read: Read, spans: Sequence[TypedSpan | NamedSpan], types: Mapping[str, Any], field: str
) -> list[str]:
    """Return the types of many spans; raise InvalidRequest where one cannot be stored."""
    type_ids = []
    seen = set()
    for index, span in enumerate(spans):
        _check_place(read, span, (field, index))
        type_ids.append(_type(span.type_id, types, (field, index)))
        name = None
        if isinstance(span, NamedSpan):
            name = span.name
            if not name.strip():
                message = f"{field}[{index}].name is blank. Give the entity a name."
                raise scope.refusal(message, field, index, "name", code="blank")
        same = (type_ids[-1], name, span.offset, span.length)
        if same in seen:
            raise scope.refusal(
                f"{field}[{index}] is there twice. Give each entity of a text once.",
                field,
                index,
                code="unique",
            )
        seen.add(same)
    return type_ids


def _check_place(
    read: Read, span: NewSpan | TypedSpan | NamedSpan, place: tuple[str | int, ...]
) -> None:
    size = len(read.text)
    if span.offset >= size:
        raise scope.refusal(
            f"offset: the text has {size} characters, and the entity begins at {span.offset}. "
            "Characters are counted from 0.",
            *place,
            "offset",
        )
    if span.offset + span.length > size:
        raise scope.refusal(
            f"length: the text has {size} characters, and the entity ends at "
            f"{span.offset + span.length}.",
            *place,
            "length",
        )


def _type(given: str, types: Mapping[str, Any], place: tuple[str | int, ...]) -> str:
    type_id = scope.uuid_of(given)
    if type_id is None or type_id not in types:
        raise scope.unknown("entity type of the transcription's corpus", given, *place, "type_id")
    return type_id


def _typed(
    connection: Connection,
    read: Read,
    run_id: str,
    spans: Sequence[TypedSpan],
    type_ids: Sequence[str],
) -> list[_Row]:
    """Store spans without entities and return them in order."""
    said = _said(connection, read, run_id)
    rows, new = [], []
    for span, type_id in zip(spans, type_ids, strict=True):
        row = said.take((type_id, None, span.offset, span.length))
        if row is None:
            row = _Row(ids.uuid(), type_id, None, span.offset, span.length, span.confidence)
            new.append(row)
        rows.append(row)
    _insert(connection, read, run_id, new)
    return rows


def _named(
    connection: Connection,
    read: Read,
    run_id: str,
    spans: Sequence[NamedSpan],
    type_ids: Sequence[str],
) -> list[_Row]:
    """Store spans and an entity for each, and return the spans in order."""
    said = _said_by_name(connection, read, run_id)
    rows, new, made = [], [], []
    for span, type_id in zip(spans, type_ids, strict=True):
        row = said.take((type_id, span.name, span.offset, span.length))
        if row is None:
            entity_id = ids.uuid()
            made.append((entity_id, type_id, span.name))
            row = _Row(ids.uuid(), type_id, entity_id, span.offset, span.length, span.confidence)
            new.append(row)
        rows.append(row)
    same = {
        "corpus_id": read.corpus_id,
        "metas": None,
        "validated": False,
        "worker_run_id": run_id,
        "created_us": now_us(connection),
    }
    insert_rows(connection, corpus_entities, ("id", "type_id", "name"), made, same=same)
    _insert(connection, read, run_id, new)
    return rows


def _said(
    connection: Connection, read: Read, run_id: str
) -> Said[tuple[str, str | None, int, int], _Row]:
    if run_id == BY_HAND:
        return Said()
    rows = [_Row(*row) for row in connection.execute(_stored(read, run_id))]
    return Said(((row.type_id, row.entity_id, row.offset, row.length), row) for row in rows)


def _said_by_name(
    connection: Connection, read: Read, run_id: str
) -> Said[tuple[str, str, int, int], _Row]:
    if run_id == BY_HAND:
        return Said()
    query = _stored(read, run_id, corpus_entities.c.name).join(
        corpus_entities, corpus_entities.c.id == corpus_transcription_entities.c.entity_id
    )
    found = [(_Row(*row[:-1]), row[-1]) for row in connection.execute(query)]
    return Said(((row.type_id, name, row.offset, row.length), row) for row, name in found)


def _stored(read: Read, run_id: str, *more: Column[Any]) -> Select[Any]:
    spans = corpus_transcription_entities.c
    return (
        select(*(spans[name] for name in _Row._fields), *more)
        .where(spans.transcription_id == read.id, spans.worker_run_id == run_id)
        .order_by(spans.id)
    )


def _insert(connection: Connection, read: Read, run_id: str, rows: Sequence[_Row]) -> None:
    same = {
        "transcription_id": read.id,
        "worker_run_id": run_id,
        "created_us": now_us(connection),
    }
    insert_rows(connection, corpus_transcription_entities, _Row._fields, rows, same=same)

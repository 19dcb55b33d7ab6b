"""Metadata of elements: named values, such as a date or the shelf mark of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Connection, Select, literal, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.storage import now_us
from longshore.storage.bulk import insert_rows
from longshore.surfaces.corpus import entities, parents, scope, stamps
from longshore.surfaces.corpus.repeats import Said
from longshore.surfaces.corpus.scope import BY_HAND, Target
from longshore.surfaces.corpus.tables import (
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
)


class Kind(StrEnum):
    """What a value is; `html` is known to the older clients only, `markdown` to the newer ones."""

    TEXT = "text"
    HTML = "html"
    MARKDOWN = "markdown"
    DATE = "date"
    LOCATION = "location"
    REFERENCE = "reference"
    NUMERIC = "numeric"
    URL = "url"


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]
Value = str | int | float
_COLUMNS: Final = ("id", "type", "name", "value", "entity_id")


class NewMetadata(msgspec.Struct, frozen=True):
    """Body of CreateMetaData. A number as value is kept as the text that it is in JSON."""

    type: Kind
    name: Name
    value: Value
    entity_id: str | None = None
    worker_run_id: str | None = None


class OneOfMany(msgspec.Struct, frozen=True):
    type: Kind
    name: Name
    value: Value
    entity_id: str | None = None


class NewMetadataList(msgspec.Struct, frozen=True):
    """Body of CreateMetaDataBulk."""

    metadata_list: Annotated[
        list[OneOfMany], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)
    ]
    worker_run_id: str | None = None


def create(
    connection: Connection, principal: Principal, element_id: str, given: NewMetadata
) -> dict[str, Any]:
    """Give an element a metadata and return it.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: the name or the value is blank, the value is not of its type, the worker
            run does not exist, or the entity does not exist in the element's corpus.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.element(
        connection, principal.organisation_id, element_id, kept=True, alone=run_id != BY_HAND
    )
    one = OneOfMany(given.type, given.name, given.value, given.entity_id)
    made = _insert(connection, target, run_id, [one], ())[0]
    return {**made, **stamps.shown(connection, [run_id])[run_id]}


def create_many(
    connection: Connection, principal: Principal, element_id: str, given: NewMetadataList
) -> dict[str, Any]:
    """Give an element several metadata, all or none of them; return them in order.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: as `create`.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.element(
        connection, principal.organisation_id, element_id, kept=True, alone=run_id != BY_HAND
    )
    made = _insert(connection, target, run_id, given.metadata_list, ("metadata_list",))
    return {"worker_run_id": run_id or None, "metadata_list": made}


def listing(
    connection: Connection, organisation_id: str, element_id: str, *, load_parents: bool
) -> list[dict[str, Any]]:
    """Return the metadata of an element, in the order in which they were made.

    With `load_parents`, those of all elements above it come, too.

    Raises:
        NotFound: there is no such element.
    """
    target = scope.element(connection, organisation_id, element_id)
    query: Select[Any] = (
        select(
            corpus_metadata,
            corpus_entities.c.name.label("entity_name"),
            corpus_entities.c.type_id,
            corpus_entity_types.c.name.label("type_name"),
            corpus_entity_types.c.color,
        )
        .outerjoin(corpus_entities, corpus_entities.c.id == corpus_metadata.c.entity_id)
        .outerjoin(corpus_entity_types, corpus_entity_types.c.id == corpus_entities.c.type_id)
        .order_by(corpus_metadata.c.id)
    )
    if load_parents:
        tree = select(literal(target.id).label("id")).union(parents.above(target.id))
        query = query.where(corpus_metadata.c.element_id.in_(tree))
    else:
        query = query.where(corpus_metadata.c.element_id == target.id)
    rows = connection.execute(query).all()
    origins = stamps.shown(connection, [row.worker_run_id for row in rows])
    return [
        {
            "id": row.id,
            "element_id": row.element_id,
            "type": row.type,
            "name": row.name,
            "value": row.value,
            "dates": [],
            "entity": _entity(row),
            **origins[row.worker_run_id],
        }
        for row in rows
    ]


def _entity(row: Any) -> dict[str, Any] | None:
    if row.type_id is None:
        return None
    kind = entities.shown_type(row.type_id, row.type_name, row.color)
    return {"id": row.entity_id, "name": row.entity_name, "type": kind}


def _insert(
    connection: Connection,
    target: Target,
    run_id: str,
    given: Sequence[OneOfMany],
    place: tuple[str, ...],
) -> list[dict[str, Any]]:
    rows = []
    for index, each in enumerate(given):
        attr: tuple[str | int, ...] = (*place, index) if place else ()
        if not each.name.strip():
            raise scope.refusal(
                "name is blank. Give the metadata a name.", *attr, "name", code="blank"
            )
        rows.append((each.type.value, each.name, _text(each, attr), _meant(each, attr)))
    _check_entities(connection, target, [row[-1] for row in rows], place)
    said = _said(connection, target, run_id)
    made = [(said.take(row), row) for row in rows]
    stored = [(known or ids.uuid(), *row) for known, row in made]
    new = [row for (known, _), row in zip(made, stored, strict=True) if known is None]
    same = {
        "element_id": target.id,
        "worker_run_id": run_id,
        "created_us": now_us(connection),
    }
    insert_rows(connection, corpus_metadata, _COLUMNS, new, same=same)
    return [{**dict(zip(_COLUMNS, row, strict=True)), "dates": []} for row in stored]


def _said(
    connection: Connection, target: Target, run_id: str
) -> Said[tuple[str, str, str, str | None], str]:
    if run_id == BY_HAND:
        return Said()
    stored = corpus_metadata.c
    found = connection.execute(
        select(stored.id, stored.type, stored.name, stored.value, stored.entity_id)
        .where(stored.element_id == target.id, stored.worker_run_id == run_id)
        .order_by(stored.id)
    )
    return Said(((row.type, row.name, row.value, row.entity_id), row.id) for row in found)


def _text(given: OneOfMany, attr: tuple[str | int, ...]) -> str:
    """Return a value as it is kept; raise InvalidRequest where it is not of its type."""
    text = (
        given.value if isinstance(given.value, str) else msgspec.json.encode(given.value).decode()
    )
    if not text.strip():
        raise scope.refusal("value is blank. Leave the metadata out.", *attr, "value", code="blank")
    if len(text) > limits.RESULT_TEXT_CHARACTERS:
        raise scope.refusal(
            f"value has {len(text)} characters and may have {limits.RESULT_TEXT_CHARACTERS}.",
            *attr,
            "value",
            code="max_length",
        )
    if given.type is Kind.NUMERIC and not _is_number(text):
        raise scope.refusal(
            f"value: {text[:80]!r} is no number. Give one, or another type than numeric.",
            *attr,
            "value",
        )
    if given.type is Kind.URL and not _is_address(text):
        raise scope.refusal(
            f"value: {text[:80]!r} is no address that begins with http:// or https://.",
            *attr,
            "value",
        )
    return text


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _meant(given: OneOfMany, attr: tuple[str | int, ...]) -> str | None:
    if given.entity_id is None:
        return None
    found = scope.uuid_of(given.entity_id)
    if found is None:
        raise scope.unknown("entity", given.entity_id, *attr, "entity_id")
    return found


def _check_entities(
    connection: Connection,
    target: Target,
    entity_ids: Sequence[str | None],
    place: tuple[str, ...],
) -> None:
    wanted = {each for each in entity_ids if each is not None}
    if not wanted:
        return
    query = select(corpus_entities.c.id).where(corpus_entities.c.corpus_id == target.corpus_id)
    if len(wanted) <= scope.FEW:
        query = query.where(corpus_entities.c.id.in_(wanted))
    known = set(connection.scalars(query.with_for_update(read=True, key_share=True)))
    for index, each in enumerate(entity_ids):
        if each is not None and each not in known:
            attr: tuple[str | int, ...] = (*place, index) if place else ()
            raise scope.unknown("entity of the element's corpus", each, *attr, "entity_id")

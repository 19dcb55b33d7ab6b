"""Zones of an element that are made together with what is read on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from longshore import limits
from longshore.access import Principal
from longshore.surfaces.corpus import creating, element_types, polygons, scope, transcriptions
from longshore.surfaces.corpus.creating import Described, NewElements
from longshore.surfaces.corpus.tables import (
    corpus_elements,
    corpus_images,
    corpus_paths,
)
from longshore.surfaces.corpus.transcriptions import Confidence, Orientation, ResultText, Text


class Zone(msgspec.Struct, frozen=True):
    """A zone and its text; `polygon` has pixels of the image of the element above."""

    polygon: list[list[float]]
    text: ResultText
    confidence: Confidence | None = None
    orientation: Orientation = Orientation.HORIZONTAL_LEFT_TO_RIGHT
    element_confidence: Confidence | None = None


class NewZones(msgspec.Struct, frozen=True):
    """Body of CreateElementTranscriptions.

    The protocol's `return_elements` is not looked at: what it asks for is what is returned.
    """

    element_type: str
    transcriptions: Annotated[
        list[Zone], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)
    ]
    worker_run_id: str | None = None


class _Parent(NamedTuple):
    id: str
    image_id: str
    width: int
    height: int


def create(
    connection: Connection, principal: Principal, element_id: str, given: NewZones
) -> list[dict[str, Any]]:
    """Give an element zones with texts, all or none of them; tell of them in order.

    A zone of the type and with the polygon that the element has already is used again, with
    `created` false.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: the element has no image; the worker run or the type does not exist; a
            polygon, a text or a confidence cannot be used.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    # Others that give this element zones wait, so that the same zone is not made twice.
    target = scope.element(connection, principal.organisation_id, element_id, alone=True)
    parent = _parent(connection, target.id)
    slug = given.element_type
    type_id = element_types.named(connection, target.corpus_id, {slug: ("element_type",)})[slug]
    shapes = _shapes(parent, run_id, given.transcriptions)
    elements = _present(connection, parent, type_id, shapes)
    new = _missing(shapes, given.transcriptions, elements)
    made = _make(connection, principal, parent, given, new)
    elements.update(made)
    texts = [
        Text(elements[shape], zone.text, zone.confidence, zone.orientation.value)
        for shape, zone in zip(shapes, given.transcriptions, strict=True)
    ]
    told = []
    for shape, row in zip(shapes, transcriptions.insert(connection, run_id, texts), strict=True):
        # A zone that is given several times was made for the first of them.
        created = made.pop(shape, None) is not None
        told.append({"id": row["id"], "element_id": row["element_id"], "created": created})
    return told


def _parent(connection: Connection, element_id: str) -> _Parent:
    row = connection.execute(
        select(
            corpus_elements.c.id,
            corpus_elements.c.image_id,
            corpus_images.c.width,
            corpus_images.c.height,
        )
        .join(corpus_images, corpus_images.c.id == corpus_elements.c.image_id)
        .where(corpus_elements.c.id == element_id)
    ).one_or_none()
    if row is None:
        raise scope.refusal(
            f"The element {element_id} has no image, so that it can have no zones. Give the text to "
            "the element itself, or make elements without zones for it."
        )
    return _Parent(*row)


def _shapes(parent: _Parent, run_id: str, zones: Sequence[Zone]) -> list[str]:
    """Return the polygons as they are stored; raise InvalidRequest where a zone cannot be used."""
    shapes = []
    for index, zone in enumerate(zones):
        attr = ("transcriptions", index)
        shapes.append(polygons.checked(zone.polygon, parent.width, parent.height, *attr, "polygon"))
        transcriptions.check_text(run_id, zone.text, zone.confidence, attr)
    return shapes


def _present(
    connection: Connection, parent: _Parent, type_id: str, shapes: Sequence[str]
) -> dict[str, str]:
    """Return the zones of the parent that there are already: ids by polygon."""
    # All zones of the type are looked at: a database that has no index of polygons, and cannot know
    # how many are given, may compare each with each.
    found = connection.execute(
        select(corpus_elements.c.id, corpus_elements.c.polygon)
        .join(corpus_paths, corpus_paths.c.child_id == corpus_elements.c.id)
        .where(
            corpus_paths.c.parent_id == parent.id,
            corpus_elements.c.type_id == type_id,
            corpus_elements.c.image_id == parent.image_id,
        )
        # Of several with the same polygon, the oldest comes last and is taken.
        .order_by(corpus_elements.c.id.desc())
    )
    wanted = set(shapes)
    return {row.polygon: row.id for row in found if row.polygon in wanted}


def _missing(
    shapes: Sequence[str], zones: Sequence[Zone], present: Mapping[str, str]
) -> dict[str, Zone]:
    new: dict[str, Zone] = {}
    for shape, zone in zip(shapes, zones, strict=True):
        if shape not in present:
            new.setdefault(shape, zone)
    return new


def _make(
    connection: Connection,
    principal: Principal,
    parent: _Parent,
    given: NewZones,
    new: Mapping[str, Zone],
) -> dict[str, str]:
    """Make elements of these polygons below the parent; return their ids by polygon."""
    if not new:
        return {}
    first = creating.next_position(connection, parent.id) + 1
    described = [
        Described(
            type=given.element_type,
            name=str(first + index),
            polygon=zone.polygon,
            confidence=zone.element_confidence,
        )
        for index, zone in enumerate(new.values())
    ]
    wanted = NewElements(described, given.worker_run_id)
    made = creating.create_many(connection, principal, parent.id, wanted)
    return {shape: each["id"] for shape, each in zip(new, made, strict=True)}

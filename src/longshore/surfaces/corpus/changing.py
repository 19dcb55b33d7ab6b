"""Changing an element: its name, its type, and its place on an image."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, Row, select, update

from longshore.access import Principal
from longshore.storage import now_us
from longshore.surfaces.corpus import creating, element_types, images, parents, polygons, scope
from longshore.surfaces.corpus.creating import Angle, Confidence, ElementName, Polygon
from longshore.surfaces.corpus.scope import refusal
from longshore.surfaces.corpus.tables import corpus_elements


class Changes(msgspec.Struct, frozen=True):
    """Body of PartialUpdateElement; what is left out stays.

    Attributes:
        image: another image, whose whole is the place where no polygon is given; null for none.
        polygon: another place on the image; null for all of it.
        rotation_angle: in degrees clockwise. Elements below on the same image that are turned like
            this one are turned with it, and the same goes for `mirrored`.
    """

    type: str | UnsetType = UNSET
    name: ElementName | UnsetType = UNSET
    image: str | UnsetType | None = UNSET
    polygon: Polygon | UnsetType | None = UNSET
    confidence: Confidence | UnsetType | None = UNSET
    rotation_angle: Angle | UnsetType = UNSET
    mirrored: bool | UnsetType = UNSET


def change(connection: Connection, principal: Principal, element_id: str, given: Changes) -> str:
    """Change an element and return its id.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: its corpus has no such type, there is no such image, or the name or the
            polygon cannot be used.
    """
    target = scope.element(connection, principal.organisation_id, element_id, alone=True)
    row = connection.execute(select(corpus_elements).where(corpus_elements.c.id == target.id)).one()
    values: dict[str, Any] = {}
    if given.type is not UNSET:
        types = element_types.named(connection, target.corpus_id, {given.type: ("type",)})
        values["type_id"] = types[given.type]
    if given.name is not UNSET:
        values["name"] = creating.checked_name(given.name, "name")
    if given.confidence is not UNSET:
        values["confidence"] = given.confidence
    if given.rotation_angle is not UNSET:
        values["rotation_angle"] = given.rotation_angle
    if given.mirrored is not UNSET:
        values["mirrored"] = given.mirrored
    values |= _place(connection, principal.organisation_id, row, given)
    at_us = now_us(connection)
    connection.execute(
        update(corpus_elements)
        .where(corpus_elements.c.id == row.id)
        .values(**values, updated_us=at_us)
    )
    turned: dict[str, Any] = {
        name: values[name] for name in ("rotation_angle", "mirrored") if name in values
    }
    if turned and row.image_id is not None:
        _turn_below(connection, row, turned, at_us)
    return target.id


def _place(
    connection: Connection, organisation_id: str, row: Row[Any], given: Changes
) -> dict[str, Any]:
    if given.image is UNSET and given.polygon is UNSET:
        return {}
    image_id = row.image_id if given.image is UNSET else given.image
    if image_id is None:
        if given.polygon is not UNSET and given.polygon is not None:
            raise refusal(
                "polygon: the element has no image for it. Give it an image, too.", "polygon"
            )
        return {"image_id": None, "polygon": None}
    image = images.named(connection, organisation_id, image_id)
    if given.polygon is UNSET or given.polygon is None:
        zone = creating.whole(image.width, image.height)
        if given.polygon is UNSET and image.id == row.image_id:
            zone = row.polygon
    else:
        zone = polygons.checked(given.polygon, image.width, image.height, "polygon")
    return {"image_id": image.id, "polygon": zone}


def _turn_below(connection: Connection, row: Row[Any], turned: dict[str, Any], at_us: int) -> None:
    # They were read the same way up as this one; those that were not have a turn of their own.
    columns = corpus_elements.c
    connection.execute(
        update(corpus_elements)
        .where(
            columns.id.in_(parents.below(connection, row.id)),
            columns.image_id == row.image_id,
            columns.rotation_angle == row.rotation_angle,
            columns.mirrored == row.mirrored,
        )
        .values(**turned, updated_us=at_us)
    )

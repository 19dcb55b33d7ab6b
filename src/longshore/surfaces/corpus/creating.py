"""Making elements: one with its place, or many below another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, Text, bindparam, func, select

from longshore import ids, limits
from longshore.access import Principal
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus import element_types, polygons, scope
from longshore.surfaces.corpus.repeats import Said
from longshore.surfaces.corpus.scope import BY_HAND, refusal
from longshore.surfaces.corpus.tables import corpus_elements, corpus_images, corpus_paths

ElementName = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.NAME_CHARACTERS)]
Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
Angle = Annotated[int, msgspec.Meta(ge=0, le=359)]
Polygon = list[list[float]]
_COLUMNS: Final = (
    "id", "type_id", "name", "image_id", "polygon", "confidence", "rotation_angle", "mirrored",
)  # fmt: skip


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """An element that is to be made.

    Attributes:
        type: the slug of a type of its corpus.
        image: the id of its image; that of the element above it where only a polygon is given.
        polygon: [x, y] in pixels of the image as it is stored; all of it where none is given.
        confidence: how sure the worker is that there is such an element, from 0 to 1.
        rotation_angle: how the image has to be turned clockwise to be read, in degrees; as the
            element above it on the same image where it is not given.
        mirrored: whether it has to be mirrored before; likewise.
    """

    type: str
    name: ElementName
    image: str | None = None
    polygon: Polygon | None = None
    confidence: Confidence | None = None
    rotation_angle: Angle | None = None
    mirrored: bool | None = None


class NewElement(Described, frozen=True, kw_only=True):
    """Body of CreateElement."""

    corpus: str
    parent: str | None = None
    worker_run_id: str | None = None


class NewElements(msgspec.Struct, frozen=True):
    """Body of CreateElements."""

    elements: Annotated[
        list[Described], msgspec.Meta(min_length=1, max_length=limits.ELEMENTS_PER_CALL)
    ]
    worker_run_id: str | None = None


class _Parent(NamedTuple):
    id: str
    image_id: str | None
    rotation_angle: int
    mirrored: bool


class _Size(NamedTuple):
    width: int
    height: int


def create(connection: Connection, principal: Principal, given: NewElement) -> str:
    """Make an element and return its id; see `create_many` for what was made before.

    Raises:
        InvalidRequest: the corpus, its type, the image, the parent or the worker run does not
            exist, the parent is in another corpus, or the name or the polygon cannot be used.
    """
    organisation_id = principal.organisation_id
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    corpus_id = scope.named_corpus(connection, organisation_id, given.corpus, kept=True)
    parent = None
    if given.parent is not None:
        target = scope.named_element(connection, organisation_id, given.parent, "parent")
        if target.corpus_id != corpus_id:
            raise refusal(
                f"parent: the element {target.id} is in another corpus, {target.corpus_id}. An "
                "element and those above it are in the same one.",
                "parent",
            )
        parent = target.id
    return _make(connection, principal, corpus_id, run_id, parent, [given], ())[0]


def create_many(
    connection: Connection, principal: Principal, element_id: str, given: NewElements
) -> list[dict[str, str]]:
    """Make elements below another, all or none of them; return their ids in order.

    What a worker run has made there before with the same type, name and place is not made again.

    Raises:
        NotFound: there is no such element above them.
        InvalidRequest: as `create`.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    # Others that put elements below this one wait, so that each has a place of its own.
    target = scope.element(connection, principal.organisation_id, element_id, alone=True)
    made = _make(
        connection, principal, target.corpus_id, run_id, target.id, given.elements, ("elements",)
    )
    return [{"id": each} for each in made]


def checked_name(name: str, *attr: str | int) -> str:
    """Return the name of an element; raise InvalidRequest where it is blank."""
    if not name.strip():
        raise refusal(f"{scope.place(attr)} is blank. Give a name.", *attr, code="blank")
    return name


def whole(width: int, height: int) -> str:
    """Return the polygon of a whole image, as it is stored."""
    ring = [[0, 0], [width, 0], [width, height], [0, height], [0, 0]]
    return msgspec.json.encode(ring).decode()


def next_position(connection: Connection, parent_id: str) -> int:
    """Return the place behind the last element below another, which is locked."""
    last = connection.scalar(
        select(func.max(corpus_paths.c.position)).where(corpus_paths.c.parent_id == parent_id)
    )
    return 0 if last is None else int(last) + 1


def _make(
    connection: Connection,
    principal: Principal,
    corpus_id: str,
    run_id: str,
    parent_id: str | None,
    elements: Sequence[Described],
    place: tuple[str, ...],
) -> list[str]:
    parent = _parent(connection, parent_id) if parent_id is not None else None
    rows = _rows(connection, principal.organisation_id, corpus_id, parent, elements, place)
    at_us = now_us(connection)
    same = {
        "corpus_id": corpus_id,
        "worker_run_id": run_id,
        "creator": principal.key_name,
        "created_us": at_us,
        "updated_us": at_us,
    }
    if parent is None:
        insert_rows(connection, corpus_elements, _COLUMNS, rows, same=same)
        return [str(row[0]) for row in rows]
    first = next_position(connection, parent.id)
    # Where nothing is below yet, nothing can have been made before.
    said = _said(connection, run_id, parent.id, rows) if first and run_id != BY_HAND else Said()
    made, new = [], []
    for row in rows:
        known = said.take(row[1:5])
        made.append(known or str(row[0]))
        if known is None:
            new.append(row)
    insert_rows(connection, corpus_elements, _COLUMNS, new, same=same)
    paths = [(row[0], first + index) for index, row in enumerate(new)]
    below = {"parent_id": parent.id}
    insert_rows(connection, corpus_paths, ("child_id", "position"), paths, same=below)
    return made


def _said(
    connection: Connection, run_id: str, parent_id: str, rows: Sequence[tuple[Any, ...]]
) -> Said[tuple[Any, ...], str]:
    """Return what a worker run has put below an element with these names before."""
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in {row[2] for row in rows}], 1)
    stored = connection.execute(
        _named_below(dialect), {**given, "parent_id": parent_id, "worker_run_id": run_id}
    )
    return Said((tuple(row[1:5]), row.id) for row in stored)


def _rows(
    connection: Connection,
    organisation_id: str,
    corpus_id: str,
    parent: _Parent | None,
    elements: Sequence[Described],
    place: tuple[str, ...],
) -> list[tuple[Any, ...]]:
    def attr(index: int, field: str) -> tuple[str | int, ...]:
        return (*place, index, field) if place else (field,)

    slugs: dict[str, tuple[str | int, ...]] = {}
    wanted: dict[str, tuple[str | int, ...]] = {}
    above = parent.image_id if parent is not None else None
    chosen: list[str | None] = []
    for index, element in enumerate(elements):
        slugs.setdefault(element.type, attr(index, "type"))
        checked_name(element.name, *attr(index, "name"))
        image_id = _image_of(element, above, attr(index, "image"), attr(index, "polygon"))
        if image_id is not None:
            wanted.setdefault(image_id, attr(index, "image"))
        chosen.append(image_id)
    types = element_types.named(connection, corpus_id, slugs)
    sizes = _sizes(connection, organisation_id, wanted)
    rows: list[tuple[Any, ...]] = []
    for index, (element, image_id) in enumerate(zip(elements, chosen, strict=True)):
        zone = None
        if image_id is not None:
            size = sizes[image_id]
            if element.polygon is None:
                zone = whole(*size)
            else:
                zone = polygons.checked(element.polygon, *size, *attr(index, "polygon"))
        angle, mirrored = _turned(element, image_id, parent)
        rows.append(
            (
                ids.uuid(), types[element.type], element.name, image_id, zone, element.confidence,
                angle, mirrored,
            )
        )  # fmt: skip
    return rows


def _image_of(
    element: Described,
    above: str | None,
    attr: tuple[str | int, ...],
    polygon_attr: tuple[str | int, ...],
) -> str | None:
    if element.image is not None:
        found = scope.uuid_of(element.image)
        if found is None:
            raise scope.unknown("image", element.image, *attr)
        return found
    if element.polygon is None:
        return None
    if above is None:
        raise refusal(
            f"{scope.place(polygon_attr)} is given without an image, and the element above has "
            "none. Name the image, or make the element without a polygon.",
            *polygon_attr,
        )
    return above


def _turned(element: Described, image_id: str | None, parent: _Parent | None) -> tuple[int, bool]:
    angle, mirrored = 0, False
    if parent is not None and image_id is not None and image_id == parent.image_id:
        angle, mirrored = parent.rotation_angle, parent.mirrored
    return (
        angle if element.rotation_angle is None else element.rotation_angle,
        mirrored if element.mirrored is None else element.mirrored,
    )


def _parent(connection: Connection, element_id: str) -> _Parent:
    columns = corpus_elements.c
    row = connection.execute(
        select(columns.id, columns.image_id, columns.rotation_angle, columns.mirrored).where(
            columns.id == element_id
        )
    ).one()
    return _Parent(*row)


def _sizes(
    connection: Connection, organisation_id: str, wanted: Mapping[str, tuple[str | int, ...]]
) -> dict[str, _Size]:
    """Return the sizes of images, which outlive this transaction."""
    if not wanted:
        return {}
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in wanted], 1)
    rows = connection.execute(_images(dialect), {**given, "organisation_id": organisation_id})
    found = {row.id: _Size(row.width, row.height) for row in rows}
    for image_id, attr in wanted.items():
        if image_id not in found:
            raise scope.unknown("image", image_id, *attr)
    return found


@cache
def _named_below(dialect: str) -> Select[Any]:
    given = given_rows(dialect, name=Text)
    columns = corpus_elements.c
    return (
        select(*(columns[name] for name in _COLUMNS[:5]))
        .join(corpus_paths, corpus_paths.c.child_id == columns.id)
        .where(
            corpus_paths.c.parent_id == bindparam("parent_id"),
            columns.worker_run_id == bindparam("worker_run_id"),
            columns.name.in_(select(given.c.name)),
        )
        .order_by(columns.id)
    )


@cache
def _images(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_images.c.id, corpus_images.c.width, corpus_images.c.height)
        .join(given, given.c.id == corpus_images.c.id)
        .where(corpus_images.c.organisation_id == bindparam("organisation_id"))
        .with_for_update(read=True, key_share=True, of=corpus_images)
    )

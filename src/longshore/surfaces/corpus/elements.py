"""Elements as they are told of: their places on images, and what goes with them where wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, Select, Text, select

from longshore.clock import iso
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import images, scope, stamps
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_classes,
    corpus_classifications,
    corpus_elements,
    corpus_metadata,
    corpus_paths,
    corpus_types,
)

THUMBNAIL_PIXELS: Final = 400
"""Height of a thumbnail, in pixels."""


class Extras(NamedTuple):
    """What is told of elements besides what is in their own rows; the rest is null."""

    classes: bool = False
    corpus: bool = True
    metadata: bool = False
    has_children: bool = False
    zone: bool = True


PLAIN: Final = Extras()
ALL: Final = Extras(classes=True, metadata=True, has_children=True)


def shown(
    connection: Connection, element_ids: Sequence[str], site: str, extras: Extras = PLAIN
) -> dict[str, dict[str, Any]]:
    """Return elements as they are sent, by id, whose ever they are: for ids that were checked.

    Those that do not exist are left out.

    Args:
        connection: of the transaction.
        element_ids: any number of them.
        site: scheme and host of this server, for the addresses of images.
        extras: what else is told.
    """
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    rows = connection.execute(_chosen(dialect), given).all()
    found = [row.id for row in rows]
    on_images = {row.image_id for row in rows if row.image_id is not None}
    known_images = images.of(connection, on_images) if extras.zone and on_images else {}
    names = _corpora(connection, {row.corpus_id for row in rows}) if extras.corpus else {}
    origins = stamps.shown(connection, {row.worker_run_id for row in rows})
    classes = _classes(connection, found) if extras.classes else {}
    metadata = _metadata(connection, found) if extras.metadata else {}
    parents = _parents(connection, found) if extras.has_children else set()
    made = {}
    for row in rows:
        image = known_images.get(row.image_id)
        made[row.id] = {
            **_plain(row),
            **_places(row, image, site),
            **_origin(origins[row.worker_run_id]),
            "corpus": names.get(row.corpus_id),
            "classes": classes.get(row.id, []) if extras.classes else None,
            "metadata": metadata.get(row.id, []) if extras.metadata else None,
            "has_children": row.id in parents if extras.has_children else None,
        }
    return made


def show(connection: Connection, organisation_id: str, element_id: str, site: str) -> Any:
    """Return an element as it is sent, with all that goes with it.

    Raises:
        NotFound: there is none.
    """
    found = scope.element(connection, organisation_id, element_id)
    return shown(connection, [found.id], site, ALL)[found.id]


def _plain(row: Row[Any]) -> dict[str, Any]:
    return {
        "id": row.id,
        "type": row.type,
        "name": row.name,
        "rotation_angle": row.rotation_angle,
        "mirrored": row.mirrored,
        "confidence": row.confidence,
        "creator": row.creator,
        "created": iso(row.created_us),
        "updated": iso(row.updated_us),
    }


def _places(row: Row[Any], image: Image | None, site: str) -> dict[str, Any]:
    if image is None:
        return {"zone": None, "thumbnail_url": None}
    zone = image.zone(site, msgspec.json.decode(row.polygon), row.id)
    # The published client turns the zone's picture itself; whoever shows a thumbnail does not.
    head, _, file = zone["url"].rpartition("/")
    region = head.rsplit("/", 2)[0]
    degrees = 0 if row.rotation_angle % 90 else row.rotation_angle
    turned = f"{'!' * row.mirrored}{degrees}"
    return {"zone": zone, "thumbnail_url": f"{region}/,{THUMBNAIL_PIXELS}/{turned}/{file}"}


def _origin(origin: dict[str, Any]) -> dict[str, Any]:
    # Older programs look for the id of the version under a name without "id".
    return {**origin, "worker_version": origin["worker_version_id"]}


def _corpora(connection: Connection, corpus_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    rows = connection.execute(
        select(corpora.c.id, corpora.c.name).where(corpora.c.id.in_(set(corpus_ids)))
    )
    return {row.id: {"id": row.id, "name": row.name, "public": False} for row in rows}


def _classes(connection: Connection, element_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    rows = _of_elements(connection, _classified(connection.dialect.name), element_ids)
    origins = stamps.shown(connection, {row.worker_run_id for row in rows})
    made: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        made.setdefault(row.element_id, []).append(
            {
                "id": row.id,
                "ml_class": {"id": row.class_id, "name": row.class_name},
                "state": row.state,
                "confidence": row.confidence,
                "high_confidence": row.high_confidence,
                **_origin(origins[row.worker_run_id]),
            }
        )
    return made


def _metadata(
    connection: Connection, element_ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    rows = _of_elements(connection, _described(connection.dialect.name), element_ids)
    origins = stamps.shown(connection, {row.worker_run_id for row in rows})
    made: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        made.setdefault(row.element_id, []).append(
            {
                "id": row.id,
                "type": row.type,
                "name": row.name,
                "value": row.value,
                "dates": [],
                **_origin(origins[row.worker_run_id]),
            }
        )
    return made


def _parents(connection: Connection, element_ids: Sequence[str]) -> set[str]:
    rows = _of_elements(connection, _above_some(connection.dialect.name), element_ids)
    return {row.parent_id for row in rows}


def _of_elements(
    connection: Connection, query: Select[Any], element_ids: Collection[str]
) -> Sequence[Row[Any]]:
    given = given_parameters(connection.dialect.name, [(each,) for each in element_ids], 1)
    return connection.execute(query, given).all()


@cache
def _chosen(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_elements, corpus_types.c.slug.label("type"))
        .join(given, given.c.id == corpus_elements.c.id)
        .join(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
    )


@cache
def _classified(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_classifications, corpus_classes.c.name.label("class_name"))
        .join(given, given.c.id == corpus_classifications.c.element_id)
        .join(corpus_classes, corpus_classes.c.id == corpus_classifications.c.class_id)
        .order_by(corpus_classifications.c.id)
    )


@cache
def _described(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return (
        select(corpus_metadata)
        .join(given, given.c.id == corpus_metadata.c.element_id)
        .order_by(corpus_metadata.c.id)
    )


@cache
def _above_some(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    # One row for each that has children, however many they are.
    children = select(corpus_paths.c.child_id).where(corpus_paths.c.parent_id == given.c.id)
    return select(given.c.id.label("parent_id")).where(children.exists())

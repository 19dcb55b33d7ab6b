"""Reading a corpus, or the part of it that a dataset needs, some elements at a time.

Each piece is one transaction, so that a large corpus holds nobody up. What is deleted between two
pieces is missing in the later ones; whoever writes a database of them drops what refers to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Table, Text, select

from longshore.storage import Database
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import images
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.tables import (
    corpus_classes,
    corpus_classifications,
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_elements,
    corpus_embeddings,
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
    corpus_paths,
    corpus_transcription_entities,
    corpus_transcriptions,
    corpus_types,
)

PIECE_ELEMENTS: Final = 500
"""Elements that are read in one transaction, with all that was found on them."""
PIECE_IDS: Final = 5_000

Rows = Sequence[Row[Any]]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some elements, and what belongs to them.

    Attributes:
        elements: with `type`, the slug of their type.
        images: those that the elements are on.
        paths: to the elements from their parents, which may be in another piece or left out.
        classifications: with `class_name`.
        spans: typed spans of the transcriptions, with `entity_name` and others of their entity.
        embeddings: their values are numbers of 32 bits, lowest byte first.
    """

    elements: Rows
    images: list[Image]
    paths: Rows
    classifications: Rows
    transcriptions: Rows
    spans: Rows
    metadata: Rows
    embeddings: Rows


async def pieces(
    database: Database, corpus_id: str, dataset_id: str | None = None
) -> AsyncIterator[Piece]:
    """Read the elements of a corpus; with a dataset, those in it and all that is below them."""
    source = _of_corpus if dataset_id is None else _of_dataset
    async for some in source(database, dataset_id or corpus_id):
        for start in range(0, len(some), PIECE_ELEMENTS):
            yield await database.read(_piece, some[start : start + PIECE_ELEMENTS])


async def of_elements(
    database: Database, element_ids: Sequence[str], *, found_on_them: bool = True
) -> AsyncIterator[Piece]:
    """Read elements by their ids; those that do not exist are left out.

    Without `found_on_them`, texts and classes that were found on the elements are not read.
    """
    for start in range(0, len(element_ids), PIECE_ELEMENTS):
        some = element_ids[start : start + PIECE_ELEMENTS]
        yield await database.read(_piece, some, found_on_them=found_on_them)


async def members(database: Database, dataset_id: str) -> AsyncIterator[Rows]:
    """Read which element is in which set: rows of `id`, `element_id` and `set_name`."""
    after = ""
    while rows := await database.read(_members, dataset_id, after):
        yield rows
        after = rows[-1].id


def entity_types(connection: Connection, corpus_id: str) -> Rows:
    """Return the entity types of a corpus."""
    table = corpus_entity_types
    return connection.execute(select(table).where(table.c.corpus_id == corpus_id)).all()


def entities(connection: Connection, corpus_id: str, after: str) -> Rows:
    """Return some entities of a corpus with an id behind `after`, with `type`, their type's name."""
    query = (
        select(corpus_entities, corpus_entity_types.c.name.label("type"))
        .join(corpus_entity_types, corpus_entity_types.c.id == corpus_entities.c.type_id)
        .where(corpus_entities.c.corpus_id == corpus_id, corpus_entities.c.id > after)
        .order_by(corpus_entities.c.id)
        .limit(PIECE_IDS)
    )
    return connection.execute(query).all()


async def _of_corpus(database: Database, corpus_id: str) -> AsyncIterator[list[str]]:
    after = ""
    while some := await database.read(_ids, corpus_id, after):
        yield some
        after = some[-1]


async def _of_dataset(database: Database, dataset_id: str) -> AsyncIterator[list[str]]:
    seen: set[str] = set()
    async for rows in members(database, dataset_id):
        level = list(dict.fromkeys(row.element_id for row in rows if row.element_id not in seen))
        # An element may lie below several others; each is read once.
        while level:
            seen.update(level)
            yield level
            below: list[str] = []
            for start in range(0, len(level), PIECE_IDS):
                some = level[start : start + PIECE_IDS]
                below += await database.read(_children, some)
            level = [each for each in dict.fromkeys(below) if each not in seen]


def _ids(connection: Connection, corpus_id: str, after: str) -> list[str]:
    query = (
        select(corpus_elements.c.id)
        .where(corpus_elements.c.corpus_id == corpus_id, corpus_elements.c.id > after)
        .order_by(corpus_elements.c.id)
        .limit(PIECE_IDS)
    )
    return list(connection.execute(query).scalars())


def _members(connection: Connection, dataset_id: str, after: str) -> Rows:
    members_of = corpus_dataset_elements
    query: Select[Any] = (
        select(
            members_of.c.id,
            members_of.c.element_id,
            corpus_dataset_sets.c.name.label("set_name"),
        )
        .join(corpus_dataset_sets, corpus_dataset_sets.c.id == members_of.c.set_id)
        .where(members_of.c.dataset_id == dataset_id, members_of.c.id > after)
        .order_by(members_of.c.id)
        .limit(PIECE_IDS)
    )
    return connection.execute(query).all()


def _children(connection: Connection, element_ids: Sequence[str]) -> list[str]:
    query = select(corpus_paths.c.child_id).order_by(
        corpus_paths.c.parent_id, corpus_paths.c.position, corpus_paths.c.child_id
    )
    return [
        row.child_id for row in _found(connection, query, corpus_paths, "parent_id", element_ids)
    ]


def _piece(
    connection: Connection, element_ids: Sequence[str], *, found_on_them: bool = True
) -> Piece:
    def of_elements(query: Select[Any], table: Table, column: str = "element_id") -> Rows:
        return _found(connection, query, table, column, element_ids)

    elements = of_elements(
        select(corpus_elements, corpus_types.c.slug.label("type")).join(
            corpus_types, corpus_types.c.id == corpus_elements.c.type_id
        ),
        corpus_elements,
        "id",
    )
    transcriptions: Rows = ()
    classifications: Rows = ()
    classified = select(corpus_classifications, corpus_classes.c.name.label("class_name")).join(
        corpus_classes, corpus_classes.c.id == corpus_classifications.c.class_id
    )
    if found_on_them:
        transcriptions = of_elements(select(corpus_transcriptions), corpus_transcriptions)
        classifications = of_elements(classified, corpus_classifications)
    on_images = [row.image_id for row in elements if row.image_id is not None]
    return Piece(
        elements=elements,
        images=list(images.of(connection, on_images).values()),
        paths=of_elements(select(corpus_paths), corpus_paths, "child_id"),
        classifications=classifications,
        transcriptions=transcriptions,
        spans=_spans(connection, [row.id for row in transcriptions]) if transcriptions else (),
        metadata=of_elements(select(corpus_metadata), corpus_metadata),
        embeddings=of_elements(select(corpus_embeddings), corpus_embeddings),
    )


def _spans(connection: Connection, transcription_ids: Sequence[str]) -> Rows:
    table = corpus_transcription_entities
    query = (
        select(
            table,
            corpus_entity_types.c.name.label("type"),
            corpus_entities.c.name.label("entity_name"),
            corpus_entities.c.metas.label("entity_metas"),
            corpus_entities.c.validated.label("entity_validated"),
            corpus_entities.c.worker_run_id.label("entity_worker_run_id"),
        )
        .join(corpus_entity_types, corpus_entity_types.c.id == table.c.type_id)
        .outerjoin(corpus_entities, corpus_entities.c.id == table.c.entity_id)
    )
    return _found(connection, query, table, "transcription_id", transcription_ids)


def _found(
    connection: Connection, query: Select[Any], table: Table, column: str, keys: Sequence[str]
) -> Rows:
    dialect = connection.dialect.name
    given = given_rows(dialect, key=Text)
    # Not joined: without statistics SQLite may well read the given rows once for each of a table.
    chosen = query.where(table.c[column].in_(select(given.c.key)))
    parameters = given_parameters(dialect, [(key,) for key in keys], 1)
    return connection.execute(chosen, parameters).all()

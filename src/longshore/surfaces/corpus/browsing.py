"""Looking through corpora a page at a time: what a person sees, however many elements there are.

Nothing here reads more than a bounded number of rows: counts end at `most`, lists go by key, and
a name is looked for among `WINDOW_ELEMENTS` elements at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, Select, Text, and_, func, literal, or_, select

from longshore.errors import InvalidRequest
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import scope
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_dataset_elements,
    corpus_dataset_sets,
    corpus_datasets,
    corpus_elements,
    corpus_exports,
    corpus_images,
    corpus_paths,
    corpus_transcriptions,
    corpus_types,
)

WINDOW_ELEMENTS: Final = 5_000
"""Elements among which one page of a list looks for a name."""
TYPES_COUNTED: Final = 200
"""Types of a page of corpora whose elements are counted."""
LATEST_EXPORTS: Final = 20
EXCERPT_CHARACTERS: Final = 160
TEXTS: Final = 5_000
"""Transcriptions that are looked at for those of the elements in a list."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type of elements; `count` is at most one more than was asked for, None where not counted.

    Attributes:
        place: among the types of its corpus by slug, from 0; colours go by it.
    """

    id: str
    slug: str
    display_name: str
    folder: bool
    place: int
    count: int | None


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus and the types of its elements."""

    id: str
    name: str
    description: str
    created_us: int
    types: list[Type]


@dataclass(frozen=True, slots=True)
class Listed:
    """An element in a list.

    Attributes:
        pictured: whether this server has the image that it lies on.
        text: the beginning of one of its transcriptions, or None.
    """

    id: str
    name: str
    type: str
    place: int
    confidence: float | None
    pictured: bool
    created_us: int
    worker_run_id: str
    text: str | None
    text_confidence: float | None


@dataclass(frozen=True, slots=True)
class Elements:
    """A page of elements; `older` is where the next one begins, or None at the end."""

    elements: list[Listed]
    older: str | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset with its sets as (name, count of elements), counts ending at one more than `most`."""

    id: str
    name: str
    description: str
    state: str
    task_id: str | None
    creator: str
    updated_us: int
    sets: list[tuple[str, int]]


def corpora_page(
    connection: Connection, organisation_id: str, *, after: str | None, limit: int, most: int
) -> list[Corpus]:
    """Return corpora by name, those after `after`, with counts by type up to `most`."""
    query = select(corpora).where(
        corpora.c.organisation_id == organisation_id, corpora.c.deletion_id.is_(None)
    )
    if after is not None:
        query = query.where(corpora.c.name > after)
    rows = connection.execute(query.order_by(corpora.c.name).limit(limit)).all()
    types = _types(connection, [row.id for row in rows], most)
    return [_corpus(row, types) for row in rows]


def corpus(connection: Connection, organisation_id: str, corpus_id: str, *, most: int) -> Corpus:
    """Return one corpus with counts by type up to `most`; NotFound where there is none."""
    found = scope.corpus(connection, organisation_id, corpus_id)
    row = connection.execute(select(corpora).where(corpora.c.id == found)).one()
    return _corpus(row, _types(connection, [found], most))


def elements(
    connection: Connection,
    of: Corpus,
    *,
    kind: str | None,
    name: str,
    after: str | None,
    limit: int,
) -> Elements:
    """Return a page of the elements of a corpus, in the order in which they were made.

    Args:
        connection: the transaction.
        of: the corpus.
        kind: only of the type with this slug.
        name: only with this in their names, in any case.
        after: where the page begins: `Elements.older` of the one before.
        limit: most elements on it.

    Raises:
        InvalidRequest: the corpus has no such type.
    """
    columns = corpus_elements.c
    query = select(columns.id, columns.name).where(columns.corpus_id == of.id)
    if kind is not None:
        chosen = [each.id for each in of.types if each.slug == kind]
        if not chosen:
            raise InvalidRequest(f"The corpus has no type {kind[:80]!a}.")
        query = query.where(columns.type_id == chosen[0])
    if after is not None:
        query = query.where(columns.id > after)
    window = WINDOW_ELEMENTS if name else limit + 1
    rows = connection.execute(query.order_by(columns.id).limit(window)).all()
    wanted = name.casefold()
    matching = [row.id for row in rows if wanted in row.name.casefold()]
    if len(matching) > limit:
        older = matching[limit - 1]
    else:
        older = rows[-1].id if len(rows) == window else None
    return Elements(listed(connection, matching[:limit]), older, len(rows))


def children(connection: Connection, element_id: str, *, after: str | None, limit: int) -> Elements:
    """Return a page of the elements right below one, in their order."""
    paths = corpus_paths.c
    query = select(paths.child_id, paths.position).where(paths.parent_id == element_id)
    if after is not None:
        position, child_id = _place(after)
        later = or_(
            paths.position > position, and_(paths.position == position, paths.child_id > child_id)
        )
        query = query.where(paths.position >= position, later)
    rows = connection.execute(query.order_by(paths.position, paths.child_id).limit(limit + 1)).all()
    last = rows[limit - 1] if len(rows) > limit else None
    shown = listed(connection, [row.child_id for row in rows[:limit]])
    return Elements(shown, None if last is None else f"{last.position}:{last.child_id}", len(rows))


def listed(connection: Connection, element_ids: Sequence[str]) -> list[Listed]:
    """Return elements for a list, in the order of these ids, which were checked."""
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    texts: dict[str, Row[Any]] = {}
    for row in connection.execute(_texts(dialect), given):
        texts.setdefault(row.element_id, row)
    found = {}
    rows = connection.execute(_listed(dialect), given).all()
    places = _places(connection, {row.corpus_id for row in rows})
    for row in rows:
        text = texts.get(row.id)
        found[row.id] = Listed(
            row.id,
            row.name,
            row.type,
            places[row.type_id],
            row.confidence,
            row.blob_id is not None,
            row.created_us,
            row.worker_run_id,
            None if text is None else text.text,
            None if text is None else text.confidence,
        )
    return [found[each] for each in element_ids if each in found]


def datasets(
    connection: Connection, corpus_id: str, *, after: str | None, limit: int, most: int
) -> list[Dataset]:
    """Return datasets of a corpus by name, those after `after`, with their sets."""
    query = select(corpus_datasets).where(corpus_datasets.c.corpus_id == corpus_id)
    if after is not None:
        query = query.where(corpus_datasets.c.name > after)
    rows = connection.execute(query.order_by(corpus_datasets.c.name).limit(limit)).all()
    sets: dict[str, list[tuple[str, int]]] = {row.id: [] for row in rows}
    members = (
        select(literal(1))
        .select_from(corpus_dataset_elements)
        .where(corpus_dataset_elements.c.set_id == corpus_dataset_sets.c.id)
        .limit(most + 1)
        .correlate(corpus_dataset_sets)
        .subquery()
    )
    counted = select(func.count()).select_from(members).scalar_subquery()
    found = connection.execute(
        select(corpus_dataset_sets.c.dataset_id, corpus_dataset_sets.c.name, counted)
        .where(corpus_dataset_sets.c.dataset_id.in_(list(sets)))
        .order_by(corpus_dataset_sets.c.dataset_id, corpus_dataset_sets.c.position)
    )
    for dataset_id, name, count in found:
        sets[dataset_id].append((name, count))
    return [
        Dataset(
            row.id, row.name, row.description, row.state, row.task_id, row.creator,
            row.updated_us, sets[row.id],
        )
        for row in rows
    ]  # fmt: skip


def exports(connection: Connection, corpus_id: str) -> Sequence[Row[Any]]:
    """Return the latest exports of a corpus, the newest first."""
    query = select(corpus_exports).where(corpus_exports.c.corpus_id == corpus_id)
    return connection.execute(
        query.order_by(corpus_exports.c.id.desc()).limit(LATEST_EXPORTS)
    ).all()


def polygon(text: str | None) -> list[tuple[int, int]]:
    """Return the points of a zone as it is stored, in pixels of its image."""
    if text is None:
        return []
    return [(int(x), int(y)) for x, y in msgspec.json.decode(text)]


def _corpus(row: Row[Any], types: Mapping[str, list[Type]]) -> Corpus:
    return Corpus(row.id, row.name, row.description, row.created_us, types.get(row.id, []))


def _types(connection: Connection, corpus_ids: Sequence[str], most: int) -> dict[str, list[Type]]:
    columns = corpus_types.c
    rows = connection.execute(
        select(corpus_types)
        .where(columns.corpus_id.in_(corpus_ids))
        .order_by(columns.corpus_id, columns.slug)
    ).all()
    each = (
        select(literal(1))
        .select_from(corpus_elements)
        .where(
            corpus_elements.c.corpus_id == columns.corpus_id,
            corpus_elements.c.type_id == columns.id,
        )
        .limit(most + 1)
        .correlate(corpus_types)
        .subquery()
    )
    counted = select(func.count()).select_from(each).scalar_subquery()
    some = [row.id for row in rows[:TYPES_COUNTED]]
    chosen = select(columns.id, counted).where(columns.id.in_(some))
    counts: dict[str, int] = dict(connection.execute(chosen).all())
    found: dict[str, list[Type]] = {}
    for row in rows:
        of_it = found.setdefault(row.corpus_id, [])
        count = counts.get(row.id)
        of_it.append(Type(row.id, row.slug, row.display_name, bool(row.folder), len(of_it), count))
    return found


def _places(connection: Connection, corpus_ids: Collection[str]) -> dict[str, int]:
    """Return the places of types among those of their corpora."""
    columns = corpus_types.c
    rows = connection.execute(
        select(columns.corpus_id, columns.id)
        .where(columns.corpus_id.in_(sorted(corpus_ids)))
        .order_by(columns.corpus_id, columns.slug)
    )
    places: dict[str, int] = {}
    seen: dict[str, int] = {}
    for corpus_id, type_id in rows:
        places[type_id] = seen.get(corpus_id, 0)
        seen[corpus_id] = places[type_id] + 1
    return places


@cache
def _listed(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    columns = corpus_elements.c
    return (
        select(
            columns.id,
            columns.corpus_id,
            columns.type_id,
            columns.name,
            columns.confidence,
            columns.created_us,
            columns.worker_run_id,
            corpus_types.c.slug.label("type"),
            corpus_images.c.blob_id,
        )
        .join(given, given.c.id == columns.id)
        .join(corpus_types, corpus_types.c.id == columns.type_id)
        .outerjoin(corpus_images, corpus_images.c.id == columns.image_id)
    )


@cache
def _texts(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    columns = corpus_transcriptions.c
    return (
        select(
            columns.element_id,
            func.substr(columns.text, 1, EXCERPT_CHARACTERS).label("text"),
            columns.confidence,
        )
        .join(given, given.c.id == columns.element_id)
        .order_by(columns.element_id, columns.id)
        .limit(TEXTS)
    )


def _place(text: str) -> tuple[int, str]:
    position, colon, child_id = text.partition(":")
    usable = position.lstrip("-").isdecimal() and len(position) < 19
    if not colon or not usable:
        raise InvalidRequest(
            f"after is {text[:80]!a}, which is no place in this list. Begin with its first page."
        )
    return int(position), child_id

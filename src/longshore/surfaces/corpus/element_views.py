"""One element as a person looks at it: its image with the zones on it, and what was found there.

All lists end at the numbers below; what an element has beyond them, the API tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, Text, and_, func, or_, select

from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus import browsing, images, scope
from longshore.surfaces.corpus.browsing import Elements
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.tables import (
    corpora,
    corpus_classes,
    corpus_classifications,
    corpus_elements,
    corpus_entities,
    corpus_entity_types,
    corpus_metadata,
    corpus_paths,
    corpus_processes,
    corpus_transcription_entities,
    corpus_transcriptions,
    corpus_types,
    corpus_worker_runs,
)

ZONES: Final = 500
CHILDREN: Final = 50
PARENTS: Final = 20
TRANSCRIPTIONS: Final = 50
TEXT_CHARACTERS: Final = 20_000
"""Of a longer text, so much is shown."""
SPANS: Final = 500
CLASSIFICATIONS: Final = 100
METADATA: Final = 200
_ZONE_CLASSES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Zone:
    """An element below, where it lies on the same image; points in pixels of that.

    Attributes:
        ml_class: the class that it most surely falls into, or None.
    """

    id: str
    name: str
    type: str
    place: int
    points: list[tuple[int, int]]
    confidence: float | None
    text: str | None
    ml_class: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text, with the types of the entities that it belongs to."""

    text: str
    entities: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a text speaks of an entity; offset and length in characters."""

    offset: int
    length: int
    type: str
    place: int
    name: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Transcription:
    """A text that was read on the element; `cut` where only its beginning is here."""

    id: str
    parts: list[Part]
    cut: bool
    confidence: float | None
    orientation: str
    worker_run_id: str
    created_us: int


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a worker run: what it was, and the process that it belongs to."""

    summary: str
    process_id: str
    process_name: str


@dataclass(frozen=True, slots=True)
class Look:
    """One element.

    Attributes:
        row: its row, with `type`, `type_name` and `corpus_name`.
        image: what it lies on, or None.
        points: its own place there, in pixels.
        parents: rows of elements above it, with `type`.
        before: id of the one before it: below its first parent, or of its type in the corpus.
        after: likewise.
        origins: by the ids of worker runs.
    """

    row: Row[Any]
    image: Image | None
    points: list[tuple[int, int]]
    zones: list[Zone]
    parents: Sequence[Row[Any]]
    before: str | None
    after: str | None
    children: Elements
    transcriptions: list[Transcription]
    classifications: Sequence[Row[Any]]
    metadata: Sequence[Row[Any]]
    origins: dict[str, Origin]


def look(
    connection: Connection, organisation_id: str, element_id: str, *, after: str | None = None
) -> Look:
    """Return an element with what was found on it; `after` is a place among its children.

    Raises:
        NotFound: there is none.
    """
    target = scope.element(connection, organisation_id, element_id)
    row = _row(connection, target.id)
    parents = _parents(connection, target.id)
    transcriptions = _transcriptions(connection, target.id)
    classifications = _classifications(connection, target.id)
    metadata = connection.execute(
        select(corpus_metadata)
        .where(corpus_metadata.c.element_id == target.id)
        .order_by(corpus_metadata.c.id)
        .limit(METADATA)
    ).all()
    runs = {row.worker_run_id}
    for some in (transcriptions, classifications, metadata):
        runs |= {each.worker_run_id for each in some}
    known = {} if row.image_id is None else images.of(connection, [row.image_id])
    before, following = _neighbours(connection, row, parents[0].id if parents else None)
    return Look(
        row=row,
        image=known.get(row.image_id),
        points=browsing.polygon(row.polygon),
        zones=[] if row.image_id is None else _zones(connection, row),
        parents=parents,
        before=before,
        after=following,
        children=browsing.children(connection, target.id, after=after, limit=CHILDREN),
        transcriptions=transcriptions,
        classifications=classifications,
        metadata=metadata,
        origins=_origins(connection, runs - {scope.BY_HAND}),
    )


def place(
    connection: Connection, organisation_id: str, element_id: str
) -> tuple[Image | None, list[tuple[int, int]], int, bool]:
    """Return image, points, angle and mirroring of an element, to draw it.

    Raises:
        NotFound: there is none.
    """
    target = scope.element(connection, organisation_id, element_id)
    columns = corpus_elements.c
    row = connection.execute(
        select(columns.image_id, columns.polygon, columns.rotation_angle, columns.mirrored).where(
            columns.id == target.id
        )
    ).one()
    known = {} if row.image_id is None else images.of(connection, [row.image_id])
    points = browsing.polygon(row.polygon)
    return known.get(row.image_id), points, row.rotation_angle, bool(row.mirrored)


def parts(text: str, spans: Sequence[Span]) -> list[Part]:
    """Cut a text where entities begin and end; pieces may belong to several."""
    edges = {0, len(text)}
    for each in spans:
        edges |= {min(each.offset, len(text)), min(each.offset + each.length, len(text))}
    places = sorted(edges)
    return [
        Part(
            text[start:end],
            tuple(s for s in spans if s.offset <= start and end <= s.offset + s.length),
        )
        for start, end in pairwise(places)
    ]


def _row(connection: Connection, element_id: str) -> Row[Any]:
    return connection.execute(
        select(
            corpus_elements,
            corpus_types.c.slug.label("type"),
            corpus_types.c.display_name.label("type_name"),
            corpora.c.name.label("corpus_name"),
        )
        .join(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .join(corpora, corpora.c.id == corpus_elements.c.corpus_id)
        .where(corpus_elements.c.id == element_id)
    ).one()


def _parents(connection: Connection, element_id: str) -> Sequence[Any]:
    return connection.execute(
        select(corpus_elements.c.id, corpus_elements.c.name, corpus_types.c.slug.label("type"))
        .join(corpus_paths, corpus_paths.c.parent_id == corpus_elements.c.id)
        .join(corpus_types, corpus_types.c.id == corpus_elements.c.type_id)
        .where(corpus_paths.c.child_id == element_id)
        .order_by(corpus_elements.c.id)
        .limit(PARENTS)
    ).all()


def _neighbours(
    connection: Connection, row: Row[Any], parent_id: str | None
) -> tuple[str | None, str | None]:
    if parent_id is None:
        columns = corpus_elements.c
        alike = select(columns.id).where(
            columns.corpus_id == row.corpus_id, columns.type_id == row.type_id
        )
        before = alike.where(columns.id < row.id).order_by(columns.id.desc()).limit(1)
        after = alike.where(columns.id > row.id).order_by(columns.id).limit(1)
        return connection.scalar(before), connection.scalar(after)
    paths = corpus_paths.c
    below = select(paths.child_id).where(paths.parent_id == parent_id)
    at = connection.scalar(
        select(paths.position).where(paths.parent_id == parent_id, paths.child_id == row.id)
    )
    same = paths.position == at
    earlier = or_(paths.position < at, and_(same, paths.child_id < row.id))
    later = or_(paths.position > at, and_(same, paths.child_id > row.id))
    before = below.where(paths.position <= at, earlier).order_by(
        paths.position.desc(), paths.child_id.desc()
    )
    after = below.where(paths.position >= at, later).order_by(paths.position, paths.child_id)
    return connection.scalar(before.limit(1)), connection.scalar(after.limit(1))


def _zones(connection: Connection, row: Row[Any]) -> list[Zone]:
    """Return the elements right below that lie on the same image, in their order."""
    columns = corpus_elements.c
    found = connection.execute(
        select(columns.id, columns.polygon)
        .join(corpus_paths, corpus_paths.c.child_id == columns.id)
        .where(corpus_paths.c.parent_id == row.id, columns.image_id == row.image_id)
        .order_by(corpus_paths.c.position, corpus_paths.c.child_id)
        .limit(ZONES)
    ).all()
    points = {each.id: browsing.polygon(each.polygon) for each in found}
    classes = _surest(connection, list(points))
    return [
        Zone(
            each.id, each.name, each.type, each.place, points[each.id], each.confidence,
            each.text, classes.get(each.id),
        )
        for each in browsing.listed(connection, list(points))
    ]  # fmt: skip


def _surest(connection: Connection, element_ids: Sequence[str]) -> dict[str, str]:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    found: dict[str, str] = {}
    for element_id, name in connection.execute(_classes(dialect), given):
        found.setdefault(element_id, name)
    return found


@cache
def _classes(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    columns = corpus_classifications.c
    return (
        select(columns.element_id, corpus_classes.c.name)
        .join(given, given.c.id == columns.element_id)
        .join(corpus_classes, corpus_classes.c.id == columns.class_id)
        .order_by(columns.element_id, columns.confidence.desc(), columns.id)
        .limit(_ZONE_CLASSES)
    )


def _classifications(connection: Connection, element_id: str) -> Sequence[Row[Any]]:
    columns = corpus_classifications.c
    return connection.execute(
        select(corpus_classifications, corpus_classes.c.name)
        .join(corpus_classes, corpus_classes.c.id == columns.class_id)
        .where(columns.element_id == element_id)
        .order_by(columns.confidence.desc(), columns.id)
        .limit(CLASSIFICATIONS)
    ).all()


def _transcriptions(connection: Connection, element_id: str) -> list[Transcription]:
    columns = corpus_transcriptions.c
    rows = connection.execute(
        select(
            columns.id,
            func.substr(columns.text, 1, TEXT_CHARACTERS).label("text"),
            (func.length(columns.text) > TEXT_CHARACTERS).label("cut"),
            columns.confidence,
            columns.orientation,
            columns.worker_run_id,
            columns.created_us,
        )
        .where(columns.element_id == element_id)
        .order_by(columns.id)
        .limit(TRANSCRIPTIONS)
    ).all()
    spans = _spans(connection, [row.id for row in rows])
    return [
        Transcription(
            row.id, parts(row.text, spans.get(row.id, [])), bool(row.cut), row.confidence,
            row.orientation, row.worker_run_id, row.created_us,
        )
        for row in rows
    ]  # fmt: skip


def _spans(connection: Connection, transcription_ids: Sequence[str]) -> dict[str, list[Span]]:
    columns = corpus_transcription_entities.c
    rows = connection.execute(
        select(
            columns.transcription_id,
            columns.offset,
            columns.length,
            columns.confidence,
            columns.type_id,
            corpus_entity_types.c.name.label("type"),
            corpus_entities.c.name,
        )
        .join(corpus_entity_types, corpus_entity_types.c.id == columns.type_id)
        .outerjoin(corpus_entities, corpus_entities.c.id == columns.entity_id)
        .where(columns.transcription_id.in_(transcription_ids))
        .order_by(columns.transcription_id, columns.offset, columns.length.desc())
        .limit(SPANS)
    ).all()
    places = {name: place for place, name in enumerate(sorted({row.type for row in rows}))}
    found: dict[str, list[Span]] = {}
    for row in rows:
        span = Span(row.offset, row.length, row.type, places[row.type], row.name, row.confidence)
        found.setdefault(row.transcription_id, []).append(span)
    return found


def _origins(connection: Connection, run_ids: set[str]) -> dict[str, Origin]:
    runs, processes = corpus_worker_runs.c, corpus_processes.c
    rows = connection.execute(
        select(runs.id, runs.summary, runs.process_id, processes.name)
        .join(corpus_processes, processes.id == runs.process_id)
        .where(runs.id.in_(sorted(run_ids)))
    )
    return {row.id: Origin(row.summary, row.process_id, row.name) for row in rows}

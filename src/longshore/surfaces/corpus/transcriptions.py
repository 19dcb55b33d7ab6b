"""Transcriptions: the text that an element shows, as a person or a worker run reads it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, literal, select
from sqlalchemy import Text as TextType

from longshore import ids, limits
from longshore.access import Principal
from longshore.storage import now_us
from longshore.storage.bulk import given_parameters, given_rows, insert_rows
from longshore.surfaces.corpus import elements, scope, stamps
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.repeats import Said
from longshore.surfaces.corpus.scope import BY_HAND
from longshore.surfaces.corpus.tables import (
    corpus_elements,
    corpus_paths,
    corpus_transcriptions,
    corpus_types,
)


class Orientation(StrEnum):
    """How the lines of a text run."""

    HORIZONTAL_LEFT_TO_RIGHT = "horizontal-lr"
    HORIZONTAL_RIGHT_TO_LEFT = "horizontal-rl"
    VERTICAL_RIGHT_TO_LEFT = "vertical-rl"
    VERTICAL_LEFT_TO_RIGHT = "vertical-lr"


Confidence = Annotated[float, msgspec.Meta(ge=0, le=1)]
ResultText = Annotated[str, msgspec.Meta(min_length=1, max_length=limits.RESULT_TEXT_CHARACTERS)]
_COLUMNS: Final = ("id", "element_id", "text", "confidence", "orientation")


class NewTranscription(msgspec.Struct, frozen=True):
    """Body of CreateTranscription. A worker run has to give a confidence, a person may."""

    text: ResultText
    confidence: Confidence | None = None
    orientation: Orientation = Orientation.HORIZONTAL_LEFT_TO_RIGHT
    worker_run_id: str | None = None


class OneOfMany(msgspec.Struct, frozen=True):
    element_id: str
    text: ResultText
    confidence: Confidence | None = None
    orientation: Orientation = Orientation.HORIZONTAL_LEFT_TO_RIGHT


class NewTranscriptions(msgspec.Struct, frozen=True):
    """Body of CreateTranscriptions."""

    transcriptions: Annotated[
        list[OneOfMany], msgspec.Meta(min_length=1, max_length=limits.RESULTS_PER_CALL)
    ]
    worker_run_id: str | None = None


class Text(msgspec.Struct, frozen=True):
    """What is stored of a transcription."""

    element_id: str
    text: str
    confidence: float | None
    orientation: str


def create(
    connection: Connection, principal: Principal, element_id: str, given: NewTranscription
) -> dict[str, Any]:
    """Give an element a transcription and return it.

    Raises:
        NotFound: there is no such element.
        InvalidRequest: there is no such worker run, it gives no confidence, or the text is blank.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    target = scope.element(
        connection, principal.organisation_id, element_id, kept=True, alone=run_id != BY_HAND
    )
    check_text(run_id, given.text, given.confidence, ())
    text = Text(target.id, given.text, given.confidence, given.orientation.value)
    made = insert(connection, run_id, [text])[0]
    return {**made, **stamps.shown(connection, [run_id])[run_id]}


def create_many(
    connection: Connection, principal: Principal, given: NewTranscriptions
) -> dict[str, Any]:
    """Give many elements transcriptions, all or none of them; return them in order.

    Raises:
        InvalidRequest: as `create`, or an element does not exist.
    """
    run_id = scope.worker_run(connection, principal, given.worker_run_id)
    texts = []
    for index, each in enumerate(given.transcriptions):
        attr = ("transcriptions", index)
        check_text(run_id, each.text, each.confidence, attr)
        element_id = scope.uuid_of(each.element_id)
        if element_id is None:
            raise scope.unknown("element", each.element_id, *attr, "element_id")
        texts.append(Text(element_id, each.text, each.confidence, each.orientation.value))
    known = scope.kept_elements(
        connection,
        principal.organisation_id,
        [text.element_id for text in texts],
        alone=run_id != BY_HAND,
    )
    for index, text in enumerate(texts):
        if text.element_id not in known:
            raise scope.unknown("element", text.element_id, "transcriptions", index, "element_id")
    return {
        "worker_run_id": run_id or None,
        "transcriptions": insert(connection, run_id, texts),
    }


def check_text(
    run_id: str, text: str, confidence: float | None, place: tuple[str | int, ...]
) -> None:
    """Raise InvalidRequest unless a worker run, or a person, can give an element this text."""
    if not text.strip():
        raise scope.refusal(
            "text is blank. Where there is nothing to read, leave the transcription out.",
            *place,
            "text",
            code="blank",
        )
    if confidence is None and run_id != BY_HAND:
        raise scope.refusal(
            "confidence: a worker run has to say how sure it is, from 0 to 1.",
            *place,
            "confidence",
            code="required",
        )


def insert(connection: Connection, run_id: str, texts: Sequence[Text]) -> list[dict[str, Any]]:
    """Store transcriptions that are checked, and return them in order.

    A text that the worker run has given the element before is not stored again.
    """
    said = _said(connection, run_id, texts)
    rows, new = [], []
    for text in texts:
        row = said.take((text.element_id, text.text, text.orientation))
        if row is None:
            row = (ids.uuid(), *msgspec.structs.astuple(text))
            new.append(row)
        rows.append(row)
    same = {"worker_run_id": run_id, "created_us": now_us(connection)}
    insert_rows(connection, corpus_transcriptions, _COLUMNS, new, same=same)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def _said(
    connection: Connection, run_id: str, texts: Sequence[Text]
) -> Said[tuple[str, str, str], tuple[Any, ...]]:
    if run_id == BY_HAND:
        return Said()
    dialect = connection.dialect.name
    given = given_rows(dialect, id=TextType)
    stored = corpus_transcriptions
    query = (
        select(*(stored.c[name] for name in _COLUMNS))
        .join(given, given.c.id == stored.c.element_id)
        .where(stored.c.worker_run_id == run_id)
        .order_by(stored.c.id)
    )
    if len(texts) <= scope.FEW:
        query = query.where(stored.c.text.in_({text.text for text in texts}))
    on = given_parameters(dialect, [(each,) for each in {text.element_id for text in texts}], 1)
    found = connection.execute(query, on)
    return Said(((row.element_id, row.text, row.orientation), tuple(row)) for row in found)


class Wanted(msgspec.Struct, frozen=True):
    """Which transcriptions are listed.

    Attributes:
        recursive: those of all elements below the element, too.
        element_type: of elements of this type only.
        worker_run: an id, or "False" for what people made.
        worker_version: the same for the version of a worker.
    """

    recursive: bool = False
    element_type: str | None = None
    worker_run: str | None = None
    worker_version: str | None = None


def listing(
    connection: Connection,
    organisation_id: str,
    element_id: str,
    wanted: Wanted,
    page: Page,
    *,
    site: str,
) -> dict[str, Any]:
    """Return a page of the transcriptions of an element, in the order in which they were made.

    Each tells of its element, too; `site` is scheme and host of this server, for the addresses of
    images.

    Raises:
        NotFound: there is no such element, or no such page.
        InvalidRequest: a filter cannot be used.
    """
    target = scope.element(connection, organisation_id, element_id)
    query: Select[Any] = select(
        *(corpus_transcriptions.c[name] for name in (*_COLUMNS, "worker_run_id"))
    )
    if wanted.recursive:
        query = query.where(corpus_transcriptions.c.element_id.in_(below(target.id)))
    else:
        query = query.where(corpus_transcriptions.c.element_id == target.id)
    if wanted.element_type is not None:
        kind = corpus_types.c.id == corpus_elements.c.type_id
        query = (
            query.join(corpus_elements, corpus_elements.c.id == corpus_transcriptions.c.element_id)
            .join(corpus_types, kind)
            .where(corpus_types.c.slug == wanted.element_type)
        )
    run = corpus_transcriptions.c.worker_run_id
    query = stamps.narrowed(query, run, wanted.worker_run, wanted.worker_version)
    count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    query = query.order_by(corpus_transcriptions.c.id).limit(page.size).offset(page.offset)
    rows = connection.execute(query).all()
    origins = stamps.shown(connection, [row.worker_run_id for row in rows])
    known = elements.shown(connection, list({row.element_id for row in rows}), site)
    return page.answer(
        [
            {
                "id": row.id,
                "element_id": row.element_id,
                "text": row.text,
                "confidence": row.confidence,
                "orientation": row.orientation,
                **origins[row.worker_run_id],
                "element": known.get(row.element_id),
            }
            for row in rows
        ],
        count,
    )


def below(element_id: str) -> Select[Any]:
    """Return a query for the ids of an element and of all elements below it."""
    tree = select(literal(element_id).label("id")).cte("tree", recursive=True)
    children = select(corpus_paths.c.child_id).join(tree, tree.c.id == corpus_paths.c.parent_id)
    # UNION drops what is reached twice: an element may have several parents.
    return select(tree.union(children).c.id)

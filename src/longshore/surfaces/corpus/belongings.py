"""What goes with elements that are deleted: the registry of the tables that know them.

Whoever adds a table with rows of elements adds it to `OF_ELEMENTS`, or a function to `FORGET`
where there is more to do than to delete rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Delete, Select, Table, Text, delete, select

from longshore.engine import works
from longshore.storage.bulk import given_parameters, given_rows
from longshore.surfaces.corpus.tables import (
    corpus_activities,
    corpus_classifications,
    corpus_dataset_elements,
    corpus_embeddings,
    corpus_metadata,
    corpus_process_elements,
    corpus_transcription_entities,
    corpus_transcriptions,
)

Forget = Callable[[Connection, Sequence[str]], Mapping[str, int]]
"""Deletes what belongs to elements, given by their ids; returns how many rows of what."""

OF_ELEMENTS: Final[tuple[Table, ...]] = (
    corpus_transcriptions,
    corpus_classifications,
    corpus_metadata,
    corpus_embeddings,
    corpus_dataset_elements,
    corpus_process_elements,
)
"""Tables whose rows belong to the element in `element_id`."""


def forget(connection: Connection, element_ids: Sequence[str]) -> dict[str, int]:
    """Delete all that belongs to elements but not their own rows; return the rows of each kind."""
    gone: dict[str, int] = {}
    for part in FORGET:
        for name, count in part(connection, element_ids).items():
            gone[name] = gone.get(name, 0) + count
    return gone


def _forget_activities(connection: Connection, element_ids: Sequence[str]) -> dict[str, int]:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    work_ids = list(connection.scalars(_activities(dialect), given))
    if work_ids:
        # A worker that is at it learns at its next word that there is nothing to report any more.
        works.discard(connection, work_ids, actor="server", why="the element was deleted")
        connection.execute(_of_elements(dialect, corpus_activities), given)
    return {"activities": len(work_ids)}


def _forget_entities(connection: Connection, element_ids: Sequence[str]) -> dict[str, int]:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    return {"transcription_entities": connection.execute(_spans(dialect), given).rowcount}


def _forget_rows(connection: Connection, element_ids: Sequence[str]) -> dict[str, int]:
    dialect = connection.dialect.name
    given = given_parameters(dialect, [(each,) for each in element_ids], 1)
    return {
        table.name.removeprefix("corpus_"): connection.execute(
            _of_elements(dialect, table), given
        ).rowcount
        for table in OF_ELEMENTS
    }


FORGET: Final[tuple[Forget, ...]] = (_forget_activities, _forget_entities, _forget_rows)
"""In the order in which they are done: what refers to a row goes before it."""


def _given(dialect: str) -> Select[Any]:
    given = given_rows(dialect, id=Text)
    return select(given.c.id)


@cache
def _of_elements(dialect: str, table: Table) -> Delete:
    return delete(table).where(table.c.element_id.in_(_given(dialect)))


@cache
def _spans(dialect: str) -> Delete:
    texts = corpus_transcriptions.c
    read = select(texts.id).where(texts.element_id.in_(_given(dialect)))
    spans = corpus_transcription_entities
    return delete(spans).where(spans.c.transcription_id.in_(read))


@cache
def _activities(dialect: str) -> Select[Any]:
    return select(corpus_activities.c.work_id).where(
        corpus_activities.c.element_id.in_(_given(dialect))
    )

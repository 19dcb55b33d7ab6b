"""Pages of elements: of a corpus, below and above another; with all filters of the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, func, select, true

from longshore.surfaces.corpus import element_types, elements, parents, scope, stamps
from longshore.surfaces.corpus.elements import PLAIN, Extras
from longshore.surfaces.corpus.paging import Page
from longshore.surfaces.corpus.tables import (
    corpus_elements,
    corpus_paths,
    corpus_transcriptions,
    corpus_types,
)

_ESCAPE: Final = "\\"


class Filters(NamedTuple):
    """Which elements are wanted; None asks for nothing.

    Attributes:
        name: part of the name, whatever the case of its letters.
        type: slug of a type.
        folder: whether its type is one of folders.
        top_level: whether nothing is above it; for elements of a corpus.
        recursive: also those further below or above, not only the nearest.
        worker_run: id of the run that made it, or "False" for what was made by hand.
        worker_version: the same for the version of the worker.
        transcription_worker_run: id of a run that gave it a transcription, or "False".
        transcription_worker_version: the same for the version of the worker.
    """

    name: str | None = None
    type: str | None = None
    folder: bool | None = None
    top_level: bool | None = None
    recursive: bool = False
    worker_run: str | None = None
    worker_version: str | None = None
    transcription_worker_run: str | None = None
    transcription_worker_version: str | None = None

    @property
    def narrow(self) -> bool:
        """Whether the rows of elements have to be looked at."""
        return self != Filters(recursive=self.recursive)


class Wanted(NamedTuple):
    """What of elements is listed, and how."""

    filters: Filters
    page: Page
    site: str
    extras: Extras = PLAIN


def of_corpus(
    connection: Connection, organisation_id: str, corpus_id: str, wanted: Wanted
) -> dict[str, Any]:
    """Return a page of the elements of a corpus, in the order in which they were made.

    Raises:
        NotFound: there is no such corpus or page.
        InvalidRequest: the corpus has no such type, or a filter is no id.
    """
    corpus_id = scope.corpus(connection, organisation_id, corpus_id)
    columns = corpus_elements.c
    query = select(columns.id).where(columns.corpus_id == corpus_id)
    query = _narrowed(connection, query, corpus_id, wanted.filters)
    return _page(connection, query, (columns.id,), wanted)


def children(
    connection: Connection, organisation_id: str, element_id: str, wanted: Wanted
) -> dict[str, Any]:
    """Return a page of the elements below one, in their order; of all with `recursive`, as made.

    Raises:
        NotFound: there is no such element or page.
        InvalidRequest: as `of_corpus`.
    """
    target = scope.element(connection, organisation_id, element_id)
    if wanted.filters.recursive:
        found = parents.below(connection, target.id)
        return _related(connection, found, target, wanted)
    paths = corpus_paths.c
    query = select(paths.child_id.label("id")).where(paths.parent_id == target.id)
    if wanted.filters.narrow:
        query = query.join(corpus_elements, corpus_elements.c.id == paths.child_id)
        query = _narrowed(connection, query, target.corpus_id, wanted.filters)
    return _page(connection, query, (paths.position, paths.child_id), wanted)


def above(
    connection: Connection, organisation_id: str, element_id: str, wanted: Wanted
) -> dict[str, Any]:
    """Return a page of the elements above one, in the order in which they were made.

    Raises:
        NotFound: there is no such element or page.
        InvalidRequest: as `of_corpus`.
    """
    target = scope.element(connection, organisation_id, element_id)
    if wanted.filters.recursive:
        found = parents.above(target.id)
    else:
        paths = corpus_paths.c
        found = select(paths.parent_id.label("id")).where(paths.child_id == target.id)
    return _related(connection, found, target, wanted)


def _related(
    connection: Connection, found: Select[Any], target: scope.Target, wanted: Wanted
) -> dict[str, Any]:
    known = found.subquery()
    if not wanted.filters.narrow:
        return _page(connection, select(known.c.id), (known.c.id,), wanted)
    columns = corpus_elements.c
    query = select(columns.id).where(columns.id == known.c.id)
    query = _narrowed(connection, query, target.corpus_id, wanted.filters)
    if connection.dialect.name == "sqlite":
        # In the order of the elements' own ids, it would go through all elements there are.
        return _page(connection, query, (known.c.id,), wanted)
    # PostgreSQL takes what is found by recursion for much more than it is; see `children_of`.
    each = query.offset(0).lateral("each")
    query = select(each.c.id).select_from(known.join(each, true()))
    return _page(connection, query, (each.c.id,), wanted)


def _page(
    connection: Connection,
    query: Select[Any],
    order: Sequence[ColumnElement[Any]],
    wanted: Wanted,
) -> dict[str, Any]:
    page = wanted.page
    chosen = query.order_by(*order).limit(page.size).offset(page.offset)
    found = list(connection.scalars(chosen))
    if len(found) < page.size and (found or page.number == 1):
        # The last page: there is no more to count.
        count = page.offset + len(found)
    else:
        count = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    shown = elements.shown(connection, found, wanted.site, wanted.extras)
    return page.answer([shown[each] for each in found], count)


def _narrowed(
    connection: Connection, query: Select[Any], corpus_id: str, filters: Filters
) -> Select[Any]:
    columns = corpus_elements.c
    if filters.name:
        query = query.where(columns.name.icontains(filters.name, autoescape=True))
    if filters.type is not None:
        type_id = element_types.wanted(connection, corpus_id, filters.type)
        query = query.where(columns.type_id == type_id)
    if filters.folder is not None:
        query = query.where(columns.type_id.in_(_folders(corpus_id, filters.folder)))
    if filters.top_level is not None:
        parent = select(corpus_paths.c.parent_id).where(corpus_paths.c.child_id == columns.id)
        query = query.where(
            _any(parent).is_(None) if filters.top_level else _any(parent).is_not(None)
        )
    query = stamps.narrowed(
        query, columns.worker_run_id, filters.worker_run, filters.worker_version
    )
    run, version = filters.transcription_worker_run, filters.transcription_worker_version
    if run is not None or version is not None:
        texts = corpus_transcriptions.c
        read = select(texts.id).where(texts.element_id == columns.id)
        read = stamps.narrowed(read, texts.worker_run_id, run, version)
        query = query.where(_any(read).is_not(None))
    return query


def _any(query: Select[Any]) -> ScalarSelect[Any]:
    """Return one value of a query about an element, or null where it has no row.

    It is looked for element by element. EXISTS would say the same, and lets PostgreSQL read the
    whole other table once instead, however few elements are wanted.
    """
    return query.limit(1).scalar_subquery()


def _folders(corpus_id: str, folder: bool) -> Select[Any]:
    return select(corpus_types.c.id).where(
        corpus_types.c.corpus_id == corpus_id, corpus_types.c.folder == folder
    )

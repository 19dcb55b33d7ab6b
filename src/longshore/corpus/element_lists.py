"""Listing elements: of the corpus, below an element, or above it; from the cache where there is one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Final, TypedDict, Unpack

from longshore.corpus import checks
from longshore.corpus.cache import CachedElement
from longshore.corpus.cache_fields import Field
from longshore.corpus.cache_records import R, Select
from longshore.corpus.mixin import WorkerMixin
from longshore.corpus.models import Element

_SOURCES: Final = {
    "transcription_worker_version": "transcription_worker_run",
    "transcription_worker_run": None,
    "worker_version": "worker_run",
    "worker_run": None,
}
"""Filters by who made something, and what is to be used instead of those that are outdated."""

_TEXTS: Final = ("name", "type", "element_type")
_CACHED: Final = frozenset({"type", "worker_version", "worker_run"})


class CommonFilters(TypedDict, total=False):
    """Filters of all lists of elements. None is as good as leaving one out.

    Sources (`worker_run` and its like) are an id, or False for what people made by hand.
    """

    folder: bool | None
    name: str | None
    transcription_worker_version: str | bool | None
    transcription_worker_run: str | bool | None
    type: str | None
    with_classes: bool | None
    with_corpus: bool | None
    with_metadata: bool | None
    with_has_children: bool | None
    with_zone: bool | None
    worker_version: str | bool | None
    worker_run: str | bool | None


class CorpusFilters(CommonFilters, total=False):
    """Filters of a list of the corpus's elements."""

    top_level: bool | None


class FamilyFilters(CommonFilters, total=False):
    """Filters of a list of an element's children or parents."""

    recursive: bool | None


class ElementListMixin(WorkerMixin):
    """Helpers that list elements.

    With a cache they read it, and then only know the filters `type`, `worker_version` and
    `worker_run`.
    """

    def list_elements(
        self, **filters: Unpack[CorpusFilters]
    ) -> Iterable[dict[str, Any]] | Iterable[CachedElement]:
        """List the elements of the corpus.

        Args:
            filters: see `CorpusFilters`.

        Returns:
            Elements as the API gives them, or rows of the cache; both have a length.

        Raises:
            AssertionError: a filter has a value that it cannot have.
            TypeError: there is no such filter.
        """
        query = checked(dict(filters), CorpusFilters)
        if not self.use_cache:
            return _paginated(self, "ListElements", query, corpus=self.corpus_id)
        return _of_cache(CachedElement.select(), query)

    def list_element_children(
        self, element: Element | CachedElement, **filters: Unpack[FamilyFilters]
    ) -> Iterable[dict[str, Any]] | Iterable[CachedElement]:
        """List the children of an element, with `recursive=True` all that is below it.

        Args:
            element: whose children they are.
            filters: see `FamilyFilters`.

        Returns:
            Elements as the API gives them, or rows of the cache; both have a length.

        Raises:
            AssertionError: the element is none, or a filter has a value that it cannot have.
            TypeError: there is no such filter.
        """
        checks.instance(element, "element", Element, CachedElement)
        query = checked(dict(filters), FamilyFilters)
        if not self.use_cache:
            return _paginated(self, "ListElementChildren", query, id=str(element.id))
        children = CachedElement.select().where(CachedElement.parent_id == element.id)
        return _of_cache(children, query)

    def list_element_parents(
        self, element: Element | CachedElement, **filters: Unpack[FamilyFilters]
    ) -> Iterable[dict[str, Any]] | Iterable[CachedElement]:
        """List the parents of an element, with `recursive=True` all that is above it.

        Args:
            element: whose parents they are.
            filters: see `FamilyFilters`.

        Returns:
            Elements as the API gives them, or rows of the cache; both have a length.

        Raises:
            AssertionError: the element is none, or a filter has a value that it cannot have.
            TypeError: there is no such filter.
        """
        checks.instance(element, "element", Element, CachedElement)
        query = checked(dict(filters), FamilyFilters)
        if not self.use_cache:
            return _paginated(self, "ListElementParents", query, id=str(element.id))
        known = CachedElement.get_or_none(CachedElement.id == element.id)
        above = [known.parent_id] if known is not None and known.parent_id else []
        return _of_cache(CachedElement.select().where(CachedElement.id.in_(above)), query)


def checked(filters: dict[str, Any], known: type) -> dict[str, Any]:
    """Check filters and return those that are set.

    Args:
        filters: values by name.
        known: the TypedDict that names the filters there are.

    Raises:
        AssertionError: a filter has a value that it cannot have.
        TypeError: there is no such filter.
    """
    names = known.__annotations__
    for base in getattr(known, "__orig_bases__", ()):
        names = {**getattr(base, "__annotations__", {}), **names}
    if unknown := filters.keys() - names.keys():
        raise TypeError(
            f"There is no filter {', '.join(sorted(unknown))}; known: {', '.join(names)}"
        )
    query = {}
    for name, value in filters.items():
        if value is None or (name in _TEXTS and value == ""):
            continue
        if name in _SOURCES:
            _check_source(name, value)
        elif name in _TEXTS:
            checks.text(value, name)
        else:
            checks.flag(value, name)
        query[name] = value
    return query


def from_sources(
    select: Select[R], query: dict[str, Any], worker_version: Field[Any], worker_run: Field[Any]
) -> Select[R]:
    """Narrow a query of the cache to what a worker made, or people where the filter is False."""
    for name, field in (("worker_version", worker_version), ("worker_run", worker_run)):
        if name in query:
            select = select.where(field == (query[name] or None))
    return select


def _check_source(name: str, value: Any) -> None:
    if better := _SOURCES[name]:
        warnings.warn(f"`{name}` is deprecated: use `{better}`", DeprecationWarning, stacklevel=4)
    checks.source(value, name)


def _paginated(
    worker: WorkerMixin, operation_id: str, query: dict[str, Any], **path: str
) -> Iterable[dict[str, Any]]:
    found: Iterable[dict[str, Any]] = worker.api_client.paginate(operation_id, **path, **query)
    return found


def _of_cache(select: Select[CachedElement], query: dict[str, Any]) -> Select[CachedElement]:
    """Narrow a query of the cache as far as the cache can."""
    unknown = sorted(query.keys() - _CACHED)
    checks.check(
        not unknown,
        f"the cache can only be filtered by type, worker_version and worker_run, "
        f"not by {', '.join(unknown)}",
    )
    if "type" in query:
        select = select.where(CachedElement.type == query["type"])
    return from_sources(select, query, CachedElement.worker_version_id, CachedElement.worker_run_id)

"""What the two databases do differently, apart from looking into JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, literal_column, select

from longshore.surfaces.buckets.query.nodes import Node
from longshore.surfaces.buckets.query.tree import Matches

T = TypeVar("T")


class Dialect(ABC):
    """One database's way of doing it."""

    @abstractmethod
    def about(
        self, document: ColumnElement[str], ask: Callable[[Node], ColumnElement[T]]
    ) -> ColumnElement[T]:
        """Return what `ask` says of a document; its text is made readable once."""

    @abstractmethod
    def matched(self, text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
        """Return whether a pattern is found in a text."""

    @abstractmethod
    def exact(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the number of a column so that it can be compared with one of a document."""

    @abstractmethod
    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the text of a column so that it is ordered by code points."""

    @abstractmethod
    def number(self, value: int | float) -> ColumnElement[Any]:
        """Return a number of the filter so that it can be compared with one of a document."""


def once(
    value: ColumnElement[Any], ask: Callable[[ColumnElement[Any]], ColumnElement[T]]
) -> ColumnElement[T]:
    """Return what `ask` says of a value, however often it looks at it, computed only once.

    The OFFSET keeps both planners from putting the expression itself wherever it is looked at.
    """
    computed = (
        select(value.label("document")).limit(literal_column("1")).offset(literal_column("0"))
    )
    table = computed.correlate_except().subquery()
    said = select(ask(table.c.document)).select_from(table)
    return said.correlate_except(table).scalar_subquery()

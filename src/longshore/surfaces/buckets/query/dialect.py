"""What the two databases do differently, apart from looking into JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, exists, literal_column, select

from longshore.surfaces.buckets.query.nodes import Node
from longshore.surfaces.buckets.query.tree import Matches


class Dialect(ABC):
    """One database's way of doing it."""

    def holds(
        self, document: ColumnElement[str], ask: Callable[[Node], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """Return whether what `ask` says of a document holds."""
        table = self._read_once(document)
        found: Select[Any] = select(literal_column("1")).select_from(table)
        # As a condition of its own, of which SQLite looks at no more than it has to.
        return exists(found.where(ask(self.root(table.c.document))).correlate_except(table))

    def told(
        self, document: ColumnElement[str], ask: Callable[[Node], ColumnElement[Any]]
    ) -> ColumnElement[Any]:
        """Return what `ask` says of a document."""
        table = self._read_once(document)
        said = select(ask(self.root(table.c.document))).select_from(table)
        return said.correlate_except(table).scalar_subquery()

    def _read_once(self, document: ColumnElement[str]) -> FromClause:
        # The OFFSET keeps both planners from reading the document again wherever it is looked at.
        read = select(self.readable(document).label("document"))
        once = read.limit(literal_column("1")).offset(literal_column("0"))
        return once.correlate_except().subquery()

    @abstractmethod
    def readable(self, document: ColumnElement[str]) -> ColumnElement[Any]:
        """Return a document so that the database can look into it, whatever it holds."""

    @abstractmethod
    def root(self, readable: ColumnElement[Any]) -> Node:
        """Return the node of a whole readable document."""

    @abstractmethod
    def matched(self, text: ColumnElement[Any], test: Matches) -> ColumnElement[bool]:
        """Return whether a pattern is found in a text."""

    @abstractmethod
    def exact(self, number: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the number of a column so that it can be compared with one of a document."""

    @abstractmethod
    def listed(self, text: ColumnElement[Any], values: list[str]) -> ColumnElement[bool]:
        """Return whether the text of a column is in a long list, which is bound as one value."""

    @abstractmethod
    def by_code_point(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the text of a column so that it is ordered by code points."""

    @abstractmethod
    def number(self, value: int | float) -> ColumnElement[Any]:
        """Return a number of the filter so that it can be compared with one of a document."""

"""What the two databases do differently, apart from looking into JSON."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement

from longshore.surfaces.buckets.query.nodes import Node
from longshore.surfaces.buckets.query.tree import Matches


class Dialect(ABC):
    """One database's way of doing it."""

    @abstractmethod
    def about(
        self, document: ColumnElement[str], ask: Callable[[Node], ColumnElement[bool]]
    ) -> ColumnElement[bool]:
        """Return what `ask` says of the document; its text is read once where that is dear."""

    @abstractmethod
    def root(self, document: ColumnElement[str]) -> Node:
        """Return the document itself, an object."""

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

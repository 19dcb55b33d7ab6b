"""Names that live in SQL columns: plain comparisons, which can use the columns' indexes."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Text,
    case,
    false,
    literal,
    literal_column,
    or_,
    true,
)

from longshore.surfaces.buckets.query.dialect import Dialect
from longshore.surfaces.buckets.query.fields import Column
from longshore.surfaces.buckets.query.nodes import (
    RANK_NULL,
    RANK_NUMBER,
    RANK_TEXT,
    Plain,
    ordered_as,
)
from longshore.surfaces.buckets.query.tree import Matches, OrderOperator

LISTED: Final = 50
"""How many values may be bound one by one; statements with more are slow to make."""


class ColumnNode(Plain):
    """A text or a number in a column; NULL stands for null."""

    def __init__(self, column: Column, dialect: Dialect) -> None:
        """Take the column and the ways of its database."""
        self._value = column.expression
        self._kind = column.kind
        self._dialect = dialect

    def present(self) -> ColumnElement[bool]:
        return true()

    def same(self, value: Any) -> ColumnElement[bool]:
        if value is None:
            return self._value.is_(None)
        return self._value == _bound(value) if self._holds(value) else false()

    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        held = [each for each in values if self._holds(each)]
        found: list[ColumnElement[bool]] = [self._value.is_(None)] if None in values else []
        if self._kind == "text" and len(held) > LISTED:
            found.append(self._dialect.listed(self._value, held))
        elif held:
            # Bound one by one, since the column would make each of them an integer of its own size.
            found.append(self._value.in_([_bound(each) for each in held]))
        return or_(false(), *found)

    def ordered(
        self, operator: OrderOperator, value: str | int | float | bool
    ) -> ColumnElement[bool]:
        if not self._holds(value):
            return false()
        left = self._dialect.by_code_point(self._value) if self._kind == "text" else self._value
        return ordered_as(operator, left, _bound(value))

    def matches(self, test: Matches) -> ColumnElement[bool]:
        return self._dialect.matched(self._value, test) if self._kind == "text" else false()

    def rank(self) -> ColumnElement[int]:
        rank = RANK_TEXT if self._kind == "text" else RANK_NUMBER
        return case(
            (self._value.is_(None), literal_column(str(RANK_NULL))),
            else_=literal_column(str(rank)),
        )

    def number(self) -> ColumnElement[Any]:
        if self._kind == "text":
            return literal_column("NULL")
        return self._dialect.exact(self._value)

    def text(self) -> ColumnElement[Any]:
        if self._kind == "number":
            return literal_column("NULL")
        return self._dialect.by_code_point(self._value)

    def _holds(self, value: Any) -> bool:
        """Return whether the column could hold this value."""
        if self._kind == "text":
            return isinstance(value, str) and "\0" not in value
        return isinstance(value, int | float) and not isinstance(value, bool)


def _bound(value: str | int | float) -> ColumnElement[Any]:
    match value:
        case str():
            return literal(value, Text)
        case int():
            return literal(value, BigInteger)
        case float():
            return literal(value, Double)

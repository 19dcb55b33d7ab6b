"""$expr in SQL: any two values compare, first by their types and then by what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, case, false, literal, literal_column, or_, true

from longshore.surfaces.buckets.query.dialect import Dialect
from longshore.surfaces.buckets.query.nodes import (
    RANK_BOOLEAN,
    RANK_NULL,
    RANK_NUMBER,
    RANK_TEXT,
    Node,
    negated,
    ordered_as,
    storable,
)
from longshore.surfaces.buckets.query.tree import ComparisonOperator, Scalar


@dataclass(frozen=True, slots=True)
class Comparable:
    """A value taken apart: its place among the types, and it as a number and as a text."""

    rank: ColumnElement[int]
    number: ColumnElement[Any]
    text: ColumnElement[Any]


def of_node(node: Node) -> Comparable:
    """Return what a path leads to, so that it can be compared with anything."""
    return Comparable(node.rank(), node.number(), node.text())


def of_constant(value: Scalar, dialect: Dialect) -> Comparable:
    """Return a value of the filter, so that it can be compared with anything."""
    null: ColumnElement[Any] = literal_column("NULL")
    match value:
        case None:
            return Comparable(_rank(RANK_NULL), null, null)
        case bool():
            return Comparable(_rank(RANK_BOOLEAN), dialect.number(int(value)), null)
        case int() | float():
            return Comparable(_rank(RANK_NUMBER), dialect.number(value), null)
        case str():
            return Comparable(_rank(RANK_TEXT), null, literal(storable(value), Text))


def compared(
    operator: ComparisonOperator, left: Comparable, right: Comparable
) -> ColumnElement[bool]:
    """Return a comparison. Two objects, or two arrays, compare as neither equal nor ordered."""
    if operator == "$ne":
        return negated(compared("$eq", left, right))
    alike = case(
        (left.rank <= _rank(RANK_NULL), false() if operator in {"$gt", "$lt"} else true()),
        (left.rank == _rank(RANK_TEXT), ordered_as(operator, left.text, right.text)),
        (
            left.rank.in_([_rank(RANK_NUMBER), _rank(RANK_BOOLEAN)]),
            ordered_as(operator, left.number, right.number),
        ),
        else_=false(),
    )
    same_type = and_(left.rank == right.rank, alike)
    match operator:
        case "$gt" | "$gte":
            return or_(left.rank > right.rank, same_type)
        case "$lt" | "$lte":
            return or_(left.rank < right.rank, same_type)
        case _:
            return same_type


def truth(value: Comparable, dialect: Dialect) -> ColumnElement[bool]:
    """Return whether a value is there and neither null, false nor zero."""
    return and_(
        value.rank > _rank(RANK_NULL),
        or_(value.number.is_(None), value.number != dialect.number(0)),
    )


def _rank(rank: int) -> ColumnElement[int]:
    return literal_column(str(rank))

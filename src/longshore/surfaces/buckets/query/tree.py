"""What a filter means, as a small tree: no Mongo syntax in it any more, and no SQL yet.

Every test is positive and is about one place in the document; what is the opposite of another
operator in Mongo ($ne, $nin, $nor, {"$exists": false}) is `Not` of it here. That is exact, since
Mongo defines them so, also for arrays and for missing fields.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from longshore.storage.regex import Pattern

Scalar: TypeAlias = str | int | float | bool | None
OrderOperator: TypeAlias = Literal["$gt", "$gte", "$lt", "$lte"]
ComparisonOperator: TypeAlias = Literal["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]
Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Equal:
    """The value, or an element of it when it is an array, equals `value` (any JSON)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Member:
    """The value, or an element of it, equals one of `values` (any JSON)."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """The value, or an element of it, has the type of `value` and this order to it."""

    operator: OrderOperator
    value: Scalar


@dataclass(frozen=True, slots=True)
class Present:
    """There is a value, be it null."""


@dataclass(frozen=True, slots=True)
class Size:
    """The value is an array of `count` elements."""

    count: int


@dataclass(frozen=True, slots=True)
class Matches:
    """The value, or an element of it, is a text in which `pattern` is found."""

    pattern: Pattern


@dataclass(frozen=True, slots=True)
class AnyElement:
    """The value is an array with an element for which `condition` holds.

    With `objects`, the condition is about the fields of elements that are objects. Without, its
    paths are empty and its tests are about the element itself.
    """

    condition: Condition
    objects: bool


Test: TypeAlias = Equal | Member | Order | Present | Size | Matches | AnyElement


@dataclass(frozen=True, slots=True)
class Field:
    """`test` holds for one of the values that `path` leads to; it leads through arrays."""

    path: Path
    test: Test


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; without parts, true."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts holds; without parts, false."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The value of a field, in $expr."""

    path: Path


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands for itself, in $expr."""

    value: Scalar


Operand: TypeAlias = FieldValue | Constant


@dataclass(frozen=True, slots=True)
class Compare:
    """Two operands of $expr in Mongo's order of all values, whatever their types."""

    operator: ComparisonOperator
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Truth:
    """An operand of $expr is there and neither null, false nor zero."""

    operand: Operand


Condition: TypeAlias = Field | And | Or | Not | Compare | Truth


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was checked, ready to be translated; known by its JSON, `text`."""

    text: str
    condition: Condition = field(compare=False)


def conjuncts(condition: Condition) -> list[Condition]:
    """Return the conditions that must all hold for `condition` to hold."""
    if isinstance(condition, And):
        return [part for each in condition.parts for part in conjuncts(each)]
    return [condition]

"""What a path leads to, as SQL: the interface that the two databases fill in.

A node is one value, or nothing where a field is missing. Its tests may be NULL where they are not
true, so whoever negates one writes `negated`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    case,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)

from longshore.storage.regex import NUL_STAND_IN
from longshore.surfaces.buckets.query.tree import (
    AnyElement,
    Equal,
    Matches,
    Member,
    Order,
    OrderOperator,
    Present,
    Scalar,
    Size,
    Test,
)

RANK_MISSING: Final = 0
RANK_NULL: Final = 1
RANK_NUMBER: Final = 2
RANK_TEXT: Final = 3
RANK_OBJECT: Final = 4
RANK_ARRAY: Final = 5
RANK_BOOLEAN: Final = 6


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of values, one of which is `node`, that are looked at where `condition` holds."""

    table: FromClause
    node: Node
    condition: ColumnElement[bool]

    def any(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return whether a row fulfils `condition`."""
        found: Select[Any] = select(literal_column("1")).select_from(self.table)
        return exists(found.where(self.condition, condition).correlate_except(self.table))


class Node(ABC):
    """One value in a document, or nothing."""

    @abstractmethod
    def is_array(self) -> ColumnElement[bool] | None:
        """Return whether the value is an array, or None when it never is."""

    @abstractmethod
    def child(self, name: str) -> Node:
        """Return what the field `name` of this object is; nothing where this is no object."""

    @abstractmethod
    def at(self, position: int) -> Node:
        """Return an element of this array; nothing where this is none or is shorter."""

    @abstractmethod
    def elements(self) -> Rows:
        """Return the elements of this array, for who has made sure that it is one."""

    @abstractmethod
    def spread(self) -> Rows:
        """Return the objects in this array, or this value alone where it is no array."""

    @abstractmethod
    def present(self) -> ColumnElement[bool]:
        """Return whether there is a value, be it null."""

    @abstractmethod
    def is_object(self) -> ColumnElement[bool]:
        """Return whether the value is an object."""

    @abstractmethod
    def same(self, value: Any) -> ColumnElement[bool]:
        """Return whether the value equals `value`, any JSON, and is there."""

    @abstractmethod
    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        """Return whether the value equals one of `values` and is there."""

    @abstractmethod
    def ordered(
        self, operator: OrderOperator, value: str | int | float | bool
    ) -> ColumnElement[bool]:
        """Return whether the value has the type of `value` and that order to it."""

    @abstractmethod
    def has_size(self, count: int) -> ColumnElement[bool]:
        """Return whether the value is an array of so many elements."""

    @abstractmethod
    def matches(self, test: Matches) -> ColumnElement[bool]:
        """Return whether the value is a text in which a pattern is found."""

    @abstractmethod
    def rank(self) -> ColumnElement[int]:
        """Return the place of the value's type in Mongo's order of types (RANK_*)."""

    @abstractmethod
    def number(self) -> ColumnElement[Any]:
        """Return a number as such, a boolean as 0 or 1, and NULL for all else."""

    @abstractmethod
    def text(self) -> ColumnElement[Any]:
        """Return a text, in the order of code points, and NULL for all else."""

    def own(self, test: Test) -> ColumnElement[bool]:
        """Return whether the value itself, not an element of it, passes a simple test."""
        match test:
            case Equal(value):
                return self._equal(value)
            case Member(values):
                return self._member(list(values))
            case Order(operator, value):
                return self._in_order(operator, value)
            case Present():
                return self.present()
            case Size(count):
                return self.has_size(count)
            case Matches():
                return self.matches(test)
            case AnyElement():
                raise AssertionError("the translator looks into elements itself")

    def _equal(self, value: Any) -> ColumnElement[bool]:
        found = self.same(value)
        return or_(negated(self.present()), found) if value is None else found

    def _member(self, values: list[Any]) -> ColumnElement[bool]:
        found = self.one_of(values) if values else false()
        return or_(negated(self.present()), found) if None in values else found

    def _in_order(self, operator: OrderOperator, value: Scalar) -> ColumnElement[bool]:
        if value is None:
            return self._equal(None) if operator in {"$gte", "$lte"} else false()
        return self.ordered(operator, value)

    def passes(self, test: Test) -> ColumnElement[bool]:
        """Return whether the value, or an element of it when it is an array, passes."""
        array = self.is_array()
        if array is None or isinstance(test, Present | Size):
            return self.own(test)
        rows = self.elements()
        found = rows.any(rows.node.own(test))
        if may_be_array(test):
            found = or_(self.own(test), found)
        return case((array, found), else_=self.own(test))


class Plain(Node):
    """A node that is never an array or an object."""

    def is_array(self) -> None:
        return None

    def is_object(self) -> ColumnElement[bool]:
        return false()

    def child(self, name: str) -> Node:
        return MISSING

    def at(self, position: int) -> Node:
        return MISSING

    def elements(self) -> Rows:
        raise AssertionError("only arrays have elements")

    def spread(self) -> Rows:
        raise AssertionError("only what may be an array is spread")

    def has_size(self, count: int) -> ColumnElement[bool]:
        return false()


class Missing(Plain):
    """What a path leads to when it leads nowhere, whatever the document."""

    def present(self) -> ColumnElement[bool]:
        return false()

    def same(self, value: Any) -> ColumnElement[bool]:
        return false()

    def one_of(self, values: list[Any]) -> ColumnElement[bool]:
        return false()

    def ordered(self, operator: OrderOperator, value: Scalar) -> ColumnElement[bool]:
        return false()

    def matches(self, test: Matches) -> ColumnElement[bool]:
        return false()

    def rank(self) -> ColumnElement[int]:
        return literal_column(str(RANK_MISSING))

    def number(self) -> ColumnElement[Any]:
        return literal_column("NULL")

    def text(self) -> ColumnElement[Any]:
        return literal_column("NULL")


MISSING: Final = Missing()


def negated(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether a condition does not hold; what is NULL does not hold either."""
    return condition.is_not(true())


def may_be_array(test: Test) -> bool:
    """Return whether an array as a whole can pass a simple test."""
    match test:
        case Equal(value):
            return isinstance(value, list)
        case Member(values):
            return any(isinstance(value, list) for value in values)
        case _:
            return False


def ordered_as(
    operator: str, left: ColumnElement[Any], right: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return a comparison in SQL."""
    match operator:
        case "$eq":
            return left == right
        case "$ne":
            return left != right
        case "$gt":
            return left > right
        case "$gte":
            return left >= right
        case "$lt":
            return left < right
        case _:
            return left <= right


def storable(value: Any) -> Any:
    """Return a JSON value with each NUL replaced, as it is in the documents that are looked at."""
    match value:
        case str():
            return value.replace("\0", NUL_STAND_IN)
        case list():
            return [storable(each) for each in value]
        case dict():
            return {storable(key): storable(each) for key, each in value.items()}
        case _:
            return value


def unescaped(document: ColumnElement[str]) -> ColumnElement[str]:
    """Return the text of a document with each escape of NUL replaced.

    A backslash that is itself escaped may stand before the letters u0000, so such pairs are
    rewritten first; whatever backslash is then left begins an escape.
    """
    no_pairs = func.replace(document, "\\\\", "\\u005c")
    return func.replace(no_pairs, "\\u0000", f"\\u{ord(NUL_STAND_IN):04x}")

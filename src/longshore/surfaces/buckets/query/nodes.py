"""What a path leads to, as SQL: the interface that the two databases fill in.

A node is one value, or nothing where a field is missing. Its tests may be NULL where they are not
true, so whoever negates one writes `negated`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
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
    """Tables of which each row has a value, `node`, where `condition` holds."""

    tables: tuple[FromClause, ...]
    node: Node
    condition: ColumnElement[bool]


def any_row(rows: Sequence[Rows], condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return whether `condition` holds for a row of the last of `rows`, each made from the one before.

    They are joined, not nested, and the part that may be deep comes first: SQLite parses a
    statement up to a depth of 100 symbols only. It looks at that part last all the same.
    """
    if not rows:
        return condition
    tables = [table for each in rows for table in each.tables]
    found: Select[Any] = select(literal_column("1")).select_from(*tables)
    conditions = [each.condition for each in rows]
    return exists(found.where(condition, *conditions).correlate_except(*tables))


class Node(ABC):
    """One value in a document, or nothing."""

    @abstractmethod
    def is_array(self) -> ColumnElement[bool] | None:
        """Return whether the value is an array, or None when it never is."""

    @abstractmethod
    def is_no_array(self) -> ColumnElement[bool]:
        """Return whether the value is no array or there is none; never NULL."""

    @abstractmethod
    def child(self, name: str) -> Node:
        """Return what the field `name` of this object is; nothing where this is no object."""

    def leads_to(self, name: str) -> bool:
        """Return whether `child` makes a longer path only, and no expression within another."""
        return True

    @abstractmethod
    def at(self, position: int) -> Node:
        """Return an element of this array; nothing where this is none or is shorter."""

    @abstractmethod
    def elements(self) -> Rows:
        """Return the elements of this array, for who has made sure that it is one."""

    @abstractmethod
    def step(self, name: str) -> Rows:
        """Return what a step of a path leads to: a field of this, or of each object in this array."""

    @abstractmethod
    def step_to(self, position: int, name: str) -> Rows:
        """Return what a number in a path leads to.

        In an array, that is the element at `position`, and the fields `name` of objects in it that
        have one; in anything else, the field `name`.
        """

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
        # An array fails every test of a scalar by itself, so nothing asks twice in vain.
        return or_(and_(array, any_row([rows], rows.node.own(test))), self.own(test))


class Plain(Node):
    """A node that is never an array or an object."""

    def is_array(self) -> None:
        return None

    def is_no_array(self) -> ColumnElement[bool]:
        return true()

    def is_object(self) -> ColumnElement[bool]:
        return false()

    def child(self, name: str) -> Node:
        return MISSING

    def at(self, position: int) -> Node:
        return MISSING

    def elements(self) -> Rows:
        raise AssertionError("only arrays have elements")

    def step(self, name: str) -> Rows:
        raise AssertionError("a path goes on from what may be an array")

    def step_to(self, position: int, name: str) -> Rows:
        raise AssertionError("a path goes on from what may be an array")

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
    # With IS NOT TRUE, SQLite would look at all parts of the condition even when one is enough.
    return case((condition, false()), else_=true())


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

"""From the Mongo filter form to the tree: an allow-list, with limits, and no SQL.

What is not listed here is refused with the name of the operator, its place in the filter and what
to use instead. Nothing of a filter is ever ignored.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final

from longshore.errors import InvalidRequest
from longshore.storage import regex
from longshore.surfaces.buckets.query.budget import (
    Budget,
    entries,
    items,
    path_of,
    refusal,
    refuse,
    scalar,
    text_of,
)
from longshore.surfaces.buckets.query.expressions import expression
from longshore.surfaces.buckets.query.tree import (
    And,
    AnyElement,
    Condition,
    Equal,
    Field,
    Filter,
    Matches,
    Member,
    Not,
    Or,
    Order,
    Path,
    Present,
    Size,
    conjuncts,
)

KEPT_CHARACTERS: Final = 4_096
SIZE_MAX: Final = 2**31 - 1
"""Of an array, far beyond what a work may hold; databases know no whole numbers beyond 64 bits."""
LOGICAL: Final = ("$and", "$or", "$nor")
OPERATORS: Final = (
    "$eq", "$ne", "$in", "$nin", "$gt", "$gte", "$lt", "$lte", "$exists", "$not", "$all", "$size",
    "$elemMatch", "$regex",
)  # fmt: skip


def parse(value: Any) -> Filter:
    """Return the filter that a Mongo filter document stands for.

    Raises InvalidRequest for what is not supported or not understood, TooLarge for what is over
    one of the limits QUERY_* and REGEX_CHARACTERS.
    """
    text = text_of(value)
    return _kept(text) if len(text) <= KEPT_CHARACTERS else _parsed(text)


def _parsed(text: str) -> Filter:
    return Filter(text, _Reader().fields(json.loads(text), "", 1, nested=False))


# Workers ask with the same filter again and again.
_kept = functools.lru_cache(maxsize=512)(_parsed)


def pipelines_of(wanted: Filter) -> set[str] | None:
    """Return the buckets that a filter is limited to, or None when it may match in any."""
    found: set[str] | None = None
    for part in conjuncts(wanted.condition):
        match part:
            case Field(("pipeline",), Equal(value)):
                values: tuple[Any, ...] = (value,)
            case Field(("pipeline",), Member(values)):
                pass
            case _:
                continue
        names = {value for value in values if isinstance(value, str)}
        found = names if found is None else found & names
    return found


class _Reader:
    """Reads one filter."""

    def __init__(self) -> None:
        self._budget = Budget()
        self._tests: dict[str, Callable[[Path, Any, str, int], Condition]] = {
            "$eq": self._equal,
            "$ne": lambda *each: Not(self._equal(*each)),
            "$in": self._member,
            "$nin": lambda *each: Not(self._member(*each)),
            "$exists": self._exists,
            "$not": self._not,
            "$all": self._all,
            "$size": self._size,
            "$elemMatch": self._any_element,
        }

    def fields(self, value: Any, place: str, depth: int, *, nested: bool) -> Condition:
        """Read an object of conditions on fields; all of them must hold."""
        parts = []
        self._budget.depth(depth, place or "its top")
        for key, wanted in entries(value, place, "a filter").items():
            here = f"{place}.{key}" if place else key
            if key in LOGICAL:
                parts.append(self._logical(key, wanted, here, depth, nested=nested))
            elif key == "$expr" and not nested:
                self._budget.depth(depth + 1, here)
                parts.append(expression(wanted, here, depth + 1, self._budget))
            elif key.startswith("$"):
                refuse(here, self._misplaced(key))
            else:
                parts.append(
                    self._field(
                        self._budget.path(path_of(key, here), here), wanted, here, depth + 1
                    )
                )
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _logical(
        self, operator: str, value: Any, place: str, depth: int, *, nested: bool
    ) -> Condition:
        self._budget.term(place)
        filters = items(value, place, f"{operator} with a list of filters")
        if not filters:
            refuse(place, f"{operator} has an empty list; give it filters or leave it out")
        parts = tuple(
            self.fields(each, f"{place}[{index}]", depth + 1, nested=nested)
            for index, each in enumerate(filters)
        )
        if operator == "$and":
            return And(parts)
        return Or(parts) if operator == "$or" else Not(Or(parts))

    def _field(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        if isinstance(value, dict) and any(str(key).startswith("$") for key in value):
            return self.tests(path, value, place, depth)
        return self._equal(path, value, place, depth)

    def tests(self, path: Path, value: dict[str, Any], place: str, depth: int) -> Condition:
        """Read an object of operators on one field; each holds for itself."""
        self._budget.depth(depth, place)
        if "$options" in value and "$regex" not in value:
            refuse(f"{place}.$options", "$options belongs to a $regex beside it")
        parts = [
            self._test(path, operator, operand, value, f"{place}.{operator}", depth)
            for operator, operand in value.items()
            if operator != "$options"
        ]
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _test(
        self,
        path: Path,
        operator: str,
        operand: Any,
        beside: dict[str, Any],
        place: str,
        depth: int,
    ) -> Condition:
        if operator in self._tests:
            return self._tests[operator](path, operand, place, depth + 1)
        match operator:
            case "$gt" | "$gte" | "$lt" | "$lte":
                self._budget.term(place)
                self._budget.value(place)
                return Field(path, Order(operator, scalar(operand, place)))
            case "$regex":
                return self._regex(path, operand, beside.get("$options", ""), place)
            case _:
                raise refusal(place, self._misplaced(operator))

    def _equal(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        return Field(path, Equal(self._budget.literal(value, place, depth)))

    def _member(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        values = items(value, place, "$in or $nin with a list of values")
        return Field(path, Member(self._literals(values, place, depth)))

    def _literals(self, values: list[Any], place: str, depth: int) -> tuple[Any, ...]:
        return tuple(
            self._budget.literal(each, f"{place}[{index}]", depth)
            for index, each in enumerate(values)
        )

    def _exists(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        if value not in (0, 1) or isinstance(value, float):
            refuse(place, "$exists takes true or false")
        return Field(path, Present()) if value else Not(Field(path, Present()))

    def _not(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        operators = entries(value, place, "$not with operators")
        if not operators:
            refuse(place, "$not has no operators; write {'$not': {'$gt': 5}}, or use $ne")
        return Not(self.tests(path, dict(operators), place, depth))

    def _all(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        values = items(value, place, "$all with a list of values")
        if not values:
            return Or(())
        if any(isinstance(each, dict) and "$elemMatch" in each for each in values):
            return And(
                tuple(
                    self._all_elements(path, each, f"{place}[{index}]", depth)
                    for index, each in enumerate(values)
                )
            )
        for index in range(len(values)):
            self._budget.term(f"{place}[{index}]")
        literals = self._literals(values, place, depth)
        return And(tuple(Field(path, Equal(each)) for each in literals))

    def _all_elements(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        if not isinstance(value, dict) or list(value) != ["$elemMatch"]:
            refuse(place, "a list of $all holds either values or $elemMatch, not both")
        return self._any_element(path, value["$elemMatch"], f"{place}.$elemMatch", depth + 1)

    def _size(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        count = scalar(value, place)
        if isinstance(count, bool) or not isinstance(count, int | float) or count != int(count):
            refuse(place, "$size takes a whole number")
        if not 0 <= count <= SIZE_MAX:
            refuse(place, f"$size takes a number from 0 to {SIZE_MAX}")
        return Field(path, Size(int(count)))

    def _any_element(self, path: Path, value: Any, place: str, depth: int) -> Condition:
        self._budget.term(place)
        inner = dict(entries(value, place, "$elemMatch with a filter or with operators"))
        if any(key.startswith("$") and key not in LOGICAL for key in inner):
            condition = self.tests((), inner, place, depth)
            return Field(path, AnyElement(condition, objects=False))
        condition = self.fields(inner, place, depth, nested=True)
        return Field(path, AnyElement(condition, objects=True))

    def _regex(self, path: Path, value: Any, options: Any, place: str) -> Condition:
        self._budget.term(place)
        if not isinstance(value, str) or not isinstance(options, str):
            refuse(place, "$regex and $options take a text")
        scalar(value, place)
        try:
            pattern = regex.parse(value, options)
        except InvalidRequest as error:
            raise type(error)(f"The filter is refused at {place}: {error.message}.") from error
        return Field(path, Matches(pattern))

    def _misplaced(self, operator: str) -> str:
        if not operator.startswith("$"):
            return (
                f"the name {operator!r} stands beside operators; compare with a whole object, or "
                "name the inner field by a dotted path"
            )
        if operator in OPERATORS or operator == "$options":
            return f'{operator} belongs under the name of a field, as in {{"status": {{"{operator}": ...}}}}'
        if operator in LOGICAL or operator == "$expr":
            return f"{operator} stands at the top of a filter, not under the name of a field or in $elemMatch"
        return (
            f"the operator {operator} is not supported; supported are {', '.join(OPERATORS)}, and "
            f"beside names of fields {', '.join(LOGICAL)} and, at the top, $expr"
        )

"""$expr: comparisons between fields, read into the tree."""

from __future__ import annotations

from typing import Any, Final

from longshore.errors import InvalidRequest
from longshore.surfaces.buckets.query.budget import (
    Budget,
    checked_text,
    items,
    path_of,
    refusal,
    refuse,
    scalar,
)
from longshore.surfaces.buckets.query.tree import (
    And,
    Compare,
    Condition,
    Constant,
    FieldValue,
    Not,
    Operand,
    Or,
    Truth,
)

OPERATORS: Final = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$and", "$or", "$not")


def expression(value: Any, place: str, depth: int, budget: Budget) -> Condition:
    """Return what the operand of $expr, or a part of it, stands for as a condition."""
    budget.depth(depth, place)
    if not isinstance(value, dict):
        return Truth(_operand(value, place, budget))
    if len(value) != 1:
        refuse(place, "an object in $expr has exactly one key, its operator")
    ((operator, operands),) = value.items()
    here = f"{place}.{operator}"
    budget.term(here)
    match operator:
        case "$and" | "$or":
            parts = tuple(
                expression(each, f"{here}[{index}]", depth + 1, budget)
                for index, each in enumerate(items(operands, here, f"{operator} with a list"))
            )
            return And(parts) if operator == "$and" else Or(parts)
        case "$not":
            inner = operands
            if isinstance(operands, list):
                if len(operands) != 1:
                    refuse(here, "$not takes one expression")
                inner = operands[0]
            return Not(expression(inner, here, depth + 1, budget))
        case "$eq" | "$ne" | "$gt" | "$gte" | "$lt" | "$lte":
            pair = items(operands, here, f"{operator} with a list of two operands")
            if len(pair) != 2:
                refuse(here, f"{operator} compares two operands, and {len(pair)} are given")
            left, right = (
                _operand(each, f"{here}[{index}]", budget) for index, each in enumerate(pair)
            )
            return Compare(operator, left, right)
        case "$literal":
            return Truth(_operand(value, place, budget))
        case _:
            raise _unsupported(operator, here)


def _operand(value: Any, place: str, budget: Budget) -> Operand:
    budget.value(place)
    if isinstance(value, dict):
        if list(value) == ["$literal"]:
            return Constant(scalar(value["$literal"], f"{place}.$literal"))
        if len(value) == 1:
            raise _unsupported(next(iter(value)), place)
    if isinstance(value, str) and value.startswith("$"):
        checked_text(value, place)
        if value.startswith("$$") or value == "$":
            refuse(
                place,
                f"the variable {value!r} is not supported; name a field as in '$attempt', or write "
                "{'$literal': ...} for a text that starts with $",
            )
        return FieldValue(budget.path(path_of(value[1:], place), place))
    return Constant(scalar(value, place))


def _unsupported(operator: object, place: str) -> InvalidRequest:
    return refusal(
        place,
        f"{operator} is not supported there; $expr knows {', '.join(OPERATORS)}, whose operands "
        "are names of fields ('$attempt'), texts, numbers, true, false and null",
    )

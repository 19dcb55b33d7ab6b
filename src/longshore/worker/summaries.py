"""Figures over the outputs of a chunk: SUM, AVG, MIN, MAX and COUNT."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from longshore.wire.payloads import NO_RESULT
from longshore.wire.pipelines import Summary

_OPERATORS: Final[dict[str, Callable[[list[float]], float]]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}


def encoded(summary: Summary | None, outputs: Sequence[dict[str, Any] | None]) -> msgspec.Raw:
    """Return the JSON of a row for each figure: name of the output, operator, and the figure.

    A figure is null where there is none: for no numbers at all, and for any failed record unless
    the summary says that errors are ignored. What is no number is passed over; COUNT counts what
    is not null.
    """
    if summary is None or not summary.aggregation:
        return NO_RESULT
    failed = None in outputs and not summary.ignore_error
    rows: list[list[Any]] = []
    for each in summary.aggregation:
        operator = each.operator.upper()
        values = [output.get(each.output_name) for output in outputs if output is not None]
        figure = None if failed else _figure(operator, values)
        rows.append([each.output_name, operator, figure])
    return msgspec.Raw(msgspec.json.encode(rows))


def _figure(operator: str, values: list[Any]) -> float | None:
    if operator == "COUNT":
        return sum(value is not None for value in values)
    numbers = [number for number in map(_number, values) if number is not None]
    compute = _OPERATORS.get(operator)
    if compute is None or not numbers:
        return None
    if operator == "SUM" and all(isinstance(number, int) for number in numbers):
        return sum(numbers)
    try:
        figure = compute(numbers)
    except OverflowError:
        return None
    return figure if math.isfinite(figure) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value
    # Numbers of numeric libraries.
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return _number(item())
    return None

"""Checks of arguments before anything is sent: an AssertionError says which one is wrong, and how.

They are errors of whoever calls a helper, so that a batch of results is refused whole, on the
worker, and nothing of it reaches the server.
"""

from __future__ import annotations

import reprlib
from typing import Any
from uuid import UUID

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def check(condition: object, message: str) -> None:
    """Raise AssertionError with `message` unless `condition` holds; also where Python runs -O."""
    if not condition:
        raise AssertionError(message)


def shown(value: object) -> str:
    """Return a value as an error message shows it: cut short when it is long."""
    return _SHORT.repr(value)


def text(value: object, name: str) -> None:
    """Check that a value is text, and not empty."""
    check(
        isinstance(value, str) and value,
        f"{name} must be text that is not empty, not {shown(value)}",
    )


def flag(value: object, name: str) -> None:
    """Check that a value is True or False."""
    check(isinstance(value, bool), f"{name} must be True or False, not {shown(value)}")


def confidence(value: object, name: str = "confidence", *, optional: bool = False) -> None:
    """Check that a value is a float from 0 to 1; an int is refused, since 1 may mean a percent."""
    if optional and value is None:
        return
    check(
        isinstance(value, float) and 0 <= value <= 1,
        f"{name} must be {'None or ' if optional else ''}a float from 0.0 to 1.0, not {shown(value)}",
    )


def polygon(value: Any, name: str = "polygon") -> None:
    """Check that a value is a list of at least three points, each a list of two numbers."""
    points(value, name)
    for point in value:
        check(
            isinstance(point, list) and len(point) == 2 and all(map(_is_number, point)),
            f"each point of {name} must be a list of two numbers, not {shown(point)}",
        )


def points(value: object, name: str) -> None:
    """Check that a value is a list of at least three things."""
    check(
        isinstance(value, list) and len(value) >= 3,
        f"{name} must be a list of at least three points, not {shown(value)}",
    )


def whole(value: object, name: str, *, least: int) -> None:
    """Check that a value is an int of at least `least`."""
    check(
        isinstance(value, int) and not isinstance(value, bool) and value >= least,
        f"{name} must be an int of at least {least}, not {shown(value)}",
    )


def items(value: object, name: str) -> None:
    """Check that a value is a list with something in it."""
    check(
        isinstance(value, list) and value,
        f"{name} must be a list that is not empty, not {shown(value)}",
    )


def mapping(value: object, name: str) -> None:
    """Check that a value is a dict."""
    check(isinstance(value, dict), f"{name} must be a dict, not {shown(value)}")


def instance(value: object, name: str, *kinds: type) -> None:
    """Check that a value is of one of the given classes, and not empty."""
    words = " or ".join(kind.__name__ for kind in kinds)
    check(isinstance(value, kinds) and value, f"{name} must be of type {words}, not {shown(value)}")


def uuid(value: Any, name: str) -> None:
    """Check that text is a UUID.

    Raises:
        ValueError: it is none.
    """
    try:
        UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{name} must be a UUID, not {shown(value)}") from None


def source(value: object, name: str) -> None:
    """Check a filter by worker run or version: an id, or False for what people made by hand."""
    check(
        value is False or (isinstance(value, str) and value),
        f"{name} must be an id, or False for results made by hand, not {shown(value)}",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

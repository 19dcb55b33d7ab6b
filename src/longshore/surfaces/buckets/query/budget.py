"""The limits of one filter while it is read, and how a place in it is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from longshore.errors import InvalidRequest, TooLarge
from longshore.limits import (
    NAME_CHARACTERS,
    QUERY_BYTES,
    QUERY_DEPTH,
    QUERY_PATH_STEPS,
    QUERY_STEPS,
    QUERY_TERMS,
    QUERY_VALUES,
)

INTEGER_MAX = 2**63 - 1


class Budget:
    """Counts the terms and values of a filter and refuses what is too much."""

    def __init__(self) -> None:
        """Start a count."""
        self._terms = 0
        self._values = 0
        self._steps = 0

    def term(self, place: str) -> None:
        """Count one test, logical operator or operand."""
        self._terms += 1
        if self._terms > QUERY_TERMS:
            raise TooLarge(
                f"The filter has more than {QUERY_TERMS} terms (the first one too many is at "
                f"{place}). Use $in for many values of one field, or ask several times."
            )

    def value(self, place: str) -> None:
        """Count one value that is compared with."""
        self._values += 1
        if self._values > QUERY_VALUES:
            raise TooLarge(
                f"The filter has more than {QUERY_VALUES} values (the first one too many is at "
                f"{place}). Ask several times with a part of them."
            )

    def depth(self, depth: int, place: str) -> None:
        """Refuse an object that lies too deep."""
        if depth > QUERY_DEPTH:
            raise TooLarge(
                f"The filter is nested more than {QUERY_DEPTH} objects deep at {place}. Name an "
                "inner field by a dotted path, and join conditions without nesting them."
            )

    def path(self, steps: tuple[str, ...], place: str) -> tuple[str, ...]:
        """Count the names of a path and return it."""
        self._steps += len(steps)
        if self._steps > QUERY_STEPS:
            raise TooLarge(
                f"The filter's paths have more than {QUERY_STEPS} names together (the first one "
                f"too many is at {place}). Ask several times with a part of the conditions."
            )
        return steps

    def literal(self, value: Any, place: str, depth: int) -> Any:
        """Return a JSON value that a field is compared with, after a look at all of it."""
        self.value(place)
        match value:
            case dict():
                self.depth(depth, place)
                for key, inner in value.items():
                    if not isinstance(key, str) or key.startswith("$"):
                        refuse(
                            place,
                            f"{key!r} stands inside a value that is compared with; an operator "
                            "stands directly under the name of a field",
                        )
                    checked_text(key, place)
                    # Each part of an object or an array is a comparison of its own.
                    self.term(f"{place}.{key}")
                    self.literal(inner, f"{place}.{key}", depth + 1)
            case list():
                self.depth(depth, place)
                for index, inner in enumerate(value):
                    self.term(f"{place}[{index}]")
                    self.literal(inner, f"{place}[{index}]", depth + 1)
            case _:
                scalar(value, place)
        return value


def refusal(place: str, why: str, subject: str = "filter") -> InvalidRequest:
    """Return the error that says what is wrong at which place of the filter."""
    return InvalidRequest(f"The {subject} is refused at {place or 'its top'}: {why}.")


def refuse(place: str, why: str, subject: str = "filter") -> NoReturn:
    """Raise the error that says what is wrong at which place of the filter."""
    raise refusal(place, why, subject)


def text_of(value: Any) -> str:
    """Return a filter as JSON, or refuse it when it is none or is too long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The filter is no JSON ({error}). Send objects, lists, texts, numbers, true, false "
            "and null only."
        ) from error
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > QUERY_BYTES:
        raise TooLarge(
            f"The filter has {size} bytes and {QUERY_BYTES} are allowed. Ask several times with a "
            "part of the values."
        )
    return text


def scalar(value: Any, place: str) -> str | int | float | bool | None:
    """Return a value that is neither object nor array, or refuse it."""
    match value:
        case None | bool():
            return value
        case str():
            return checked_text(value, place)
        case int():
            if not -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
                refuse(place, "the whole number does not fit into 64 bits; send it as 1.0e20")
            return value
        case float():
            if not math.isfinite(value):
                refuse(place, "the number is not finite; leave the comparison out")
            return value
        case _:
            refuse(
                place,
                f"{_kind(value)} stands where a text, a number, true, false or null is expected",
            )


def checked_text(value: str, place: str, subject: str = "filter") -> str:
    """Return a text, or refuse it where it is no Unicode."""
    if any("\ud800" <= character <= "\udfff" for character in value):
        refuse(
            place,
            "the text holds half a surrogate pair, which is no character; leave it out",
            subject,
        )
    return value


def path_of(name: str, place: str, subject: str = "filter") -> tuple[str, ...]:
    """Return the steps of a dotted path, or refuse it."""
    checked_text(name, place, subject)
    steps = tuple(name.split("."))
    if len(steps) > QUERY_PATH_STEPS or len(name) > NAME_CHARACTERS:
        raise TooLarge(
            f"The path {name[:60]!r}... has {len(steps)} names and {len(name)} characters, and "
            f"{QUERY_PATH_STEPS} names and {NAME_CHARACTERS} characters are allowed. Ask for a "
            "field that lies less deep."
        )
    if any(step.startswith("$") for step in steps):
        refuse(
            place,
            f"the path {name!r} has a name that starts with $; no field has such a name",
            subject,
        )
    return steps


def is_position(step: str) -> bool:
    """Return whether a step of a path may be a position in an array."""
    return step.isascii() and step.isdigit()


def entries(value: Any, place: str, what: str, subject: str = "filter") -> Mapping[str, Any]:
    """Return an object, or refuse what is none."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        refuse(place, f"{what} is expected, an object, and {_kind(value)} stands there", subject)
    return value


def items(value: Any, place: str, what: str) -> list[Any]:
    """Return a list, or refuse what is none."""
    if not isinstance(value, list):
        refuse(place, f"{what} is expected, a list, and {_kind(value)} stands there")
    return value


def _kind(value: Any) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", bool: "a boolean"}
    if value is None:
        return "null"
    return names.get(
        type(value), "a number" if isinstance(value, int | float) else "something else"
    )

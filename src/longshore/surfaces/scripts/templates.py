"""`${...}` in the arguments, the command and the environment of a step.

`${run.id}`, `${run.date}`, `${step.name}`, `${matrix.NAME}` and `${event.PATH}` are replaced,
`$${` stands for `${`, and anything else is left as it is: a command may have variables of its own.
Texts go in as they are, other values as JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from longshore.errors import InvalidRequest
from longshore.surfaces.scripts.definition.model import Step

_PLACE: Final = re.compile(r"\$\$\{|\$\{(run|step|matrix|event)\.([^}]+)\}")


@dataclass(frozen=True, slots=True)
class Values:
    """What the places of one step stand for; `event` is what its run was started with."""

    run_id: int
    business_date: str
    step: str
    matrix: dict[str, Any]
    event: Any


@dataclass(frozen=True, slots=True)
class Filled:
    """The texts of a step with their places filled in."""

    arguments: list[str]
    command: list[str] | None
    environment: dict[str, str]


def fill(step: Step, values: Values) -> Filled:
    """Fill in all places of a step.

    Raises:
        InvalidRequest: there is nothing to put into one, or no program could be given it.
    """
    return Filled(
        arguments=[_text(each, values) for each in step.arguments],
        command=None if step.command is None else [_text(each, values) for each in step.command],
        environment={name: _text(each, values) for name, each in step.environment.items()},
    )


def needs_event(step: Step) -> bool:
    """Whether a step has a place for something of what its run was started with."""
    texts = [*step.arguments, *(step.command or ()), *step.environment.values()]
    return any("${event." in text for text in texts)


def _text(text: str, values: Values) -> str:
    filled = _PLACE.sub(lambda match: _one(match, values), text)
    if "\0" in filled:
        raise InvalidRequest(
            f"{text[:100]!r} would have a zero byte in it, which no argument of a program can have."
        )
    return filled


def _one(match: re.Match[str], values: Values) -> str:
    if match[1] is None:
        return "${"
    value = _value(match[1], match[2], values)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _value(kind: str, name: str, values: Values) -> Any:
    if kind == "run" and name in ("id", "date"):
        return values.run_id if name == "id" else values.business_date
    if kind == "step" and name == "name":
        return values.step
    if kind == "matrix" and name in values.matrix:
        return values.matrix[name]
    if kind == "event":
        found = values.event
        for part in name.split("."):
            if not isinstance(found, dict) or part not in found:
                break
            found = found[part]
        else:
            return found
    raise InvalidRequest(
        f"There is nothing to put in the place of ${{{kind}.{name}}}"
        + (": what the run was started with has no such field." if kind == "event" else ".")
    )

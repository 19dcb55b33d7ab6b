"""Whether a step may go on, by the steps before it: dependencies, and the conditions of `when`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import msgspec
from msgspec import UNSET

from longshore.errors import NotFound
from longshore.surfaces.scripts import payloads
from longshore.surfaces.scripts.board import SETTLED, Board, RunStep
from longshore.surfaces.scripts.definition.model import Condition
from longshore.surfaces.scripts.hosts import fold

_SHOWN: Final = 3
_BAD: Final = ("failed", "cancelled")
_MISSING: Final = object()


class Verdict(Enum):
    WAIT = auto()
    """Something before it is still under way."""
    DEAD = auto()
    """It cannot go on unless somebody reruns, skips or forces what is before it."""
    SKIP = auto()
    GO = auto()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the steps before has found; `why` is for people."""

    verdict: Verdict
    why: str = ""


def look(board: Board, step: RunStep, dead: dict[str, str]) -> Look:
    """Say whether a step of the definition may go on by the steps that it depends on.

    `dead` has the folded names of waiting steps that cannot go on.
    """
    earlier = board.earlier(step)
    named = {fold(condition.step) for condition in board.definition(step).when}
    stuck = [each for each in earlier if each.state in _BAD and each.folded not in named]
    if stuck:
        names = _names([f"{each.name} ({each.state})" for each in stuck])
        return Look(
            Verdict.DEAD,
            f"needs {names}, which did not succeed; rerun it, skip it or force it ok",
        )
    blocked = [each for each in earlier if each.folded in dead]
    if blocked:
        return Look(
            Verdict.DEAD, f"waits for {_names([each.name for each in blocked])}, which cannot go on"
        )
    left = [each for each in earlier if each.state not in SETTLED]
    if left:
        return Look(Verdict.WAIT, f"waits for {_names([each.name for each in left])}")
    return _conditions(board, step)


def _conditions(board: Board, step: RunStep) -> Look:
    for condition in board.definition(step).when:
        on = board.require(condition.step)
        if condition.state not in (None, "settled") and on.state != condition.state:
            return Look(
                Verdict.SKIP, f"its condition wants {on.name} {condition.state}; it is {on.state}"
            )
        if condition.payload is not None and (unlike := _unlike(board, on, condition)):
            return Look(Verdict.SKIP, f"its condition does not hold: {unlike}")
    return Look(Verdict.GO)


def handles(board: Board, step: RunStep) -> bool:
    """Whether a failed step was dealt with: one that has a condition on it is finished."""
    return any(
        each.state == "finished"
        and any(fold(condition.step) == step.folded for condition in board.definition(each).when)
        for each in board.top()
    )


def value_at(board: Board, step: RunStep, path: str) -> Any:
    """Return what is at a dotted path of a step's payload.

    Raises:
        NotFound: the step has stored no payload, or it has nothing there.
    """
    run = board.run
    text = payloads.of_step(board.connection, run.organisation_id, run.id, step.name)
    value = msgspec.json.decode(text)
    for part in path.split(".") if path else []:
        value = _inner(value, part)
        if value is _MISSING:
            raise NotFound(f"The payload of step {step.name} has nothing at {path}.")
    return value


def _inner(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _MISSING)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return _MISSING


def _unlike(board: Board, step: RunStep, condition: Condition) -> str | None:
    """Return how a payload is not as a condition wants it, or None where it is."""
    assert condition.payload is not None
    place = f"{condition.payload} of {step.name}"
    try:
        value = value_at(board, step, condition.payload)
    except NotFound:
        value = _MISSING
    if condition.exists is not UNSET:
        if (value is not _MISSING) is condition.exists:
            return None
        return f"{place} is {'not ' if condition.exists else ''}there"
    if value is _MISSING:
        return f"{place} is not there"
    for wanted, words, holds in _COMPARISONS:
        other = getattr(condition, wanted)
        if other is not UNSET and not holds(value, other):
            return f"{place} is {_short(value)}, not {words} {_short(other)}"
    return None


def _equal(value: Any, other: Any) -> bool:
    # To JSON, true is no number.
    return isinstance(value, bool) is isinstance(other, bool) and bool(value == other)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_COMPARISONS: Final[Sequence[tuple[str, str, Callable[[Any, Any], bool]]]] = (
    ("equals", "equal to", _equal),
    ("not_equals", "other than", lambda value, other: not _equal(value, other)),
    ("above", "above", lambda value, other: _number(value) and value > other),
    ("below", "below", lambda value, other: _number(value) and value < other),
    ("among", "among", lambda value, other: any(_equal(value, each) for each in other)),
)


def _short(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:100]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

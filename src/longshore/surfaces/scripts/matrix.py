"""Fan-out: the instances of a step that has a matrix, one for each combination of its values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import delete

from longshore import ids, limits
from longshore.errors import InvalidRequest, NotFound, TooLarge
from longshore.surfaces.scripts import conditions
from longshore.surfaces.scripts.board import Board, RunStep
from longshore.surfaces.scripts.definition.model import Step
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import scripts_steps

STEP: Final = "st"
_FROM_PAYLOAD: Final = re.compile(r"\$\{steps\.([^}]+?)\.payload(?:\.([^}]*))?\}")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.:+-]")
_VALUE_CHARACTERS: Final = 40


def expand(board: Board, step: RunStep) -> None:
    """Make the instances of a matrix whose values are known now.

    Instances that are there already, from before a rerun, stay what they are; those whose values
    are there no more are removed.

    Raises:
        LongshoreError: the values cannot be used; for people.
    """
    definition = board.definition(step)
    combinations = _combinations(_values(board, step, definition))
    others = len(board.steps) - len(board.instances(step))
    if others + len(combinations) > limits.WORKFLOW_STEPS:
        raise TooLarge(
            f"The matrix of step {step.name} has {len(combinations)} combinations; with the other "
            f"{others} steps of the run that is more than {limits.WORKFLOW_STEPS}."
        )
    there = {each.folded: each for each in board.instances(step)}
    wanted: set[str] = set()
    for position, values in enumerate(combinations):
        name = _name(step.name, values, wanted)
        wanted.add(fold(name))
        if fold(name) in there:
            there[fold(name)].matrix = _json(values)
        else:
            board.add(_instance(step, name, values, step.position + 1 + position))
    _remove(board, [each for each in there.values() if each.folded not in wanted])


def is_static(step: Step) -> bool:
    """Whether the values of a matrix are known before the run starts."""
    return all(isinstance(values, list) for values in step.matrix.values())


def settle(board: Board, step: RunStep) -> bool:
    """End a step that stands for instances which are all over; return whether they are."""
    instances = board.instances(step)
    if any(not each.settled for each in instances):
        return False
    states = {each.state for each in instances}
    if "failed" in states or "cancelled" in states:
        bad = [each.name for each in instances if each.state in ("failed", "cancelled")]
        state = "failed" if "failed" in states else "cancelled"
        why = f"{len(bad)} of {len(instances)} instances did not succeed: {', '.join(bad[:3])}"
    elif states == {"skipped"}:
        state, why = "skipped", "all of its instances were skipped"
    else:
        state = "finished"
        why = f"all {len(instances)} instances are finished" if instances else "its list is empty"
    board.settle(step, state, why)
    return True


def _values(board: Board, step: RunStep, definition: Step) -> dict[str, list[Any]]:
    return {
        name: values if isinstance(values, list) else _from_payload(board, step, name, values)
        for name, values in definition.matrix.items()
    }


def _from_payload(board: Board, step: RunStep, name: str, place: str) -> list[Any]:
    match = _FROM_PAYLOAD.fullmatch(place)
    if match is None:
        raise InvalidRequest(
            f"The matrix value {name} of step {step.name} is {place[:100]!r}; it must be a list "
            "or ${steps.NAME.payload.PATH}."
        )
    earlier = board.require(match[1])
    try:
        found = conditions.value_at(board, earlier, match[2] or "")
    except NotFound as error:
        raise InvalidRequest(f"No values for {name} of the matrix: {error.message}") from error
    if not isinstance(found, list):
        raise InvalidRequest(
            f"The matrix value {name} wants a list in the payload of step {earlier.name} at "
            f"{match[2] or 'its top'}; there is {_json(found)[:100]}."
        )
    return found


def _combinations(values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    count = 1
    for each in values.values():
        count *= len(each)
    if count > limits.WORKFLOW_STEPS:
        raise TooLarge(
            f"The matrix has {count} combinations; a run has at most {limits.WORKFLOW_STEPS} steps."
        )
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*values.values())
    ]


def _name(step: str, values: Mapping[str, Any], taken: set[str]) -> str:
    shown = ",".join(
        _UNFIT.sub("_", value if isinstance(value, str) else _json(value))[:_VALUE_CHARACTERS]
        for value in values.values()
    )
    name = f"{step}[{shown}]"
    # 1 and "1", or long values that begin alike, are shown alike.
    for number in itertools.count(2):
        if fold(name) not in taken:
            break
        name = f"{step}[{shown}~{number}]"
    return name


def _instance(step: RunStep, name: str, values: Mapping[str, Any], position: int) -> RunStep:
    return RunStep(
        id=ids.new(STEP),
        run_id=step.run_id,
        organisation_id=step.organisation_id,
        name=name,
        folded=fold(name),
        definition=step.definition,
        kind="step",
        parent_id=step.id,
        matrix=_json(values),
        position=position,
        area=step.area,
        host=step.host,
        state="waiting",
        why=step.why,
        forced=False,
        held_us=None,
        held_by=None,
        held_why=None,
        work_id=None,
        attempts_before=0,
        started_us=None,
        finished_us=None,
    )


def _remove(board: Board, gone: list[RunStep]) -> None:
    for each in gone:
        board.drop(each)
    if gone:
        board.connection.execute(
            delete(scripts_steps).where(scripts_steps.c.id.in_([each.id for each in gone]))
        )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()

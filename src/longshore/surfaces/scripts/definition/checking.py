"""What a definition of the right form can still have wrong, without looking at a server."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath
from typing import Final

import msgspec

from longshore import limits
from longshore.surfaces.scripts.definition.checking_triggers import check_triggers
from longshore.surfaces.scripts.definition.model import Condition, Step, Workflow
from longshore.surfaces.scripts.definition.problems import Path
from longshore.surfaces.scripts.definition.suggesting import hint

Finding = tuple[Path, str]

SET_BY_WORKER: Final = frozenset(
    [
        "ENV",
        "ACTIONID",
        "RUNID",
        "RUNDATE",
        "ATTEMPT",
        "STEPNAME",
        "WORKFLOW",
        "CA_ACCESS_CODE",
        "CA_WBS_URL",
    ]
)
"""Variables that the worker sets for each step."""
FROM_PAYLOAD: Final = re.compile(
    r"\$\{steps\.(?P<step>[A-Za-z0-9][A-Za-z0-9_.-]{0,63}?)\.payload(?:\.(?P<path>[^{}$]+))?\}\Z"
)
"""A matrix of the values in a step's payload."""
_TEMPLATE: Final = re.compile(r"\$\$\{|\$\{(?P<root>run|step|matrix|event)\.(?P<rest>[^}]+)\}")
_KNOWN: Final = {"run": ("id", "date"), "step": ("name",)}
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_COMPARISONS: Final = ("equals", "not_equals", "above", "below", "among", "exists")
_EXIT_CODE_MAX: Final = 255
_SCHEMA: Final = "schema"
"""GET workflows/schema is the JSON schema."""


def check(workflow: Workflow) -> Iterator[Finding]:
    """Yield what is wrong, each with its path and words."""
    if not workflow.steps:
        yield ("steps",), "the workflow has no steps; give it at least one"
    if len(workflow.steps) > limits.WORKFLOW_STEPS:
        yield from _size(workflow)
        return
    yield from _names(workflow)
    for name, step in workflow.steps.items():
        for path, message in _step(name, step, workflow):
            yield ("steps", name, *path), message
    yield from _cycle(workflow)
    yield from _size(workflow)
    yield from _shared_keys(workflow)
    yield from _areas_and_order(workflow)
    yield from check_triggers(workflow)


def _names(workflow: Workflow) -> Iterator[Finding]:
    if workflow.workflow.casefold() == _SCHEMA:
        yield ("workflow",), "a workflow cannot be named schema, which is an address of the server"
    first: dict[str, str] = {}
    for name in workflow.steps:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            message = f"the steps {other} and {name} differ only in case; rename one of them"
            yield ("steps", name), message


def _step(name: str, step: Step, workflow: Workflow) -> Iterator[Finding]:
    yield from _program(name, step)
    yield from _depends(name, step, workflow.steps)
    earlier = frozenset(step.depends_on)
    for number, condition in enumerate(step.when):
        for message in _condition(name, condition, earlier, workflow.steps):
            yield ("when", number), message
    yield from _host(name, step)
    yield from _exit_codes(name, step)
    yield from _matrix(name, step, workflow.steps)
    yield from _templates(name, step)
    yield from _environment(name, step)
    if len(set(step.flags)) < len(step.flags):
        yield ("flags",), f"step {name} names one flag twice; remove one"
    if step.retries.delay_s > step.retries.delay_max_s:
        yield (
            ("retries",),
            f"step {name} waits {step.retries.delay_s:g} s before a retry, which is above "
            f"delay_max_s, {step.retries.delay_max_s:g}",
        )


def _program(name: str, step: Step) -> Iterator[Finding]:
    if step.script is None and step.command is None:
        yield (), f"step {name} has neither script nor command; give it one of them"
    if step.script is not None and step.command is not None:
        yield ("command",), f"step {name} has both script and command; remove one of them"
    if step.command is not None:
        if not step.command or not step.command[0]:
            yield ("command",), f"the command of step {name} is empty; name a program"
        for key in ("program", "arguments"):
            if step.script is None and getattr(step, key):
                message = f"step {name} has a command, so put its {key} into the command itself"
                yield (key,), message
    if step.script is not None:
        parts = PurePosixPath(step.script).parts
        if not parts or step.script.startswith("/") or ".." in parts or "\\" in step.script:
            yield (
                ("script",),
                f"the script of step {name}, {step.script[:100]!r}, must be a path below the "
                "host's scripts directory, with / between its parts and without ..",
            )


def _depends(name: str, step: Step, steps: Mapping[str, Step]) -> Iterator[Finding]:
    seen: set[str] = set()
    for number, other in enumerate(step.depends_on):
        path = ("depends_on", number)
        if other not in steps:
            yield path, f"step {name} depends on {other}, which is no step{_meant(other, steps)}"
        elif other == name:
            yield path, f"step {name} depends on itself; remove that"
        elif other in seen:
            yield path, f"step {name} depends on {other} twice; remove one"
        seen.add(other)


def _meant(wanted: str, names: Collection[str]) -> str:
    """Return the hint for an unknown step; one that differs in case alone is said to be it."""
    for name in names:
        if name.casefold() == wanted.casefold():
            return f"; the step is written {name}"
    return hint(wanted, names)


def _condition(
    name: str, condition: Condition, earlier: Collection[str], steps: Mapping[str, Step]
) -> Iterator[str]:
    if condition.step not in earlier:
        if condition.step in steps:
            yield (
                f"step {name} has a condition on {condition.step}, which is not in its depends_on; "
                "add it there"
            )
        else:
            yield (
                f"step {name} has a condition on {condition.step}, which is no step"
                f"{_meant(condition.step, earlier or steps)}"
            )
    given = [each for each in _COMPARISONS if getattr(condition, each) is not msgspec.UNSET]
    if condition.payload is None:
        if condition.state is None:
            yield f"a condition of step {name} says nothing; give it state or payload"
        if given:
            yield f"a condition of step {name} has {given[0]} but no payload to compare it with"
        return
    if condition.state is not None:
        yield f"a condition of step {name} has both state and payload; make it two conditions"
    if len(given) != 1:
        yield (
            f"a condition of step {name} on a payload needs exactly one of "
            f"{', '.join(_COMPARISONS)}, and has {len(given)}"
        )
    if not all(condition.payload.split(".")):
        yield (
            f"the payload path {condition.payload[:100]!r} in a condition of step {name} has an "
            "empty part; write names with single dots between them"
        )


def _host(name: str, step: Step) -> Iterator[Finding]:
    others = [other.casefold() for other in step.other_hosts]
    if step.on_lost_host == "move" and not others:
        yield ("on_lost_host",), f"step {name} cannot move without other_hosts; name some"
    if others and step.on_lost_host == "wait":
        message = f"step {name} names other_hosts but waits for its own; set on_lost_host: move"
        yield ("other_hosts",), message
    if step.host.casefold() in others or len(set(others)) < len(others):
        yield ("other_hosts",), f"step {name} names a host twice; remove one"


def _exit_codes(name: str, step: Step) -> Iterator[Finding]:
    codes = step.exit_codes
    groups = {"success": codes.success, "retry": codes.retry or (), "fatal": codes.fatal}
    if not codes.success:
        message = f"no exit code of step {name} means success; name at least one"
        yield ("exit_codes", "success"), message
    for key, values in groups.items():
        for value in values:
            if not 0 <= value <= _EXIT_CODE_MAX:
                message = f"step {name} names the exit code {value}; they are 0 to 255"
                yield ("exit_codes", key), message
    counted = Counter(value for values in groups.values() for value in set(values))
    for value, count in counted.items():
        if count > 1:
            message = f"step {name} gives the exit code {value} two meanings; choose one"
            yield ("exit_codes",), message


def _matrix(name: str, step: Step, steps: Mapping[str, Step]) -> Iterator[Finding]:
    variables: dict[str, str] = {}
    for key, values in step.matrix.items():
        path = ("matrix", key)
        other = variables.setdefault(_variable(key), key)
        if other != key:
            yield path, f"step {name} has {other} and {key} in its matrix, which are one variable"
        if isinstance(values, str):
            yield from ((path, message) for message in _from_payload(name, values, step, steps))
        elif not values:
            yield path, f"the list {key} in the matrix of step {name} is empty; it would never run"
        elif len({json.dumps(value, sort_keys=True) for value in values}) < len(values):
            yield path, f"the list {key} in the matrix of step {name} has a value twice"


def _variable(key: str) -> str:
    """Return the part after MATRIX_ in the name of the variable that a script sees."""
    return re.sub(r"[^A-Za-z0-9]", "_", key).upper()


def _from_payload(name: str, text: str, step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    found = FROM_PAYLOAD.match(text)
    if found is None:
        yield (
            f"the matrix of step {name} has the text {text[:100]!r}; give a list, or "
            "${steps.NAME.payload.PATH} for a list in the payload of a step it depends on"
        )
    elif found["step"] not in step.depends_on:
        yield (
            f"the matrix of step {name} takes values of {found['step']}, which is not in its "
            f"depends_on{_meant(found['step'], steps) if found['step'] not in steps else ''}"
        )


def _templates(name: str, step: Step) -> Iterator[Finding]:
    texts: list[tuple[Path, str]] = [
        (("environment", key), each) for key, each in step.environment.items()
    ]
    texts += [(("arguments", number), each) for number, each in enumerate(step.arguments)]
    texts += [(("command", number), each) for number, each in enumerate(step.command or [])]
    for path, text in texts:
        for found in _TEMPLATE.finditer(text):
            root, rest = found["root"], found["rest"]
            if root is None:  # $${ stands for ${ itself
                continue
            known = list(step.matrix) if root == "matrix" else list(_KNOWN.get(root, ()))
            if (root == "event" and all(rest.split("."))) or rest in known:
                continue
            near = hint(rest, known, otherwise=f"; the step has no {root}.")
            if root == "event":
                near = "; name a field of the event's payload, such as ${event.id}"
            yield path, f"step {name} uses {found.group()[:80]}, which there is not{near}"


def _environment(name: str, step: Step) -> Iterator[Finding]:
    for key in step.environment:
        path = ("environment", key)
        if not _VARIABLE.match(key):
            message = f"step {name} sets the variable {key[:80]!r}, which cannot be a name"
            yield path, f"{message}: letters, digits and underscores, no digit first"
        elif key.upper() in SET_BY_WORKER or key.upper().startswith("MATRIX_"):
            yield path, f"step {name} sets the variable {key}, which the worker sets; rename it"


def _cycle(workflow: Workflow) -> Iterator[Finding]:
    """Name one cycle in full, where there is one."""
    waits_for = {
        name: [other for other in step.depends_on if other in workflow.steps and other != name]
        for name, step in workflow.steps.items()
    }
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        # Each is before the next one; people read it the other way round, from the first step on.
        circle: list[str] = error.args[1][:0:-1]
        first = circle.index(min(circle, key=list(waits_for).index))
        shown = [*circle[first:], *circle[: first + 1]]
        yield (
            ("steps", shown[0], "depends_on"),
            f"the steps wait for each other in a circle: {' -> '.join(shown)} (each waits for the "
            "next); remove one of these dependencies",
        )


def _size(workflow: Workflow) -> Iterator[Finding]:
    total = 0
    for step in workflow.steps.values():
        count = 1
        for values in step.matrix.values():
            count *= max(len(values), 1) if isinstance(values, list) else 1
        total += count + (1 if step.matrix else 0)
    if total > limits.WORKFLOW_STEPS:
        yield (
            ("steps",),
            f"a run would have {total} steps, instances of matrices included, and may have "
            f"{limits.WORKFLOW_STEPS}; split the workflow",
        )


def _shared_keys(workflow: Workflow) -> Iterator[Finding]:
    first: dict[str, tuple[str, int]] = {}
    for name, step in workflow.steps.items():
        seen: set[str] = set()
        for number, each in enumerate(step.concurrency):
            path = ("steps", name, "concurrency", number)
            other, limit = first.setdefault(each.key.casefold(), (name, each.limit))
            if limit != each.limit:
                yield (
                    path,
                    f"the concurrency key {each.key} has limit {limit} in step {other} and "
                    f"{each.limit} in step {name}; give it one",
                )
            if each.key.casefold() in seen:
                yield path, f"step {name} names the concurrency key {each.key} twice"
            seen.add(each.key.casefold())


def _areas_and_order(workflow: Workflow) -> Iterator[Finding]:
    used = {step.area.casefold(): step.area for step in workflow.steps.values()}
    seen: set[str] = set()
    for number, area in enumerate(workflow.areas):
        if area.casefold() not in used:
            message = f"no step is in the area {area}{hint(area, used.values())}"
            yield ("areas", number), message
        if area.casefold() in seen:
            yield ("areas", number), f"the area {area} is named twice"
        seen.add(area.casefold())
    order = workflow.order
    if order.path == "local" and order.step is None:
        yield ("order",), "a local order needs the step that is to finish as soon as possible"
    if order.path == "global" and order.step is not None:
        yield ("order", "step"), "a global order has no step; remove it, or set path: local"
    if order.step is not None and order.step not in workflow.steps:
        message = (
            f"the order names {order.step}, which is no step{_meant(order.step, workflow.steps)}"
        )
        yield ("order", "step"), message

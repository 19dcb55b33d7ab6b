"""From the text of a workflow's file to its definition, or to everything that is wrong with it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from longshore import limits
from longshore.errors import TooLarge
from longshore.surfaces.scripts.definition.checking import check
from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.definition.problems import Path, Problem, dotted, refuse
from longshore.surfaces.scripts.definition.shaping import DEFAULTS, misshapen
from longshore.surfaces.scripts.definition.yaml_nodes import Node, Unreadable, read

MERGED: Final = ("environment", "exit_codes", "limits", "retries")
"""Keys of a step that hold mappings, which `defaults` fills in key by key."""
_SCRIPT_ONLY: Final = ("script", "program", "arguments")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where in the file things are."""

    root: Node | None = None

    def problem(self, path: Path, message: str) -> Problem:
        """Return a problem with what `path` leads to."""
        line = 0 if self.root is None else self.root.line_of(path)
        return Problem(line, dotted(path), message)


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of reading a file.

    Attributes:
        workflow: None where there are problems.
        problems: by line.
        lines: to say where something is that turns out to be wrong later.
    """

    workflow: Workflow | None
    problems: list[Problem]
    lines: Lines = field(default_factory=Lines)


def examine(text: str) -> Reading:
    """Read a workflow's file and find everything that is wrong with it.

    What needs a server (hosts, events of other workflows) is not looked at.

    Raises:
        TooLarge: the text has more than `limits.WORKFLOW_BYTES` bytes as UTF-8.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.WORKFLOW_BYTES:
        raise TooLarge(
            f"The file has {size} bytes and may have {limits.WORKFLOW_BYTES}. Split the workflow, "
            "or move lists of values into the payload of a step.",
            details={"limit_bytes": limits.WORKFLOW_BYTES, "size_bytes": size},
        )
    try:
        root, problems = read(text)
    except Unreadable as error:
        return Reading(None, [error.problem])
    found = misshapen(root)
    lines = Lines(root)
    broken = _broken([path for path, _ in found])
    workflow = _convert(_repaired(root, broken) if found else root.plain())
    problems += [problem for _, problem in found]
    if workflow is not None:
        problems += [
            lines.problem(path, message)
            for path, message in itertools.islice(check(workflow), limits.WORKFLOW_PROBLEMS)
            if not _concerns(path, broken)
        ]
    problems = sorted(set(problems))
    return Reading(None if problems else workflow, problems, lines)


def parse(text: str) -> Workflow:
    """Return the definition in a file.

    Raises:
        InvalidRequest: it cannot be used; the message and the details name all problems.
        TooLarge: as `examine`.
    """
    reading = examine(text)
    if reading.workflow is None:
        raise refuse(reading.problems)
    return reading.workflow


def _convert(plain: Any) -> Workflow | None:
    """Return what the plain values say, defaults filled in; None if even the name is missing."""
    if not isinstance(plain, dict):
        return None
    defaults = plain.pop(DEFAULTS, {})
    plain["steps"] = {
        name: _filled(step, defaults) for name, step in plain.get("steps", {}).items()
    }
    try:
        return msgspec.convert(plain, Workflow)
    except msgspec.ValidationError:
        # Only a tree that was cut for its faults gets here, and they are reported already.
        return None


def _filled(step: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step with the defaults filled in."""
    usable = dict(defaults)
    if "command" in step:
        for name in _SCRIPT_ONLY:
            usable.pop(name, None)
    if "script" in step:
        usable.pop("command", None)
    merged = {
        name: {**usable[name], **step[name]} for name in MERGED if {name} <= {*usable} & {*step}
    }
    return {**usable, **step, **merged}


def _broken(paths: list[Path]) -> set[Path]:
    """Return the parts of the file, steps one by one, that have not the right form."""
    return {path[:2] if path[:1] in (("steps",), (DEFAULTS,)) else path[:1] for path in paths}


def _concerns(path: Path, broken: set[Path]) -> bool:
    """Return whether a finding may only come from a part that was cut out."""
    return () in broken or ("steps",) in broken or path[:1] in broken or path[:2] in broken


def _repaired(root: Node, broken: set[Path]) -> Any:
    """Return the plain values without their broken parts, so that the others can be looked at."""
    plain = root.plain()
    if not isinstance(plain, dict):
        return None
    for path in broken:
        if len(path) == 1:
            plain.pop(str(path[0]), None)
    if isinstance(plain.get(DEFAULTS), dict):
        for path in broken:
            if path[:1] == (DEFAULTS,) and len(path) == 2:
                plain[DEFAULTS].pop(path[1], None)
    plain.setdefault("workflow", "unnamed")
    steps = plain.get("steps")
    if isinstance(steps, dict):
        for path in broken:
            if path[:1] == ("steps",) and len(path) == 2 and path[1] in steps:
                steps[path[1]] = {"host": "unknown", "command": ["unknown"]}
    return plain

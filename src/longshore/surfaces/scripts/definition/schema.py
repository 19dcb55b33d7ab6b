"""The JSON schema of a workflow's file, and a page of all keys; both are made from the model."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec

from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.definition.shaping import DEFAULTS

_CLASSES: Final = (
    model.Workflow,
    model.Step,
    model.Triggers,
    model.EventTrigger,
    model.ScheduleTrigger,
    model.WorkflowTrigger,
    model.Flag,
    model.Calendar,
    model.Order,
    model.Retries,
    model.ExitCodes,
    model.Condition,
    model.Concurrency,
    model.ProcessLimits,
)
_DEFAULTS: Final = (
    "Any key of a step; filled into each step that does not give it. The mappings environment, "
    "exit_codes, limits and retries are filled in key by key."
)
_ATTRIBUTE: Final = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a workflow's file; do not change it."""
    made = _portable(msgspec.json.schema(model.Workflow))
    definitions: dict[str, Any] = made["$defs"]
    for each in _CLASSES:
        described = definitions[each.__name__]
        meanings = documented(each)
        described["description"] = _summary(each)
        for name, field in described["properties"].items():
            if name in meanings:
                field["description"] = meanings[name]
    step, file = definitions["Step"], definitions["Workflow"]
    file["properties"][DEFAULTS] = {
        "description": _DEFAULTS,
        "type": "object",
        "properties": step["properties"],
        "additionalProperties": False,
    }
    # A step may leave the host to the defaults, which this language cannot say.
    step["required"] = []
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Workflow of Longshore",
        **made,
    }


def _portable(value: Any) -> Any:
    """Write patterns as ECMA 262 has them, in which the end of a text is $."""
    if isinstance(value, dict):
        return {
            key: each.replace("\\Z", "$") if key == "pattern" else _portable(each)
            for key, each in value.items()
        }
    return [_portable(each) for each in value] if isinstance(value, list | tuple) else value


def documented(form: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the docstring of a class says of its attributes."""
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, section = (inspect.getdoc(form) or "").partition("Attributes:\n")
    for line in section.splitlines():
        start = _ATTRIBUTE.match(line)
        if start is not None:
            names = start["names"].split(", ")
            found.update(dict.fromkeys(names, start["text"]))
        else:
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def page() -> list[str]:
    """Return the lines of the page of all keys, for docs/reference."""
    lines: list[str] = []
    for each in _CLASSES:
        lines += ["", f"## {_heading(each)}", "", _summary(each), ""]
        lines += ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
        lines += _rows(each)
    return lines


def _rows(form: type[msgspec.Struct]) -> Iterator[str]:
    meanings = documented(form)
    properties = schema()["$defs"][form.__name__]["properties"]
    for field in msgspec.structs.fields(form):
        described = properties[field.name]
        default = "required" if field.required else _default(described)
        meaning = meanings.get(field.name, "")
        meaning = meaning[:1].upper() + meaning[1:]
        yield f"| `{field.name}` | {_kind(described)} | {default} | {_cell(meaning)} |"
    if form is model.Workflow:
        yield f"| `{DEFAULTS}` | mapping |  | {_cell(_DEFAULTS)} |"


def _default(described: dict[str, Any]) -> str:
    value = described.get("default")
    if (
        value is None
        or isinstance(value, dict)
        or (isinstance(value, str | list | tuple) and not value)
    ):
        return ""
    return f"`{_text(value)}`"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(str(each) for each in value)}]"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(described: dict[str, Any]) -> str:
    """Return in words what a schema lets through."""
    if "$ref" in described:
        return _link(described["$ref"])
    if "anyOf" in described:
        parts = [_kind(each) for each in described["anyOf"] if each.get("type") != "null"]
        return " or ".join(parts)
    if "enum" in described:
        return ", ".join(f"`{each}`" for each in described["enum"])
    kind = described.get("type")
    if kind == "array":
        return f"list of {_kind(described.get('items', {}))}"
    if kind == "object":
        return f"mapping of {_kind(described.get('additionalProperties') or {})}"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "boolean"}
    bounds = [
        f"{word} {described[key]:.10g}"
        for key, word in (("exclusiveMinimum", "above"), ("minimum", "from"), ("maximum", "to"))
        if key in described
    ]
    return " ".join([words.get(str(kind), "any value"), *bounds])


def _link(reference: str) -> str:
    name = reference.rpartition("/")[2]
    for each in _CLASSES:
        if each.__name__ == name:
            return f"[{_heading(each).lower()}](#{_heading(each).lower().replace(' ', '-')})"
    return _kind(schema()["$defs"][name])


def _heading(form: type[msgspec.Struct]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", form.__name__)
    return words[0] + words[1:].lower()


def _summary(form: type[msgspec.Struct]) -> str:
    return " ".join((inspect.getdoc(form) or "").partition("Attributes:")[0].split())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

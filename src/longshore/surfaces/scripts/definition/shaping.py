"""Whether a tree has the form of the model: every value that has not is found, with its line."""

from __future__ import annotations

import itertools
import types
from collections.abc import Collection, Iterator
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from longshore import limits
from longshore.surfaces.scripts.definition import model
from longshore.surfaces.scripts.definition.problems import Path, Problem, dotted, place
from longshore.surfaces.scripts.definition.suggesting import hint
from longshore.surfaces.scripts.definition.yaml_nodes import Node

DEFAULTS: Final = "defaults"
_SHOWN_CHARACTERS: Final = 60
_NAMES: Final = {
    repr(
        model.Name
    ): "a name: 1 to 64 letters, digits, dots, hyphens and underscores, a letter or digit first",
    repr(
        model.Key
    ): "the name of an entry: 1 to 128 letters, digits, dots, hyphens and underscores",
}
Found = tuple[Path, Problem]


def misshapen(root: Node) -> list[Found]:
    """Return what has not the form of a workflow's file, each with its path."""
    if not isinstance(root.value, dict):
        message = f"the file holds {_shown(root)} and should be a mapping with workflow and steps"
        return [((), Problem(root.line, "", message))]
    return list(itertools.islice(_file(root, root.value), limits.WORKFLOW_PROBLEMS))


def _file(root: Node, keys: dict[str, Node]) -> Iterator[Found]:
    hints = get_hints(model.Workflow)
    yield from _unknown(keys, {*hints, DEFAULTS}, ())
    yield from _missing(root, keys, model.Workflow, (), frozenset())
    defaults = keys.get(DEFAULTS)
    filled: frozenset[str] = frozenset()
    if defaults is not None:
        yield from _struct(defaults, model.Step, (DEFAULTS,), frozenset(get_hints(model.Step)))
        if isinstance(defaults.value, dict):
            filled = frozenset(defaults.value)
    for name, node in keys.items():
        if name == "steps" and isinstance(node.value, dict):
            for step, inner in node.value.items():
                path = ("steps", step)
                yield from _leaf(Node(inner.line, step), model.Name, path)
                yield from _struct(inner, model.Step, path, filled)
        elif name in hints:
            yield from _value(node, hints[name], (name,))


def _value(node: Node, form: Any, path: Path) -> Iterator[Found]:
    bare = _bare(form)
    origin, inner = get_origin(bare), get_args(bare)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        yield from _struct(node, bare, path, frozenset())
    elif origin in (Union, types.UnionType):
        fitting = [each for each in inner if _fits(node, each)]
        yield from _value(node, fitting[0], path) if fitting else _leaf(node, form, path)
    elif origin in (list, tuple) and isinstance(node.value, list):
        for number, each in enumerate(node.value):
            yield from _value(each, inner[0], (*path, number))
    elif origin is dict and isinstance(node.value, dict):
        for key, each in node.value.items():
            yield from _leaf(Node(each.line, key), inner[0], (*path, key))
            yield from _value(each, inner[1], (*path, key))
    else:
        yield from _leaf(node, form, path)


def _fits(node: Node, form: Any) -> bool:
    """Return whether a value has the outer form of one branch of a union."""
    bare = _bare(form)
    origin = get_origin(bare) or bare
    if isinstance(node.value, dict):
        return origin is dict or (isinstance(bare, type) and issubclass(bare, msgspec.Struct))
    return isinstance(node.value, list) and origin in (list, tuple)


def _struct(
    node: Node, form: type[msgspec.Struct], path: Path, given: Collection[str]
) -> Iterator[Found]:
    """Check a mapping against a class; keys in `given` need not be there."""
    if not isinstance(node.value, dict):
        keys = ", ".join(list(get_hints(form))[:6])
        message = (
            f"{place(path)} is {_shown(node)} and should be a mapping with keys such as {keys}"
        )
        yield path, Problem(node.line, dotted(path), message)
        return
    hints = get_hints(form)
    yield from _unknown(node.value, hints, path)
    yield from _missing(node, node.value, form, path, given)
    for name, inner in node.value.items():
        if name in hints:
            yield from _value(inner, hints[name], (*path, name))


def _unknown(keys: dict[str, Node], known: Collection[str], path: Path) -> Iterator[Found]:
    for name, inner in keys.items():
        if name not in known:
            unused = [each for each in known if each not in keys]
            where = f" in {place(path)}" if path else ""
            message = f"unknown key {_cut(name)}{where}{hint(name, unused)}"
            yield (*path, name), Problem(inner.line, dotted((*path, _cut(name))), message)


def _missing(
    node: Node,
    keys: dict[str, Node],
    form: type[msgspec.Struct],
    path: Path,
    given: Collection[str],
) -> Iterator[Found]:
    for name in _required(form):
        if name not in keys and name not in given:
            message = f"{place(path)} has no {name}; it needs one"
            yield path, Problem(node.line, dotted(path), message)


@cache
def _required(form: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(form) if field.required)


def _leaf(node: Node, form: Any, path: Path) -> Iterator[Found]:
    try:
        msgspec.convert(node.plain(), form)
    except msgspec.ValidationError:
        wanted = _wanted(form)
        message = f"{place(path)} is {_shown(node)} and should be {wanted}"
        if node.value is None:
            message = f"{place(path)} has no value; give {wanted}, or leave the key out"
        elif isinstance(node.value, int | float) and "text" in wanted:
            message += "; put it in quotes"
        elif isinstance(node.value, str) and _choices(_bare(form)):
            message += hint(node.value, _choices(_bare(form))).partition("; there are")[0]
        yield path, Problem(node.line, dotted(path), message)


def _wanted(form: Any) -> str:
    """Return in words what a value should be."""
    if repr(form) in _NAMES:
        return _NAMES[repr(form)]
    bare = _bare(form)
    if _choices(bare):
        return "one of " + ", ".join(_choices(bare))
    origin, inner = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        parts = [each for each in inner if each not in (type(None), msgspec.UnsetType)]
        return " or ".join(dict.fromkeys(_wanted(each) for each in parts))
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return "a mapping"
    words: dict[Any, str] = {
        str: "a text", int: "a whole number", float: "a number", bool: "true or false",
        list: "a list", tuple: "a list", dict: "a mapping",
    }  # fmt: skip
    return words.get(origin or bare, "another value") + _bounds(form)


def _bounds(form: Any) -> str:
    parts = []
    for meta in getattr(form, "__metadata__", ()):
        if not isinstance(meta, Meta):
            continue
        if meta.gt is not None:
            parts.append(f"above {meta.gt:.10g}")
        if meta.ge is not None:
            parts.append(f"at least {meta.ge:.10g}")
        if meta.le is not None:
            parts.append(f"at most {meta.le:.10g}")
        if meta.min_length:
            parts.append(f"of at least {meta.min_length} characters")
        if meta.max_length is not None:
            parts.append(f"of at most {meta.max_length} characters")
    return (" " + " and ".join(parts)) if parts else ""


def _choices(bare: Any) -> list[str]:
    if get_origin(bare) is Literal:
        return [str(each) for each in get_args(bare)]
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        return [each.value for each in bare]
    return []


def _bare(form: Any) -> Any:
    return get_args(form)[0] if get_origin(form) is Annotated else form


@cache
def get_hints(form: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the types of a class's fields, with their bounds."""
    return get_type_hints(form, include_extras=True)


def _shown(node: Node) -> str:
    value = node.value
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {_cut(value)!r}"
    return f"the number {value}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."

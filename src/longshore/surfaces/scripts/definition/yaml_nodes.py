"""YAML as a tree that knows its lines, within limits.

Read as YAML 1.2 has it: only true and false are booleans, dates and times of day are texts, and
numbers have no octal or base-60 forms. YAML 1.1, which most libraries speak, would turn the key
`on` into true, 2026-12-25 into a date and 12:30 into 750.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from longshore import limits
from longshore.surfaces.scripts.definition.problems import Path, Problem

_LOADER: Final[Any] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}\Z")
_LONG: Final = re.compile(r"[-+]?[0-9]{19,}\Z")
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})

Value = str | int | float | bool | None


class Unreadable(Exception):
    """The text cannot be read as YAML; holds the problem."""

    def __init__(self, problem: Problem) -> None:
        """Keep what is wrong."""
        super().__init__(problem.message)
        self.problem = problem


@dataclass(slots=True)
class Node:
    """A value with the line on which it, or the key before it, begins.

    Attributes:
        nodes: how many values it holds with itself, those that aliases repeat included.
        depth: how many levels there are below it.
    """

    line: int
    value: Value | list[Node] | dict[str, Node]
    nodes: int = 1
    depth: int = 0

    def plain(self) -> Any:
        """Return the value without lines."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        return self.value

    def line_of(self, path: Path) -> int:
        """Return the line of what a path leads to, or of the last on the way that is there."""
        node = self
        for part in path:
            inner: Node | None = None
            if isinstance(node.value, dict):
                inner = node.value.get(str(part))
            elif isinstance(node.value, list) and isinstance(part, int):
                inner = node.value[part] if part < len(node.value) else None
            if inner is None:
                break
            node = inner
        return node.line


@dataclass(slots=True)
class _Open:
    """A list or mapping that is not closed yet; `key` is that of the value to come."""

    node: Node
    anchor: str | None
    key: str | None = None
    key_line: int = 0


class _Builder:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            if self.root is not None:
                raise _unreadable(line, "a second document begins; a file holds one workflow")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(str(event.anchor), line)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            self._begin(event, line)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            closed = self._open.pop()
            if closed.anchor is not None:
                self._anchors[closed.anchor] = closed.node
            self._place(closed.node)

    def _begin(self, event: Any, line: int) -> None:
        _check_tag(event.tag, line)
        if self._awaits_key():
            raise _unreadable(line, "a list or mapping stands where a key should be")
        if len(self._open) >= limits.WORKFLOW_DEPTH:
            raise _too_deep(line)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._open.append(_Open(Node(line, value), event.anchor))

    def _scalar(self, event: Any, line: int) -> None:
        _check_tag(event.tag, line)
        text: str = event.value
        if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
            raise _unreadable(line, "a text holds a character that cannot be stored; remove it")
        if self._awaits_key():
            self._key(text, line)
            return
        plain = event.style in (None, "") and event.tag is None
        node = Node(line, _resolved(text, line) if plain else text)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._place(node)

    def _alias(self, anchor: str, line: int) -> None:
        if self._awaits_key():
            raise _unreadable(line, "an alias stands where a key should be")
        found = self._anchors.get(anchor)
        if found is None:
            raise _unreadable(line, f"the alias *{anchor[:80]} stands inside of what it names")
        if len(self._open) + found.depth > limits.WORKFLOW_DEPTH:
            raise _too_deep(line)
        self._place(found)

    def _awaits_key(self) -> bool:
        return bool(self._open) and (
            isinstance(self._open[-1].node.value, dict) and self._open[-1].key is None
        )

    def _key(self, text: str, line: int) -> None:
        inner = self._open[-1]
        assert isinstance(inner.node.value, dict)
        if text in inner.node.value:
            self.problems.append(
                Problem(line, text[:80], f"the key {text[:80]!r} is given twice; remove one")
            )
        if text == "<<":
            raise _unreadable(line, "merge keys (<<) are not read; put common keys into defaults")
        inner.key, inner.key_line = text, line

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        around = self._open[-1]
        # An alias adds all that it stands for: small files must not grow without bound.
        around.node.nodes += node.nodes
        around.node.depth = max(around.node.depth, node.depth + 1)
        if around.node.nodes > limits.WORKFLOW_VALUES:
            raise _unreadable(
                node.line,
                f"the file has more than {limits.WORKFLOW_VALUES} values, those that aliases "
                "repeat included; split the workflow",
            )
        if isinstance(around.node.value, dict):
            assert around.key is not None
            # The line of the key is where people look.
            around.node.value[around.key] = Node(
                around.key_line, node.value, node.nodes, node.depth
            )
            around.key = None
        else:
            assert isinstance(around.node.value, list)
            around.node.value.append(node)


def read(text: str) -> tuple[Node, list[Problem]]:
    """Return the tree of a YAML text, and keys that are given twice.

    Raises:
        Unreadable: it is not YAML, holds more than one document, is empty, or is too deep.
    """
    builder = _Builder()
    broken = next((at for at, each in enumerate(text) if "\ud800" <= each <= "\udfff"), None)
    if broken is not None:
        raise _unreadable(
            text.count("\n", 0, broken) + 1,
            "the text holds half of a surrogate pair, which is no character; remove it",
        )
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.YAMLError as error:
        raise Unreadable(_explained(error)) from error
    if builder.root is None:
        raise _unreadable(1, "the file is empty; a workflow has at least a name and steps")
    return builder.root, builder.problems


def _events(text: str) -> Iterator[Any]:
    return iter(yaml.parse(text, Loader=_LOADER))


def _resolved(text: str, line: int) -> Value:
    """Return what an unquoted scalar means."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text):
        return int(text)
    if _LONG.match(text):
        raise _unreadable(line, f"the number {text[:30]}... is too long; put it in quotes")
    if _NUMBER.match(text):
        number = float(text)
        if not math.isfinite(number):
            raise _unreadable(line, f"the number {text[:30]} is too large; put it in quotes")
        return number
    return text


def _check_tag(tag: str | None, line: int) -> None:
    if tag is not None and tag not in _TAGS:
        raise _unreadable(line, f"the tag {tag[:80]} is not allowed; remove it")


def _too_deep(line: int) -> Unreadable:
    return _unreadable(
        line, f"the file is nested deeper than {limits.WORKFLOW_DEPTH} levels; flatten it"
    )


def _unreadable(line: int, message: str) -> Unreadable:
    return Unreadable(Problem(line, "", message))


def _explained(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    words = f"{what}, {context}" if context else str(what)
    return Problem(0 if mark is None else mark.line + 1, "", f"this is not YAML: {words[:300]}")

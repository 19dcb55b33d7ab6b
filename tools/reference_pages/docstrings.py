"""Classes, functions and their docstrings as Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Collection, Iterator
from typing import Any, Final

_SECTION: Final = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")
_TITLES: Final = {"Args": "Arguments"}
_ITEM: Final = re.compile(r"(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*): (.*)", re.S)
_WIDTH: Final = 100


def markdown(docstring: str | None) -> Iterator[str]:
    """Yield the lines of a docstring as Markdown: its sections become lists."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    at = 0
    while at < len(lines):
        match = _SECTION.fullmatch(lines[at])
        if match is None:
            yield _escaped(lines[at])
            at += 1
            continue
        end = at + 1
        while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
            end += 1
        body = textwrap.dedent("\n".join(lines[at + 1 : end])).strip("\n")
        yield from _section(match[1], body)
        at = end


def _section(title: str, body: str) -> Iterator[str]:
    yield from (f"*{_TITLES.get(title, title)}*", "")
    items = re.split(r"\n(?=\S)", body)
    found = [_ITEM.fullmatch(item) for item in items]
    if title in {"Returns", "Yields"} or not all(found):
        yield from (*map(_escaped, body.splitlines()), "")
        return
    for match in found:
        if match is not None:
            names = ", ".join(f"`{name}`" for name in match[1].split(", "))
            yield f"- {names}: {_escaped(' '.join(match[2].split()))}"
    yield ""


def _escaped(text: str) -> str:
    """Escape what HTML and Markdown would take for their own, outside of code."""
    if text.startswith("    "):
        return text
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([<*])", r"\\\1", part) for part in parts
    )


def signature(name: str, function: Any, *, method: bool = True) -> list[str]:
    """Return how a function is called, as it stands in its source, in lines of bearable length."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    static = any(ast.unparse(each) == "staticmethod" for each in node.decorator_list)
    if method and not static:
        first = node.args.posonlyargs or node.args.args
        del first[0]
    returned = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    line = f"{word} {name}({ast.unparse(node.args)}){returned}: ..."
    if len(line) <= _WIDTH:
        return [line]
    arguments = [f"    {each}," for each in _arguments(node.args)]
    return [f"{word} {name}(", *arguments, f"){returned}: ..."]


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    """Yield each argument with its annotation and default."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    for each, default in zip(plain, defaults, strict=True):
        yield _argument(each, default)
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(each, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(argument)
    if default is None:
        return text
    sign = " = " if argument.annotation is not None else "="
    return f"{text}{sign}{ast.unparse(default)}"


def class_lines(
    kind: type, heading: str, level: int, *, roots: tuple[type, ...] = ()
) -> Iterator[str]:
    """Yield the section of a class: what it is, its properties and methods.

    What it has from one of `roots` is left out; they have sections of their own.
    """
    yield from ("", f"{'#' * level} {heading}", "")
    yield from markdown(_own_docstring(kind))
    known = [root for root in roots if root is not kind and issubclass(kind, root)]
    if known:
        names = " and ".join(f"`{root.__name__}`" for root in known)
        yield from ("", f"It also has what {names} has.")
    members = list(public_members(kind, known))
    properties = [(name, each) for name, each in members if isinstance(each, property)]
    if properties:
        yield from ("", "*Properties*", "")
        for name, each in properties:
            text = " ".join(inspect.cleandoc(each.fget.__doc__ or "").split())
            yield f"- `{name}`: {_escaped(text)}"
    for name, each in members:
        if not isinstance(each, property):
            yield from function_lines(name, each, level + 1)


def function_lines(name: str, member: Any, level: int, *, method: bool = True) -> Iterator[str]:
    """Yield the section of a function or method."""
    function = getattr(member, "__func__", member)
    yield from ("", f"{'#' * level} `{name}`", "", "```python")
    yield from signature(name, function, method=method)
    yield from ("```", "")
    yield from markdown(function.__doc__)


def public_members(kind: type, but: Collection[type] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class, those of its roots but some too."""
    found: dict[str, Any] = {}
    for owner in reversed(kind.__mro__):
        if not owner.__module__.startswith("longshore") or owner in but:
            continue
        for name, member in vars(owner).items():
            called = getattr(member, "__func__", member)
            if not name.startswith("_") and (
                isinstance(member, property) or inspect.isfunction(called)
            ):
                found[name] = member
    yield from found.items()


def _own_docstring(kind: type) -> str:
    """Return the docstring of a class, without those that libraries make up."""
    text = vars(kind).get("__doc__") or ""
    return "" if text.startswith(f"{kind.__name__}(") else text

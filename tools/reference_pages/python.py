"""The pages about Python: the client, and what code that workers run is written with."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import longshore
from longshore import errors, sdk
from longshore.sdk import Client
from tools.reference_pages import documented_constants, page
from tools.reference_pages.docstrings import class_lines, function_lines, markdown

ALIASES: Final = {"Record": "longshore.worker.services"}
"""Public names of types that are no classes, and the modules that say what they stand for."""
ELSEWHERE: Final = frozenset({"__version__"})
"""Public names that have no section: the version."""


def client_page() -> str:
    """Return the page about the Python client, from its docstrings."""
    lines = [
        "# Python: the client",
        "",
        "`from longshore import Client`, or `AsyncClient` for asyncio. Both have the same methods with the same arguments; those of",
        "`AsyncClient` that ask the server are awaited, and what they return is the class of the same name with `Async` in front.",
        "Errors are those of [`longshore.errors`](errors.md); everything else is imported from `longshore.sdk`.",
        *class_lines(Client, "Client", 2),
    ]
    described = {Client}
    client = Client("http://127.0.0.1:1", "ls_described")
    for name, value in vars(client).items():
        if not name.startswith("_") and type(value).__module__.startswith("longshore."):
            heading = f"client.{name} ({type(value).__name__})"
            lines += class_lines(type(value), heading, 2)
            described.add(type(value))
    client.close()
    lines += ["", "## What they return and take", ""]
    for name in sdk.__all__:
        thing = getattr(sdk, name)
        if name.startswith("Async") or thing in described:
            continue
        lines += _thing_lines(name, thing, 3)
    return page("longshore/sdk", lines)


def _thing_lines(name: str, thing: Any, level: int) -> Iterator[str]:
    if inspect.isclass(thing):
        yield from class_lines(thing, f"`{name}`", level, roots=(longshore.BaseWorker,))
        yield from _word_lines(thing)
        yield from _field_lines(thing)
    elif inspect.isfunction(thing):
        yield from function_lines(name, thing, level, method=False)
    else:
        home = Path(inspect.getfile(importlib.import_module(ALIASES[name])))
        yield from ("", f"{'#' * level} `{name}`", "", dict(documented_constants(home))[name])


def _word_lines(kind: Any) -> Iterator[str]:
    """Yield the values of an enumeration."""
    members = getattr(kind, "__members__", None)
    if members:
        yield from (
            "",
            "Values: " + ", ".join(f"`{each.value}`" for each in members.values()) + ".",
        )


def _field_lines(kind: Any) -> Iterator[str]:
    """Yield the fields of a record whose docstring does not list them."""
    fields = getattr(kind, "__struct_fields__", ())
    if fields and "Attributes:" not in (kind.__doc__ or ""):
        yield from ("", "Fields: " + ", ".join(f"`{name}`" for name in fields) + ".")


def worker_page() -> str:
    """Return the page about what workers run: apps, services, functions, steps and elements workers."""
    lines = [
        "# Python: code that workers run",
        "",
        "What apps, services, functions of buckets, steps of workflows and workers of corpora are written with. All names are in",
        "`longshore`; `longshore.step` and `longshore.webhooks` are modules.",
    ]
    shared = set(sdk.__all__) | ELSEWHERE
    for name in longshore.__all__:
        thing = getattr(longshore, name)
        if name in shared or inspect.ismodule(thing):
            continue
        if inspect.isclass(thing) and issubclass(thing, errors.LongshoreError):
            continue
        lines += _thing_lines(name, thing, 2)
    for name in MODULES:
        lines += _module_lines(importlib.import_module(name))
    return page("longshore/worker, longshore/corpus and longshore/step.py", lines)


MODULES: Final = ("longshore.step", "longshore.webhooks")


def _module_lines(module: Any) -> Iterator[str]:
    yield from ("", f"## {module.__name__}", "")
    yield from markdown(module.__doc__)
    for name in module_names(module):
        yield from _thing_lines(name, getattr(module, name), 3)


def module_names(module: Any) -> list[str]:
    """Return the public classes and functions that a module makes, in their order."""
    named = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]
    return [name for name in getattr(module, "__all__", named) if name in named]

"""Importing the user's modules, so that their decorators fill the registry."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from longshore.errors import ConfigurationError, LongshoreError
from longshore.worker.registry import REGISTRY, Registry


def load(modules: Sequence[str], *, buckets: bool = False) -> Registry:
    """Import each module, given as a dotted name or as a path, and return what they registered.

    With `buckets` the worker serves works that name their own functions: these are found in the
    working directory too, and the modules need not register anything.

    Raises:
        ConfigurationError: a module is not there, does not import (the cause is attached), or
            none of them registers anything.
    """
    if buckets:
        _put_on_path(Path.cwd())
    for name in modules:
        REGISTRY.loading = name
        _load_one(name)
    if modules and not (buckets or _something_registered()):
        raise ConfigurationError(
            f"{', '.join(modules)}: imported, but nothing is registered. Put @longshore.app(...), "
            "@longshore.function(...) or @longshore.service(...) above the function that the "
            "worker is to run, or @longshore.elements_worker(...) above the class."
        )
    if REGISTRY.functions:
        _put_on_path(Path.cwd())
    return REGISTRY


def setups(registry: Registry, buckets: bool) -> Sequence[Callable[[], object]]:
    """Return what a process runs before its first work.

    Nothing where there is nothing for it to run: a worker of corpora sets up the process of each
    of its tasks.
    """
    runs = registry.apps or registry.functions or registry.services or buckets
    return registry.setups if runs else ()


def _something_registered() -> bool:
    return any((REGISTRY.apps, REGISTRY.functions, REGISTRY.services, REGISTRY.workers))


def _load_one(name: str) -> None:
    try:
        if name.endswith(".py") or os.sep in name or Path(name).is_dir():
            _import_path(Path(name))
        else:
            _put_on_path(Path.cwd())
            importlib.import_module(name)
    except LongshoreError:
        raise
    except ModuleNotFoundError as error:
        raise ConfigurationError(_missing_text(name, error)) from error
    # User code may raise anything at all while it is imported, SystemExit included.
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"Module {name} does not import: {type(error).__name__}: {error}. "
            "Import it in a Python prompt to see the whole traceback."
        ) from error


def _missing_text(name: str, error: ModuleNotFoundError) -> str:
    missing = error.name or "?"
    if name == missing or name.startswith(f"{missing}."):
        return (
            f"There is no module {missing} in {Path.cwd()} or in this Python's packages. "
            "Give a dotted name that imports here, or the path of a file."
        )
    return f"Module {name} does not import: it needs {missing}, which is not installed here."


def _import_path(path: Path) -> None:
    """Import a file, or a directory that is a package, by its path."""
    path = path.resolve()
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        raise ConfigurationError(f"There is no file {source}. Give the path of a Python file.")
    _put_on_path(path.parent)
    name = path.name if path.is_dir() else path.stem
    present = sys.modules.get(name)
    if present is not None:
        _expect_same_file(name, present, source)
        return
    locations = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(
        name, source, submodule_search_locations=locations
    )
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{source} is not a Python file; its name must end in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _expect_same_file(name: str, present: ModuleType, source: Path) -> None:
    origin = getattr(present, "__file__", None)
    if origin is None or Path(origin).resolve() != source:
        raise ConfigurationError(
            f"{source} cannot be imported as {name!r}: another module of that name is loaded "
            f"({origin or 'built into Python'}). Rename the file."
        )


def _put_on_path(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

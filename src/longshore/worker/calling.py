"""Finding the function that a work of a bucket is for, and calling it in the way that it wants."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_type_hints

import msgspec

from longshore.errors import ConfigurationError
from longshore.wire.payloads import BucketJob
from longshore.worker.registry import Registry
from longshore.worker.returned import Note, Returned

Call = Callable[[BucketJob, msgspec.Raw, Note], object]
"""Takes the work, its whole document and the way to its log; returns what the function returned."""

_CALLS: dict[tuple[str, object], Call] = {}


def find(registry: Registry, job: BucketJob) -> Call:
    """Return how to run a work: its own function, or the one registered for its bucket.

    Raises:
        ConfigurationError: there is no such function here.
    """
    if job.function:
        known = _CALLS.get(("", job.function))
        return known or _remember(("", job.function), import_function(job.function))
    registered = registry.functions.get(job.pipeline)
    if registered is None:
        raise ConfigurationError(
            f"No function is registered for bucket {job.pipeline} in this worker's modules any "
            "more. Restart the worker with a module that registers it."
        )
    known = _CALLS.get((job.pipeline, registered.function))
    return known or _remember((job.pipeline, registered.function), registered.function)


def import_function(dotted: str) -> Callable[..., Any]:
    """Return what a dotted path such as `package.module.function` names.

    Raises:
        ConfigurationError: it does not exist here, cannot be called, or its module does not
            import (the cause is attached).
    """
    parts = dotted.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigurationError(
            f"function is {dotted[:200]!r}; give a dotted path such as package.module.function."
        )
    module, names = _import_longest(dotted, parts)
    found: Any = module
    for name in names:
        found = getattr(found, name, None)
    if not callable(found):
        what = "there is no such name" if found is None else "that is not a function"
        raise ConfigurationError(
            f"{dotted} cannot be run: {what} in module {module.__name__} of this worker. Correct "
            "the work's function, or start the worker where it can be imported."
        )
    function: Callable[..., Any] = found
    return function


def _import_longest(dotted: str, parts: list[str]) -> tuple[Any, list[str]]:
    """Import the longest part of a path that is a module; return it and the names inside of it."""
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            return importlib.import_module(name), parts[length:]
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if not (name == missing or name.startswith(f"{missing}.")):
                raise ConfigurationError(
                    f"{dotted} cannot be imported: it needs {missing}, which this worker's Python "
                    "does not have. Install it there."
                ) from error
        # User code may raise anything at all while it is imported, SystemExit included.
        except (Exception, SystemExit) as error:
            raise ConfigurationError(
                f"{dotted} cannot be imported: {type(error).__name__}: {error}."
            ) from error
    raise ConfigurationError(
        f"{dotted} cannot be imported: this worker's Python has no module {parts[0]}. Start the "
        "worker in the directory of that module, or install it there."
    )


def _remember(key: tuple[str, object], function: Callable[..., Any]) -> Call:
    click = sys.modules.get("click")
    call: Call
    if click is not None and isinstance(function, click.Command):
        call = partial(_call_click, function)
    elif (work_class := _work_class(function)) is not None:
        call = partial(_call_with_work, function, work_class)
    else:
        call = partial(_call_with_parameters, function, _signature(function))
    _CALLS[key] = call
    return call


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions written in C do not tell.
        return None


def _work_class(function: Callable[..., Any]) -> Any:
    """Return the class of works that a function's only parameter asks for, or None.

    That is `longshore.Work`, or the published client's `Work`, which has the same fields; a lone
    parameter named `work` without an annotation asks for ours.
    """
    signature = _signature(function)
    if signature is None or len(signature.parameters) != 1:
        return None
    [parameter] = signature.parameters.values()
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return None
    wanted = parameter.annotation
    if wanted is parameter.empty:
        return _our_work() if parameter.name == "work" else None
    if isinstance(wanted, str):
        try:
            wanted = get_type_hints(function).get(parameter.name)
        except (NameError, TypeError, AttributeError):
            # Imported for type checkers only.
            return _our_work() if wanted.rpartition(".")[2] == "Work" else None
    named = isinstance(wanted, type) and wanted.__name__ == "Work"
    return wanted if named and hasattr(wanted, "deposit") else None


def _our_work() -> Any:
    return importlib.import_module("longshore").Work


def _call_with_parameters(
    function: Callable[..., Any],
    signature: inspect.Signature | None,
    job: BucketJob,
    _document: msgspec.Raw,
    _note: Note,
) -> object:
    parameters = job.parameters or {}
    if signature is not None:
        try:
            signature.bind(**parameters)
        except TypeError as error:
            given = ", ".join(sorted(parameters)) or "none"
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(
                f"The parameters of the work ({given}) do not fit {name}{signature}: {error}."
            ) from None
    return function(**parameters)


def _call_with_work(
    function: Callable[..., Any],
    work_class: Any,
    _job: BucketJob,
    document: msgspec.Raw,
    _note: Note,
) -> object:
    returned = function(work_class(**msgspec.json.decode(document)))
    if isinstance(returned, work_class):
        return Returned(returned.results, returned.products, returned.plots)
    return returned


def _call_click(command: Any, job: BucketJob, _document: msgspec.Raw, note: Note) -> object:
    arguments = click_arguments(command, job.parameters or {}, note)
    return command.main(args=arguments, prog_name=command.name, standalone_mode=False)


def click_arguments(command: Any, parameters: Mapping[str, Any], note: Note) -> list[str]:
    """Write a work's parameters as the arguments of a Click command.

    As the published client does: what is false, empty or 0 is left out, a flag is there or not,
    a list is repeated for an option that may be, and expanded for one of several values.
    """
    options: list[str] = []
    positional: list[str] = []
    for parameter in command.params:
        value = parameters.get(parameter.name)
        if not value:
            continue
        values = [str(part) for part in value] if isinstance(value, list | tuple) else [str(value)]
        if parameter.param_type_name == "argument":
            positional += values
        else:
            options += _option(parameter, value, values)
    unknown = set(parameters) - {parameter.name for parameter in command.params}
    if unknown:
        note(f"Parameters that {command.name} does not take: {', '.join(sorted(unknown))}.")
    # After `--`, a value such as -5 is not taken for an option.
    return [*options, "--", *positional] if positional else options


def _option(parameter: Any, value: object, values: list[str]) -> list[str]:
    name = parameter.opts[-1]
    if parameter.is_flag:
        return [name]
    if parameter.count:
        return [name] * int(values[0])
    if isinstance(value, list | tuple) and not parameter.multiple:
        return [name, *values]
    return [part for each in values for part in (name, each)]

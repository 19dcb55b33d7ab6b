"""The outputs of a chunk as JSON, in the form of its inputs."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from longshore.worker.troubles import Category, RecordError, Troubles

Output = dict[str, Any]


def as_output(value: Any) -> Output:
    """Return what a function returned as outputs by name; one value is the output "result"."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        # A model of Pydantic; the library need not be installed here.
        return dict(dump())
    return {"result": value}


def selected(outputs: Sequence[Output | None], wanted: Sequence[str]) -> list[Output | None]:
    """Return only the wanted outputs; null for one that a record does not have."""
    return [
        None if output is None else {name: output.get(name) for name in wanted}
        for output in outputs
    ]


def encoded(outputs: list[Output | None], names: Sequence[str] | None, troubles: Troubles) -> bytes:
    """Return the JSON of the outputs: objects, or rows below a header row where `names` is given.

    A record whose outputs cannot be written, because of NaN for example, gets an error instead.

    Args:
        outputs: one for each record, None for a failed one; changed where one cannot be written.
        names: what is known of the names of the outputs, in their order; None for objects.
        troubles: takes the errors.
    """
    try:
        text = _written(outputs, names)
        # NaN and infinity are written as null as well; so any null that is not a failed record's
        # has to be looked at.
        if names is None and text.count(b"null") == len(troubles.errors):
            return text
        if b"null" not in text:
            return text
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        # Which record it was comes out below.
        pass
    for index, output in enumerate(outputs):
        if output is not None and (problem := _problem(output)):
            outputs[index] = None
            error = RecordError(
                error_category=Category.OUTPUT, error_type="OutputNotJson", message=problem
            )
            troubles.fail(index, error)
    return _written(outputs, names)


def _written(outputs: Sequence[Output | None], names: Sequence[str] | None) -> bytes:
    return _ENCODER.encode(outputs if names is None else _rows(outputs, list(names)))


def _rows(outputs: Sequence[Output | None], names: list[str]) -> list[Sequence[Any]]:
    made = [output for output in outputs if output is not None]
    rows = _rows_alike(made, names)
    if rows is None:
        names = list(dict.fromkeys([*names, *(name for output in made for name in output)]))
        rows = [[output.get(name) for name in names] for output in made]
    if len(made) < len(outputs):
        nulls, found = [None] * len(names), iter(rows)
        rows = [nulls if output is None else next(found) for output in outputs]
    return [names, *rows]


def _rows_alike(outputs: Sequence[Output], names: Sequence[str]) -> Sequence[Sequence[Any]] | None:
    """Return the rows of outputs that all have just these names, and quickly; None for others."""
    if not set(map(len, outputs)) <= {len(names)}:
        return None
    try:
        if len(names) == 1:
            [name] = names
            return [(output[name],) for output in outputs]
        return list(map(itemgetter(*names), outputs)) if names else [()] * len(outputs)
    except KeyError:
        return None


def _plain(value: Any) -> Any:
    """Turn numbers and arrays of numeric libraries, and paths, into what JSON knows."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    for name in ("tolist", "model_dump"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"there is no JSON for a {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)


def _problem(output: Output) -> str:
    """Return why outputs cannot be written, or nothing."""
    for name, value in output.items():
        try:
            _ENCODER.encode({name: value})
        except RecursionError:
            return f"The output {name!r} contains itself, or is nested too deeply."
        # Values of users' classes may raise whatever they like when they are turned into JSON.
        except Exception as error:  # noqa: BLE001
            return f"The output {name!r} cannot be written as JSON: {error}."
        number = _number_without_json(value)
        if number is not None:
            return f"The output {name!r} is or contains {number}, for which JSON has no word."
    return ""


def _number_without_json(value: Any) -> float | None:
    if isinstance(value, float):
        return None if math.isfinite(value) else float(value)
    if value is None or isinstance(value, str | bytes | int):
        return None
    if isinstance(value, Mapping):
        parts: Any = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    elif isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
        parts = as_output(value).values()
    elif callable(getattr(value, "tolist", None)):
        return _number_without_json(value.tolist())
    else:
        return None
    return next(
        (found for part in parts if (found := _number_without_json(part)) is not None), None
    )

"""What a function of a bucket returned, made fit to be stored with its work."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.wire.payloads import NO_RESULT, BucketJob, FunctionResult

_EXPECTED = "a dict of results, or a tuple of results, list of products and list of plots"
_NUL = "\\u0000"

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Returned:
    """Results, and the paths of the files that were made."""

    results: Mapping[str, Any] | None = None
    products: Sequence[str] | None = None
    plots: Sequence[str] | None = None


def read(returned: object, note: Note) -> Returned:
    """Sort out what a function returned: its dict, its first list and its second list.

    A single value that is none of them counts as no results, as the published client has it; the
    log of the work says so.

    Raises:
        TypeError: it holds something that cannot be stored.
    """
    if returned is None:
        return Returned()
    if isinstance(returned, dict):
        return Returned(results=returned)
    if isinstance(returned, tuple):
        return _of_tuple(returned, note)
    encode_json(returned, "The values that the function returned")
    note(f"The function returned {shown(returned)}, which is not kept: return {_EXPECTED}.")
    return Returned()


def merge(job: BucketJob, new: Returned) -> Returned:
    """Add what was made to what the work has from earlier attempts; new results win."""
    results = new.results
    if results is None or job.results:
        results = {**(job.results or {}), **(results or {})} or new.results
    return Returned(
        results=results,
        products=_joined(job.products, new.products),
        plots=_joined(job.plots, new.plots),
    )


def encode(made: Returned, note: Note) -> bytes:
    """Return the JSON of a `FunctionResult`.

    Raises:
        TypeError: JSON, or a database, cannot hold the results; the message says where and why.
    """
    results = NO_RESULT
    if made.results is not None:
        results = msgspec.Raw(encode_json(made.results, "The results", note))
    result = FunctionResult(
        results=results,
        products=None if made.products is None else list(made.products),
        plots=None if made.plots is None else list(made.plots),
    )
    try:
        return msgspec.json.encode(result)
    except UnicodeEncodeError as error:
        raise TypeError(f"The name of a product or plot cannot be stored: {error}.") from error


def encode_json(value: object, label: str, note: Note | None = None) -> bytes:
    """Return JSON that every database holds; arrays and numbers of numpy become plain ones.

    NaN and infinity become null, for JSON has no word for them; `note` is told.

    Raises:
        TypeError: there is no JSON for it.
    """
    try:
        try:
            text = _dumps(value)
        except ValueError:
            value, places = _without_nan(value)
            text = _dumps(value)
            if note is not None:
                note(f"{label} hold NaN or infinity, stored as null, at {', '.join(places)}.")
        encoded = text.encode()
    except RecursionError as error:
        raise TypeError(f"{label} contain themselves, or are nested too deeply.") from error
    except UnicodeEncodeError as error:
        raise TypeError(f"{label} hold text that is not Unicode: {error}.") from error
    except (TypeError, ValueError) as error:
        place = _place_without_json(value, "$")
        where = f" at {place}" if place not in (None, "$") else ""
        # The frames of the encoder would tell nothing more.
        raise TypeError(
            f"{label} cannot be written as JSON: {error}{where}. Return {_EXPECTED}."
        ) from None
    if _NUL in text and _holds_nul(json.loads(text)):
        raise TypeError(f"{label} hold the character NUL, which no database keeps. Remove it.")
    return encoded


def shown(value: object) -> str:
    """Return the type of a value and the beginning of what it shows as."""
    text = repr(value)
    return f"{type(value).__name__} {text[:80]}{'…' if len(text) > 80 else ''}"


def _of_tuple(items: tuple[object, ...], note: Note) -> Returned:
    results: Mapping[str, Any] | None = None
    lists: list[list[str]] = []
    for item in items:
        if isinstance(item, dict) and results is None:
            results = item
        elif isinstance(item, list) and len(lists) < 2:
            lists.append([_path(path, ("products", "plots")[len(lists)]) for path in item])
        elif item is not None:
            note(f"The function returned a tuple with {shown(item)}, which is not kept.")
    products, plots = [*lists, None, None][:2]
    return Returned(results, products, plots)


def _path(path: object, label: str) -> str:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str) or not text or "\x00" in text:
        raise TypeError(f"The {label} hold {shown(path)}; each must be the path of a file.")
    return text


def _joined(old: Sequence[str] | None, new: Sequence[str] | None) -> Sequence[str] | None:
    if not new:
        return old
    return list(dict.fromkeys([*(old or ()), *new]))


def _dumps(value: object) -> str:
    return json.dumps(
        value, allow_nan=False, ensure_ascii=False, separators=(",", ":"), default=_plain
    )


def _plain(value: Any) -> Any:
    """Turn numbers and arrays of numeric libraries, and paths, into what JSON knows."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    tolist = getattr(value, "tolist", None)
    if callable(tolist):
        return tolist()
    raise TypeError(f"there is no JSON for {shown(value)}")


def _place_without_json(value: object, place: str) -> str | None:
    """Return the first place for which there is no JSON, such as `$.tables[0].rows`."""
    if value is None or isinstance(value, str | int | float):
        return None
    if isinstance(value, dict):
        parts = [(f"{place}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        parts = [(f"{place}[{index}]", part) for index, part in enumerate(value)]
    else:
        try:
            return _place_without_json(_plain(value), place)
        except TypeError:
            return place
    return next((found for at, part in parts if (found := _place_without_json(part, at))), None)


def _without_nan(value: object) -> tuple[object, list[str]]:
    places: list[str] = []

    def cleaned(item: object, place: str) -> object:
        if isinstance(item, float) and not math.isfinite(item):
            if len(places) < 3:
                places.append(place)
            return None
        if isinstance(item, dict):
            return {key: cleaned(part, f"{place}.{key}") for key, part in item.items()}
        if isinstance(item, list | tuple):
            return [cleaned(part, f"{place}[{index}]") for index, part in enumerate(item)]
        if item is None or isinstance(item, str | int | float):
            return item
        return cleaned(_plain(item), place)

    return cleaned(value, "$"), places


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    parts: Iterable[object] = ()
    if isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, list):
        parts = value
    return any(_holds_nul(part) for part in parts)

"""Columns of records at once, for functions that are registered with `batch=True`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from longshore.errors import RetryLater
from longshore.worker.outputs import Output, as_output
from longshore.worker.progress import NONE
from longshore.worker.records import (
    Chunk,
    Target,
    category_of,
    leave_if_shared,
    missing_error,
    not_taken,
    release,
)


def run_batches(target: Target, chunk: Chunk, parts: Sequence[tuple[int, int]]) -> None:
    """Compute each part by one call. A part that raises is halved until what raises is alone.

    Raises:
        RetryLater: the function wants the chunk to be tried again later.
    """
    names = _names(target, chunk)
    for start, stop in parts:
        waiting = _complete(target, chunk, names, start, stop)[::-1]
        while waiting:
            part = waiting.pop()
            middle = (part[0] + part[1]) // 2
            if not _run(target, chunk, names, part):
                waiting += [(middle, part[1]), (part[0], middle)]
    chunk.position.cells[0], chunk.position.cells[1] = NONE, 1


def _run(target: Target, chunk: Chunk, names: Sequence[str], part: tuple[int, int]) -> bool:
    """Call the function for a part; False when it is to be halved."""
    start, stop = part
    count = stop - start
    # Whoever looks must never see a count that belongs to another position.
    cells = chunk.position.cells
    cells[0] = NONE
    cells[1] = count
    cells[0] = start
    began_s = time.perf_counter()
    try:
        columns = _columns(target, chunk, names, part)
        returned = target.function(columns) if target.whole else target.function(**columns)
        chunk.outputs[start:stop] = _rows(returned, count)
    except RetryLater:
        raise
    except MemoryError as error:
        leave_if_shared(chunk.position)
        release(error)
        if count > 1:
            return False
        chunk.troubles.fail_by(start, error, category_of(error))
    # As for single records, whatever is raised is an error of what raised it.
    except BaseException as error:  # noqa: BLE001
        if count > 1:
            return False
        chunk.troubles.fail_by(start, error, category_of(error))
    each_ms = round((time.perf_counter() - began_s) * 1000 / count)
    if each_ms:
        chunk.slow_ms.update(dict.fromkeys(range(start, stop), each_ms))
    return True


def _names(target: Target, chunk: Chunk) -> list[str]:
    """Return the inputs that any record of the chunk has and the function takes."""
    own: Sequence[str] | Mapping[str, None]
    if chunk.header is not None:
        own = chunk.header
    else:
        own = dict.fromkeys(
            name for record in chunk.records if type(record) is dict for name in record
        )
    names = list(dict.fromkeys([*chunk.parameters, *own]))
    if target.accepts is None:
        return names
    extra = [name for name in names if name not in target.accepts]
    if extra and chunk.records:
        chunk.troubles.warn(0, not_taken(target, extra))
    return [name for name in names if name in target.accepts]


def _complete(
    target: Target, chunk: Chunk, names: Sequence[str], start: int, stop: int
) -> list[tuple[int, int]]:
    """Return the parts of a part that have all inputs; the other records get errors."""
    common = chunk.parameters.keys()
    absent = target.required - set(names)
    always = target.required - common - absent
    parts, at = [], start
    for index in range(start, stop):
        missing = absent
        if chunk.header is None and not always <= chunk.records[index].keys():
            missing = absent | (always - chunk.records[index].keys())
        if missing:
            chunk.troubles.fail(index, missing_error(target.label, sorted(missing), ()))
            parts.append((at, index))
            at = index + 1
    return [part for part in [*parts, (at, stop)] if part[0] < part[1]]


def _columns(
    target: Target, chunk: Chunk, names: Sequence[str], part: tuple[int, int]
) -> dict[str, list[Any]]:
    records = chunk.records[part[0] : part[1]]
    columns: dict[str, list[Any]] = {}
    by_header: dict[str, Any] = {}
    if chunk.header is not None:
        by_header = dict(zip(chunk.header, zip(*records, strict=True), strict=True))
    for name in names:
        missing = chunk.parameters.get(name, target.defaults.get(name))
        if name in by_header:
            columns[name] = list(by_header[name])
        elif chunk.header is not None:
            columns[name] = [missing] * len(records)
        else:
            columns[name] = [record.get(name, missing) for record in records]
    return columns


def _rows(returned: Any, count: int) -> list[Output]:
    if isinstance(returned, Mapping):
        columns = {name: _column(name, values, count) for name, values in returned.items()}
        names = list(columns)
        rows = zip(*columns.values(), strict=True) if columns else ((),) * count
        return [dict(zip(names, row, strict=True)) for row in rows]
    values = _column("", returned, count)
    return [as_output(value) for value in values]


def _column(name: str, values: Any, count: int) -> list[Any]:
    tolist = getattr(values, "tolist", None)
    if callable(tolist):
        values = tolist()
    what = f"the output {name!r}" if name else "what it returned"
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise TypeError(
            f"A function with batch=True returns a dict of columns, or a list of dicts; {what} is "
            f"a {type(values).__name__}."
        )
    if len(values) != count:
        raise ValueError(f"{count} records went in, and {what} has {len(values)} values.")
    return list(values)

"""Records one by one: how each becomes the arguments of the function, and what becomes of it."""

from __future__ import annotations

import difflib
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from longshore.errors import InvalidRequest, Reject, RetryLater
from longshore.worker.outputs import Output, as_output
from longshore.worker.progress import NONE, OUT_OF_MEMORY_STATUS, Position
from longshore.worker.texts import own_frames
from longshore.worker.troubles import Category, RecordError, RecordTimeLimit, Troubles

Call = Callable[[Any], Any]
"""Takes a record as it was pushed, an object or a row."""

_SHORT_S: Final = 0.0005
"""What takes less is told as 0 ms."""


@dataclass(frozen=True, slots=True)
class Target:
    """What computes a record, or columns of records.

    Attributes:
        function: takes the inputs by name; with `whole` the record is its only argument.
        accepts: the names that it takes; None for any.
        required: those among them that a record must have.
        positional: the names that can be given by position, in their order.
        defaults: what an input is that a record does not have.
        label: what people know it by.
    """

    function: Callable[..., Any]
    label: str
    whole: bool = False
    accepts: frozenset[str] | None = None
    required: frozenset[str] = frozenset()
    positional: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Chunk:
    """The records of a chunk and what has become of them so far.

    Attributes:
        records: objects, or with a `header` rows.
        parameters: inputs that all records have in common; a record's own come first.
        position: where the present record is written down (see `longshore.worker.progress`).
        outputs: null for those that failed or were not computed yet.
        slow_ms: times that are long enough to be told.
    """

    records: Sequence[Any]
    header: list[str] | None
    parameters: dict[str, Any]
    troubles: Troubles
    position: Position
    outputs: list[Output | None]
    slow_ms: dict[int, int] = field(default_factory=dict)

    def fields(self, index: int) -> dict[str, Any]:
        """Return the inputs of a record by name, the common ones too."""
        record = self.records[index]
        own = record if self.header is None else dict(zip(self.header, record, strict=True))
        return {**self.parameters, **own}

    def unfit(self) -> set[int]:
        """Give an error to each record that is no object, or no row of the header's width."""
        wanted: type[Any] = dict if self.header is None else list
        width = None if self.header is None else len(self.header)
        # Both sets are made without a step of Python for each record.
        good = set(map(type, self.records)) <= {wanted}
        if good and (width is None or set(map(len, self.records)) <= {width}):
            return set()
        found = set()
        for index, record in enumerate(self.records):
            message = _unfit(record, wanted, width)
            if message:
                error = RecordError(
                    error_category=Category.INPUT, error_type="BadRecord", message=message
                )
                self.troubles.fail(index, error)
                found.add(index)
        return found


class Unreadable:
    """In the place of a record whose JSON cannot be read."""

    def __init__(self, why: str) -> None:
        """Remember why."""
        self.why = why


def run_records(target: Target, chunk: Chunk, parts: Sequence[tuple[int, int]]) -> None:
    """Compute records one by one; what one of them raises is its own error.

    Raises:
        RetryLater: the function wants the chunk to be tried again later.
    """
    runner = _Runner(target, chunk)
    for start, stop in parts:
        runner.run(start, stop)
    chunk.position.cells[0] = NONE


class _Runner:
    def __init__(self, target: Target, chunk: Chunk) -> None:
        self._target = target
        self._chunk = chunk
        self._told: set[str] = set()
        self._call = self._by_row() if chunk.header is not None else self._by_object()

    def run(self, start: int, stop: int) -> None:
        chunk, call = self._chunk, self._call
        records, outputs, cells = chunk.records, chunk.outputs, chunk.position.cells
        clock = time.perf_counter
        began_s = clock()
        # The whole overhead of a record is in these lines.
        for index in range(start, stop):
            cells[0] = index
            try:
                output = call(records[index])
                outputs[index] = output if type(output) is dict else as_output(output)
            except MemoryError as error:
                leave_if_shared(chunk.position)
                call = self._failed(index, error)
            except RetryLater:
                raise
            # Whatever a record raises is its error, KeyboardInterrupt included.
            except BaseException as error:  # noqa: BLE001
                call = self._failed(index, error)
            ended_s = clock()
            if ended_s - began_s >= _SHORT_S:
                chunk.slow_ms[index] = round((ended_s - began_s) * 1000)
            began_s = ended_s
        self._call = call

    def _failed(self, index: int, error: BaseException) -> Call:
        """Sort out why a call failed; return how to make the next ones."""
        chunk, accepts = self._chunk, self._target.accepts
        release(error)
        if isinstance(error, TypeError) and accepts is not None and own_frames(error) is None:
            # The function was not even entered, so that it may be called again.
            given = chunk.fields(index)
            missing = sorted(self._target.required - given.keys())
            extra = [name for name in given if name not in accepts]
            if missing:
                chunk.troubles.fail(index, missing_error(self._target.label, missing, extra))
                return self._call
            if extra:
                _note(self._target, self._chunk, self._told, index, extra)
                return self._without_extra(index)
        chunk.troubles.fail_by(index, error, category_of(error))
        return self._call

    def _without_extra(self, index: int) -> Call:
        """Compute a record that has more than the function takes, and the next ones so too."""
        self._call = partial(_fitting, self._target, self._chunk, self._told)
        try:
            self._chunk.outputs[index] = as_output(self._call(self._chunk.records[index]))
        except MemoryError as error:
            leave_if_shared(self._chunk.position)
            self._chunk.troubles.fail_by(index, error, category_of(error))
        except RetryLater:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            # The first call, which took too much, is nobody's concern.
            error.__context__ = None
            self._chunk.troubles.fail_by(index, error, category_of(error))
        return self._call

    def _by_object(self) -> Call:
        function, parameters = self._target.function, self._chunk.parameters
        if self._target.whole:
            return (lambda record: function({**parameters, **record})) if parameters else function
        if parameters:
            return lambda record: function(**{**parameters, **record})
        return lambda record: function(**record)

    def _by_row(self) -> Call:
        target, parameters = self._target, self._chunk.parameters
        function, header = target.function, self._chunk.header
        assert header is not None
        if target.whole:
            return lambda row: function({**parameters, **dict(zip(header, row, strict=True))})
        if not parameters and tuple(header) == target.positional[: len(header)]:
            return lambda row: function(*row)
        if parameters:
            return lambda row: function(**{**parameters, **dict(zip(header, row, strict=True))})
        return lambda row: function(**dict(zip(header, row, strict=True)))


def _fitting(target: Target, chunk: Chunk, told: set[str], _record: Any) -> Any:
    """Call a function with what it takes of a record."""
    index = chunk.position.cells[0]
    given = chunk.fields(index)
    accepts = target.accepts
    assert accepts is not None
    fitting = {name: value for name, value in given.items() if name in accepts}
    if len(fitting) < len(given):
        _note(target, chunk, told, index, [name for name in given if name not in accepts])
    return target.function(**fitting)


def _note(target: Target, chunk: Chunk, told: set[str], index: int, extra: Sequence[str]) -> None:
    new = [name for name in extra if name not in told]
    told.update(new)
    if new:
        chunk.troubles.warn(index, not_taken(target, new))


def leave_if_shared(position: Position) -> None:
    """End a process that is out of memory, where another one goes on at this record.

    What fills the memory may be of other records, so that this one has a right to an empty process.
    Python itself can hang when there is no memory at all; so nothing is done before.
    """
    if position.shared:
        os._exit(OUT_OF_MEMORY_STATUS)


def release(error: BaseException) -> None:
    """Let go of what filled the memory, so that there is room to tell of it."""
    if isinstance(error, MemoryError):
        traceback.clear_frames(error.__traceback__)


def category_of(error: BaseException) -> Category:
    """Return whose fault an exception of a record is."""
    if isinstance(error, RecordTimeLimit):
        return Category.TIME_LIMIT
    return Category.INPUT if isinstance(error, InvalidRequest | Reject) else Category.EXECUTION


def not_taken(target: Target, names: Sequence[str]) -> str:
    """Return the warning for inputs that the function does not take."""
    shown = ", ".join(repr(name) for name in names[:10])
    return (
        f"{target.label} takes no {shown}: not used.{_near(names[0], sorted(target.accepts or ()))}"
    )


def missing_error(label: str, missing: Sequence[str], extra: Sequence[str]) -> RecordError:
    """Return the error of a record that lacks inputs; `extra` may be misspelt ones."""
    shown = ", ".join(repr(name) for name in missing[:10])
    what = "input is" if len(missing) == 1 else "inputs are"
    message = f"{label}: the {what} missing: {shown}.{_near(missing[0], extra)}"
    return RecordError(error_category=Category.INPUT, error_type="MissingInput", message=message)


def _near(name: str, others: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, others, n=1)
    return f" Is {near[0]!r} the same?" if near else ""


def _unfit(record: Any, wanted: type[Any], width: int | None) -> str:
    if isinstance(record, Unreadable):
        return record.why
    if type(record) is not wanted:
        form = "an object of inputs by name" if wanted is dict else "a row, as the first one is"
        return f"The record must be {form}; it is {_json_type(record)}."
    if width is not None and len(record) != width:
        return f"The row has {len(record)} values, and the header {width} names."
    return ""


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")

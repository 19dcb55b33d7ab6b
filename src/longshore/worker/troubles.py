"""Errors and warnings of single records: how they are told, and to which record they belong."""

from __future__ import annotations

import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Final, TextIO

import msgspec

from longshore.errors import LongshoreError
from longshore.wire.payloads import NO_RESULT
from longshore.worker import memory
from longshore.worker.texts import clean, clean_tail, own_frames, shown_message

MESSAGE_CHARACTERS: Final = 2_000
_TRACEBACK_CHARACTERS: Final = 2_000
_TRACEBACKS: Final = 50
"""So many records of a chunk have a traceback; those that fail after them mostly fail alike."""
_WARNINGS_PER_RECORD: Final = 20


class Category(StrEnum):
    """What kind of thing went wrong."""

    INPUT = "input"
    """The record does not fit the service."""
    EXECUTION = "execution"
    """The function raised."""
    OUTPUT = "output"
    """There is no JSON for what it returned."""
    TIME_LIMIT = "time_limit"
    PROCESS_ENDED = "process_ended"
    """Its process died at this record."""


class RecordTimeLimit(BaseException):
    """Raised in a thread, in the middle of a record that takes too long."""

    def __init__(self) -> None:
        """Say what a person is told of it."""
        super().__init__("Stopped at the time limit for a record.")


class RecordError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record has no outputs."""

    error_category: Category
    error_type: str
    additional_details: str = ""
    source_path: str = ""
    """Function and line."""
    message: str


class RecordWarning(msgspec.Struct, frozen=True, kw_only=True):
    """What a person should know of a record that has outputs nevertheless."""

    source_path: str
    message: str


class Troubles:
    """The errors and warnings of a chunk, by the position of the record."""

    def __init__(self, name: Callable[[int], str]) -> None:
        """Begin with none; `name` returns what a person knows a record by, or nothing."""
        self.errors: dict[int, RecordError] = {}
        self._warnings: dict[int, list[RecordWarning]] = {}
        self._name = name

    def fail(self, index: int, error: RecordError) -> None:
        """Take the error of a record."""
        message = clean(self._named(index, error.message), MESSAGE_CHARACTERS)
        self.errors[index] = msgspec.structs.replace(error, message=message)

    def fail_by(self, index: int, raised: BaseException, category: Category) -> None:
        """Take an exception as the error of a record."""
        self.fail(index, described(raised, category, with_traceback=len(self.errors) < _TRACEBACKS))

    def warn(self, index: int, message: str, source_path: str = "") -> None:
        """Take a warning; more than a handful are of no use to anybody."""
        told = self._warnings.setdefault(index, [])
        if len(told) < _WARNINGS_PER_RECORD:
            text = clean(self._named(index, message), MESSAGE_CHARACTERS)
            told.append(RecordWarning(source_path=source_path, message=text))

    def encoded_errors(self, records: int) -> msgspec.Raw:
        """Return the JSON of a list with an entry for each record, or of null."""
        return _encoded(records, {index: [each] for index, each in self.errors.items()})

    def encoded_warnings(self, records: int) -> msgspec.Raw:
        """Return the JSON of a list with an entry for each record, or of null."""
        return _encoded(records, self._warnings)

    def _named(self, index: int, message: str) -> str:
        name = self._name(index)
        return f"{name}: {message}" if name else message


def described(
    raised: BaseException, category: Category, *, with_traceback: bool = True
) -> RecordError:
    """Return what an exception of a record is told as."""
    frames = own_frames(raised)
    details, source = "", ""
    if frames is not None:
        if with_traceback:
            lines = traceback.format_exception(type(raised), raised, frames)
            details = clean_tail("".join(lines), _TRACEBACK_CHARACTERS)
        while frames.tb_next is not None:
            frames = frames.tb_next
        code = frames.tb_frame.f_code
        source = f"{PurePath(code.co_filename).name}:{frames.tb_lineno} ({code.co_qualname})"
    if isinstance(raised, SystemExit):
        message = f"The code called sys.exit({raised.code!r}); let it return instead."
    elif isinstance(raised, MemoryError):
        used = memory.describe(memory.limit_bytes(), memory.peak_rss_bytes())
        message = f"Out of memory: {used}. {shown_message(raised)}".rstrip()
    elif isinstance(raised, LongshoreError):
        message = raised.message
    else:
        message = shown_message(raised) or type(raised).__name__
    return RecordError(
        error_category=category,
        error_type=clean(type(raised).__name__, MESSAGE_CHARACTERS),
        additional_details=details,
        source_path=clean(source, MESSAGE_CHARACTERS),
        message=clean(message, MESSAGE_CHARACTERS),
    )


class _Here(threading.local):
    """Who takes the warnings that this thread's code gives; None outside of chunks."""

    take: Callable[[str, str], None] | None = None


_here = _Here()


@contextmanager
def catching_warnings(troubles: Troubles, cells: memoryview) -> Iterator[None]:
    """Give what the code in the block warns of to the record that it is at.

    `warnings.catch_warnings` would do so for one thread of a process only, and is slow; so what
    shows warnings is replaced once, and asks which chunk the thread is at.
    """

    def take(message: str, source_path: str) -> None:
        troubles.warn(max(cells[0], 0), message, source_path)

    if warnings.showwarning is not _show:
        _before.append(warnings.showwarning)
        warnings.showwarning = _show
    # Otherwise only the first record for which a line warns would be told of. What this Python
    # ignores stays ignored, since this comes after all other filters.
    warnings.simplefilter("always", append=True)
    _here.take = take
    try:
        yield
    finally:
        _here.take = None


_before: list[Callable[..., Any]] = []


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if _here.take is None or file is not None:
        _before[-1](message, category, filename, lineno, file, line)
    else:
        _here.take(f"{category.__name__}: {message}", f"{PurePath(filename).name}:{lineno}")


def _encoded(records: int, found: dict[int, Any]) -> msgspec.Raw:
    if not found:
        return NO_RESULT
    entries: list[Any] = [None] * records
    for index, entry in found.items():
        entries[index] = entry
    return msgspec.Raw(msgspec.json.encode(entries))

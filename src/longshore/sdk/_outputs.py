"""What a map does with what arrives: outputs for the caller, or lines for a file."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

import msgspec

from longshore.errors import InvalidRequest
from longshore.sdk._arrivals import Arrival, InOrder
from longshore.sdk._pipelines import encode
from longshore.sdk.mapping import OnError, RecordFailed, RecordWarning

_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LOGGED: Final = 10
_logger = logging.getLogger("longshore.sdk")


class Reader:
    """Reads arrivals, and counts what was in them.

    Attributes:
        records: how many records came.
        failed: how many of them have errors.
        warnings: how many warnings there were.
    """

    def __init__(
        self,
        *,
        ordered: bool,
        indexed: bool,
        on_error: OnError,
        on_warning: Callable[[RecordWarning], object] | None,
        start: int = 0,
    ) -> None:
        """Begin with the record at `start`.

        Raises:
            InvalidRequest: there is no such `on_error`.
        """
        if on_error not in ("raise", "yield", "skip"):
            raise InvalidRequest(f"on_error is {on_error!r}; it is raise, yield or skip.")
        self._order = InOrder(start) if ordered else None
        self._indexed = indexed
        self._on_error = on_error
        self._on_warning = on_warning or self._log
        self.records = self.failed = self.warnings = 0

    def order(self, arrivals: Sequence[Arrival]) -> Iterator[Arrival]:
        """Give arrivals when it is their turn."""
        return iter(arrivals) if self._order is None else self._order.add(arrivals)

    def failures(self, arrival: Arrival) -> dict[int, RecordFailed]:
        """Count an arrival and tell its warnings; return its failures by place in the chunk."""
        self.records += arrival.cut.records
        for warning in arrival.warnings():
            self.warnings += 1
            self._on_warning(warning)
        failures = arrival.failures()
        self.failed += len(failures)
        return failures

    def read(self, arrival: Arrival) -> tuple[list[Any], RecordFailed | None]:
        """Return the outputs of an arrival, and the failure to raise behind them."""
        failures = self.failures(arrival)
        outputs = arrival.outputs()
        start = arrival.cut.start
        if not failures:
            return (list(enumerate(outputs, start)) if self._indexed else outputs), None
        first = min(failures) if self._on_error == "raise" else len(outputs)
        found = []
        for place, output in enumerate(outputs[:first]):
            failure = failures.get(place)
            if failure is None:
                found.append((start + place, output) if self._indexed else output)
            elif self._on_error == "yield":
                found.append((start + place, failure) if self._indexed else failure)
        return found, failures[first] if self._on_error == "raise" else None

    def _log(self, warning: RecordWarning) -> None:
        if self.warnings <= _LOGGED:
            _logger.warning("record %d: %s", warning.index, warning.message)
        if self.warnings == _LOGGED:
            _logger.warning("further warnings are counted and not logged; see on_warning=")


class JsonLines:
    """Writes each output as a line of JSON; the bytes are those that the server gave."""

    def __init__(self, *, indexed: bool) -> None:
        """With an index each line is {"index": ..., "output": ...}."""
        self._indexed = indexed

    def render(self, arrival: Arrival, left_out: Collection[int]) -> bytes:
        """Return the lines of an arrival, but for the places of records that are left out."""
        outputs: list[Any]
        lines: list[Any]
        raw = bytes(arrival.chunk.outputs)
        if b"\n" in raw or raw[:2] == b"[[":
            # Rows become mappings, and what was laid out for the eye goes on one line.
            outputs = [encode(output) for output in arrival.outputs()]
        else:
            outputs = _RAWS.decode(raw)
        start = arrival.cut.start
        chosen = _chosen(outputs, left_out)
        if self._indexed:
            lines = [
                b'{"index":%d,"output":%b}' % (start + place, bytes(output))
                for place, output in chosen
            ]
        elif not left_out:
            lines = outputs
        else:
            lines = [output for _, output in chosen]
        return b"\n".join([*lines, b""]) if lines else b""


class CsvLines:
    """Writes outputs as rows of CSV; the first output says which columns there are.

    Attributes:
        columns: the names in the first row, once they are known.
    """

    def __init__(self, *, indexed: bool, columns: list[str] | None = None) -> None:
        """With an index the first column is `index`."""
        self._indexed = indexed
        self.columns = columns

    def render(self, arrival: Arrival, left_out: Collection[int]) -> bytes:
        """Return the rows of an arrival, below the names if it is the first; see `JsonLines`.

        Raises:
            InvalidRequest: an output has not the columns of the first one.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        for place, output in _chosen(arrival.outputs(), left_out):
            if not isinstance(output, dict):
                raise self._unfit(arrival, place, "is no mapping of names to values")
            if self.columns is None:
                self.columns = list(output)
                writer.writerow(["index", *self.columns] if self._indexed else self.columns)
            if output.keys() != set(self.columns):
                raise self._unfit(arrival, place, f"has the columns {', '.join(output)}")
            row = [_field(output[name]) for name in self.columns]
            writer.writerow([arrival.cut.start + place, *row] if self._indexed else row)
        return text.getvalue().encode()

    def _unfit(self, arrival: Arrival, place: int, what: str) -> InvalidRequest:
        columns = ", ".join(self.columns or ())
        return InvalidRequest(
            f"The output of record {arrival.cut.start + place} {what}, and the CSV file has "
            f"{columns or 'no columns yet'}. Write JSONL, or select outputs that all records have."
        )


def _chosen(outputs: Sequence[Any], left_out: Collection[int]) -> Iterator[tuple[int, Any]]:
    for place, output in enumerate(outputs):
        if place not in left_out:
            yield place, output


def _field(value: Any) -> Any:
    if value is None or type(value) in (str, int, float):
        return value
    return encode(value).decode()

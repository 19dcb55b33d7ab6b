"""Where records come from: iterables, JSONL, CSV and Parquet files, packed in bulk, never singly."""

from __future__ import annotations

import csv
import importlib
import io
import os
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias, cast

import msgspec

from longshore.errors import ConfigurationError, InvalidRequest
from longshore.sdk._pipelines import encode

Format: TypeAlias = Literal["jsonl", "csv", "tsv", "parquet"]
Records: TypeAlias = "Iterable[Any] | AsyncIterable[Any] | str | os.PathLike[str] | BinaryIO"
"""Mappings, or rows below a first row of names; or a file with them."""

_FORMATS: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})(\.\d+)?([eE][+-]?\d{1,3})?")
_WORDS: Final = {"": None, "true": True, "false": False, "True": True, "False": False}
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_LONGEST_FIELD_CHARACTERS: Final = 16_000_000
_PARQUET_ROWS: Final = 10_000


class Source:
    """Records that are taken in turn and packed into JSON arrays, many at once.

    Attributes:
        items: gives the records as they are kept there: mappings, rows, or lines of JSON.
        total: how much there is, in the unit of `position`; None while that is unknown.
        identity: what a file looked like when it was opened, to know it again; None for others.
    """

    def __init__(
        self,
        items: Iterator[Any] | AsyncIterator[Any],
        *,
        pack: Callable[[list[Any]], bytes] = encode,
        total: float | None = None,
        file: BinaryIO | None = None,
        text: io.TextIOWrapper | None = None,
        identity: str | None = None,
    ) -> None:
        """Use what `open_source` has found; nothing is taken yet."""
        self.items = items
        self.total = total
        self.identity = identity
        self.header: Any = None
        self._pack = pack
        self._file = file
        self._text = text
        self._begun = False
        self._taken = 0

    @property
    def columnar(self) -> bool:
        """Whether records are rows below a row of names, known once the first were taken."""
        return self.header is not None

    @property
    def position(self) -> float:
        """How much was taken so far: bytes of a file (read ahead a little), or records."""
        if self._file is None or self.total is None:
            return self._taken
        return min(self._file.tell(), self.total)

    def admit(self, items: list[Any]) -> list[Any]:
        """Return the records among the items that were taken; a row of names is kept back.

        Raises:
            InvalidRequest: rows and mappings are mixed.
        """
        if not self._begun and items:
            self._begun = True
            if _is_row(items[0]):
                self.header, items = items[0], items[1:]
        if items and _is_row(items[0]) is not self.columnar:
            found, others = ("row", "mappings") if not self.columnar else ("mapping", "rows")
            raise InvalidRequest(
                f"Record {self._taken} is a {found} among {others}. Give records in one form: "
                "mappings, or rows below a first row of names."
            )
        self._taken += len(items)
        return items

    def pack(self, items: list[Any]) -> bytes:
        """Return records as a JSON array, with the row of names first where there is one.

        Raises:
            InvalidRequest: a record is not JSON, or cannot be.
        """
        return self._pack([self.header, *items] if self.columnar else items)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._text is not None:
            # It would close a file of the caller's when it is collected.
            self._text.detach()
            self._text = None
        if self._file is not None and self.identity is not None:
            self._file.close()


def _is_row(item: Any) -> bool:
    return isinstance(item, list | tuple) or (isinstance(item, bytes) and item[:1] == b"[")


def take(items: Any, count: int, linger_s: float) -> list[Any]:
    """Take up to so many items, fewer where they come slowly; none at the end.

    The first one is waited for as long as it takes; then more are taken for about `linger_s`.

    Raises:
        InvalidRequest: they are to be awaited.
    """
    if hasattr(items, "__anext__"):
        raise InvalidRequest("Records from an async iterable need AsyncClient.")
    taken = list(islice(items, 1))
    until = time.monotonic() + linger_s
    while taken and len(taken) < count:
        more = list(islice(items, min(len(taken), count - len(taken))))
        if not more:
            break
        taken += more
        if time.monotonic() > until:
            break
    return taken


async def async_take(items: Any, count: int, linger_s: float) -> list[Any]:
    """Take items of an iterable of either kind; see `take`."""
    if not hasattr(items, "__anext__"):
        return take(items, count, linger_s)
    taken: list[Any] = []
    until = None
    async for item in items:
        taken.append(item)
        now = time.monotonic()
        until = until or now + linger_s
        if len(taken) >= count or now > until:
            break
    return taken


def open_source(records: Records, format: Format | None) -> Source:  # noqa: A002
    """Return the source of records that were given in any of the forms.

    Args:
        records: an iterable, an async iterable, a path, or an open binary file.
        format: of the file; the ending of its name says it unless given.

    Raises:
        InvalidRequest: the format is unknown, or the records are none.
        ConfigurationError: a Parquet file needs a package that is not installed.
        OSError: the file cannot be opened.
    """
    if isinstance(records, str | os.PathLike):
        path = Path(records)
        return _open_path(path, format or _format_of(path))
    if hasattr(records, "readline"):
        return _of_file(cast(BinaryIO, records), format or "jsonl", None, None)
    if isinstance(records, AsyncIterable):
        return Source(aiter(records))
    if not isinstance(records, Iterable):
        raise InvalidRequest(
            f"Records are an iterable of mappings or of rows, or a file of them; this is a "
            f"{type(records).__name__}."
        )
    total = len(records) if isinstance(records, Sized) else None
    return Source(iter(records), total=total)


def _format_of(path: Path) -> Format:
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidRequest(
            f"{path.name} has no ending that says what is in it. Name the format: jsonl, csv, tsv "
            "or parquet."
        )
    return found


def _open_path(path: Path, format: Format) -> Source:  # noqa: A002
    state = path.stat()
    identity = f"{state.st_size}-{state.st_mtime_ns}"
    if format == "parquet":
        return _of_parquet(path, identity)
    _check_format(format)
    return _of_file(path.open("rb"), format, float(state.st_size), identity)


def _check_format(format: str) -> None:  # noqa: A002
    if format not in ("jsonl", "csv", "tsv"):
        raise InvalidRequest(
            f"Records cannot be read in the format {format!r}. It is jsonl, csv or tsv, or parquet "
            "for a file with a name."
        )


def _of_file(
    file: BinaryIO,
    format: Format,  # noqa: A002
    total: float | None,
    identity: str | None,
) -> Source:
    _check_format(format)
    if format == "jsonl":
        lines = filter(None, map(bytes.strip, _without_mark(file)))
        return Source(lines, pack=_join_lines, total=total, file=file, identity=identity)
    csv.field_size_limit(_LONGEST_FIELD_CHARACTERS)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    rows = filter(None, csv.reader(text, delimiter="\t" if format == "tsv" else ","))
    return Source(
        _readable(rows), pack=_pack_rows, total=total, file=file, text=text, identity=identity
    )


def _readable(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from rows
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"The input is no CSV in UTF-8: {error}. Save it as such, with a row of names first."
        ) from error


def _without_mark(file: BinaryIO) -> Iterator[bytes]:
    """Give the lines, without the byte order mark that some programs write first."""
    first = file.readline().removeprefix(b"\xef\xbb\xbf")
    return chain((first,), file)


def _join_lines(lines: list[bytes]) -> bytes:
    """Return lines of JSON as an array; they are looked at together, and one by one if need be."""
    body = b"[" + b",".join(lines) + b"]"
    try:
        if len(_RAWS.decode(body)) == len(lines):
            return body
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    for line in lines:
        try:
            msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            shown = line[:80].decode(errors="replace")
            raise InvalidRequest(
                f"A line of the input is no JSON: {error}. It begins with {shown!r}. Each line "
                "of a JSONL file is a JSON object."
            ) from error
    raise AssertionError("lines of JSON make an array together")


def _pack_rows(rows: list[list[str]]) -> bytes:
    names, *records = rows
    return encode([names, *[[_value(text) for text in row] for row in records]])


def _value(text: str) -> Any:
    """Return what a field of a CSV file says: a number in the form of JSON, true, false, or text.

    An empty field is None. What has leading zeros or more digits than a double or a 64-bit number
    holds stays text, so that article and telephone numbers do not change.
    """
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    return float(text) if match[1] or match[2] else int(text)


def _of_parquet(path: Path, identity: str) -> Source:
    try:
        # Large, and needed for such files only.
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigurationError(
            f"{path.name} is a Parquet file, and the package that reads such files is not "
            "installed. Install it with `pip install pyarrow`, or convert the file to CSV or JSONL."
        ) from error
    file = parquet.ParquetFile(path)
    rows = chain.from_iterable(
        batch.to_pylist() for batch in file.iter_batches(batch_size=_PARQUET_ROWS)
    )
    return Source(rows, total=float(file.metadata.num_rows), identity=identity)

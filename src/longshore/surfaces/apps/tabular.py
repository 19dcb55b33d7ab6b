"""The results of a run as a table: a row for each document, for programs that calculate."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_OWN: Final = ("file", "document", "class", "review", "error")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER: Final = re.compile(r"[+-]?[0-9][0-9.,]*")


def text(files: Sequence[Mapping[str, Any]]) -> str:
    """Return files of results as CSV, with a heading.

    The columns are file, document (from 0), class, review, error, and one for each field that any
    document has; a field that occurs again in one document gets a number.
    """
    rows = [row for file in files for row in _rows(file)]
    columns = list(dict.fromkeys([*_OWN, *(name for row in rows for name in row)]))
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([harmless(name) for name in columns])
    for row in rows:
        writer.writerow([harmless(row.get(name)) for name in columns])
    return written.getvalue()


def harmless(value: str | int | None) -> str | int | None:
    """Return a value that no program takes for a formula: an apostrophe makes it text.

    A number with a sign stays one, for programs that calculate with it.
    """
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _rows(file: Mapping[str, Any]) -> Iterator[dict[str, str | int | None]]:
    name = file["original_file_name"]
    if file.get("error_msg"):
        yield {"file": name, "error": file["error_msg"]}
        return
    for index, document in enumerate(file["documents"]):
        row: dict[str, str | int | None] = {
            "file": name,
            "document": index,
            "class": document["class_name"],
            "review": document.get("review_state"),
        }
        for field in document["fields"]:
            row[_free(field["field_name"], row)] = field["value"]
        yield row


def _free(name: str, row: Mapping[str, Any]) -> str:
    column = f"field_{name}" if name in _OWN else name
    number, free = 1, column
    while free in row:
        number += 1
        free = f"{column}_{number}"
    return free

"""`longshore results`: what a run found, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, out, table

_LINE_END = "\r\n"  # as RFC 4180 has it; with it, a lone return inside a cell is quoted
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,]*")


class Format(StrEnum):
    """How results are written."""

    table = "table"
    json = "json"
    csv = "csv"


def results(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run.")],
    output: Annotated[
        Format, typer.Option("--format", "-f", help="How to write them.")
    ] = Format.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="With JSON: how sure app and OCR are, 0 to 1.")
    ] = False,
    source: Annotated[
        bool, typer.Option("--source", help="With JSON: where on its page each value was read.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Print the results of a finished run, one line per document."""
    with open_client(server) as client:
        found = client.runs.of(run).results(
            confidence=confidence, source=source, validation=confidence
        )
    if as_json or output is Format.json:
        emit_json([file.model_dump(mode="json", exclude_none=True) for file in found])
        return
    rows = found.to_rows()
    if output is Format.csv:
        out(as_csv(rows).removesuffix(_LINE_END), end=_LINE_END)
        return
    columns = [Column(key, key) for key in (rows[0] if rows else ())]
    table(rows, columns, empty="The run has no results: no file of it had a document.")


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV that a spreadsheet shows and does not execute.

    A cell that starts like a formula (= + - @, tab or return) gets a leading apostrophe, which
    spreadsheets take as "this is text"; a plain number such as -12.50 stays one. Programs that
    want values as they are read the JSON.
    """
    buffer = io.StringIO()
    names = list(rows[0]) if rows else []
    writer = csv.writer(buffer, lineterminator=_LINE_END)
    writer.writerow(_harmless(names))
    for row in rows:
        writer.writerow(_harmless(row.get(name) for name in names))
    return buffer.getvalue()


def _harmless(cells: Iterable[Any]) -> list[Any]:
    return [_quoted(cell) if isinstance(cell, str) else cell for cell in cells]


def _quoted(cell: str) -> str:
    risky = cell.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if risky else cell

"""What the commands write: tables and JSON to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from longshore.cli.exit_codes import ExitCode

_BOLD = "\x1b[1m"
_DIM = "\x1b[2m"
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: the key in each row, its heading, and how it is shown.

    A "time" is ISO 8601 text in UTC and is shown to the second.
    """

    key: str
    heading: str
    kind: Literal["text", "number", "time"] = "text"


def printable(value: object) -> str:
    r"""Return `value` as one line of text that cannot steer a terminal.

    Names and log lines come from users and programs; a control character in them is shown as
    its escape (\x1b), so that it can neither move the cursor nor forge another line.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else str(value)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def out(text: str = "", *, end: str = "\n") -> None:
    """Write one line to standard output."""
    print(text, end=end)


def note(text: str) -> None:
    """Write one line for the person at the terminal, to standard error."""
    print(text, file=sys.stderr, flush=True)


def can_ask() -> bool:
    """Return whether there is a person at a terminal who could answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Ask on the terminal, past standard output; only "y" and "yes" mean yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the command with one line that says what, why and what to do next."""
    note(f"longshore: {printable(message)}")
    raise SystemExit(int(code))


def emit_json(value: Any, *, one_line: bool = False) -> None:
    """Write a value as JSON to standard output; numbers beyond 2^53 become strings.

    Most readers of JSON keep numbers as doubles and would alter the larger ones unseen.
    """
    print(json.dumps(_exact(value), indent=None if one_line else 2, ensure_ascii=False), flush=True)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[Column], *, empty: str) -> None:
    """Write rows as an aligned table, or the sentence `empty` when there are none."""
    cells = [[_cell(row.get(column.key), column) for column in columns] for row in rows]
    if not cells:
        note(empty)
        return
    headings = [column.heading for column in columns]
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    print(emphasised(_line(headings, columns, widths)))
    for row in cells:
        print(_line(row, columns, widths))


def listing(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], *, as_json: bool, empty: str
) -> None:
    """Write a list: as JSON with all it holds, or as a table of the chosen columns."""
    if as_json:
        emit_json(list(rows))
    else:
        table(rows, columns, empty=empty)


def emphasised(text: str) -> str:
    """Return the text in bold where standard output is a terminal."""
    return f"{_BOLD}{text}{_PLAIN}" if sys.stdout.isatty() else text


def dimmed(text: str) -> str:
    """Return the text dimmed where standard output is a terminal."""
    return f"{_DIM}{text}{_PLAIN}" if sys.stdout.isatty() else text


def bytes_text(size_bytes: float) -> str:
    """Return a size as a person reads it, such as 4.2 MB."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def _cell(value: object, column: Column) -> str:
    text = printable(value)
    if column.kind == "time" and text:
        return f"{text[:10]} {text[11:19]}Z"
    return text


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if column.kind == "number" else cell.ljust(width)
        for cell, column, width in zip(cells, columns, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _exact(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)
    return value

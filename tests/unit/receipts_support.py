"""What the tests of the receipts app share: its modules, and rows made of plain text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent

APP = Path(__file__).parents[2] / "examples" / "receipts"
# The worker puts an app's directory there too.
sys.path.insert(0, str(APP))

from receipt_reader import (  # noqa: E402 - found by the line above
    amounts,
    dates,
    day,
    details,
    extraction,
    items,
    layout,
    ledger,
    merchant,
    pages,
    recognition,
    totals,
    words,
)

__all__ = [
    "APP",
    "amounts",
    "dates",
    "day",
    "details",
    "extraction",
    "items",
    "layout",
    "ledger",
    "merchant",
    "pages",
    "piece",
    "recognition",
    "rows_of",
    "totals",
    "words",
]

_LETTER = 12.0


def piece(
    text: str, x: float, y: float, *, height: float = 24.0, confidence: float = 0.98
) -> layout.Piece:
    """A piece of text at its top left corner, as wide as its letters are many."""
    right, bottom = x + _LETTER * len(text), y + height
    return layout.Piece(text, confidence, ((x, y), (right, y), (right, bottom), (x, bottom)))


def rows_of(text: str) -> list[layout.Row]:
    """The rows of a receipt written as text: two spaces part columns, "!" makes a row large."""
    rows = []
    for number, line in enumerate(dedent(text).strip().splitlines()):
        height = 48.0 if line.startswith("!") else 24.0
        parts = [
            piece(match.group(), match.start() * _LETTER, number * 60.0, height=height)
            for match in re.finditer(r"\S+(?: \S+)*", line.removeprefix("!"))
        ]
        if parts:
            rows.append(layout.Row(tuple(parts)))
    return rows

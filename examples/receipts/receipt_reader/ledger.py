"""The rows of a receipt with their amounts and what the label of each says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from receipt_reader import amounts, words
from receipt_reader.amounts import Amount
from receipt_reader.layout import Piece, Row
from receipt_reader.words import Kind


@dataclass(frozen=True, slots=True)
class Entry:
    """An amount, the piece of text that it was read from, and the row that it stands on."""

    amount: Amount
    piece: Piece
    line: Line

    @property
    def value(self) -> Decimal:
        """The amount's number."""
        return self.amount.value


@dataclass(frozen=True, slots=True)
class Line:
    """A row, seen as a line of the account.

    Attributes:
        index: number of the row from the top.
        row: the row itself.
        label: its letters, squashed.
        kind: what the label says that its amount is.
        summary: it lies in the table of taxes that follows the payment.
    """

    index: int
    row: Row
    label: str
    kind: Kind
    summary: bool


@dataclass(frozen=True, slots=True)
class Ledger:
    """All lines of a receipt and their amounts.

    Attributes:
        lines: every row, top to bottom.
        entries: every amount with its decimals, top to bottom and left to right.
        pointless: numbers on labelled rows whose decimal point went unread, likewise.
        whole: the receipt's currency has no decimals.
    """

    lines: tuple[Line, ...]
    entries: tuple[Entry, ...]
    pointless: tuple[Entry, ...]
    whole: bool

    def of(self, *kinds: Kind, summary: bool = False) -> list[Entry]:
        """Return the entries whose lines are of these kinds; those of the summary on demand."""
        return [
            entry
            for entry in self.entries
            if entry.line.kind in kinds and (summary or not entry.line.summary)
        ]

    def last_of(self, line: Line) -> Entry | None:
        """Return the right-most amount of a line: the column of results."""
        on_line = [entry for entry in self.entries if entry.line is line]
        return on_line[-1] if on_line else None


def read(rows: Sequence[Row]) -> Ledger:
    """Return the account that the rows give."""
    lines = _lines(rows)
    exact = tuple(
        Entry(amount, piece, line)
        for line in lines
        for piece in line.row.pieces
        for amount in amounts.find(piece.text)
    )
    if exact:
        return Ledger(lines, exact, _pointless(lines), whole=False)
    whole = tuple(
        Entry(amount, piece, line)
        for line in lines
        for piece in line.row.pieces
        for amount in amounts.find_whole(piece.text)
        if amount.currency or line.kind is not Kind.NONE
    )
    return Ledger(lines, whole, (), whole=True)


def _lines(rows: Sequence[Row]) -> tuple[Line, ...]:
    lines: list[Line] = []
    summary = False
    for index, row in enumerate(rows):
        label = words.label(row)
        summary = summary or _begins_summary(row, label)
        kind = words.kind(label)
        if summary and kind is Kind.PAYABLE and not words.SUMMARY.search(label):
            summary = False  # what is to be paid stands below the table of taxes here
        lines.append(Line(index, row, label, kind, summary))
    return tuple(lines)


def _begins_summary(row: Row, label: str) -> bool:
    return bool(words.SUMMARY.search(label)) and not amounts.find(row.text)


def _pointless(lines: Sequence[Line]) -> tuple[Entry, ...]:
    return tuple(
        Entry(amount, piece, line)
        for line in lines
        if line.kind in {Kind.PAYABLE, Kind.TOTAL, Kind.TENDERED, Kind.SUBTOTAL}
        for piece in line.row.pieces
        for amount in amounts.find_pointless(piece.text)
    )

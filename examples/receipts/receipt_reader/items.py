"""The goods: rows between the head and the totals, in the layouts that tills print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from receipt_reader import amounts, dates, words
from receipt_reader.layout import Piece
from receipt_reader.ledger import Entry, Ledger, Line
from receipt_reader.merchant import Merchant
from receipt_reader.words import Kind

_TIMES = re.compile(
    r"(?<![\w.,/-])(?P<number>\d{1,3}(?:[.,]\d{1,3})?)\s?"
    r"(?:[xX\u00d7*@](?=\s?(?:RM|[$€£])?\s?\d*[.,]\d{2}(?!\d))"
    r"|(?:[xX\u00d7*@]|pcs?\b|ea\b)(?![A-Za-z\d]|\s?\d+\s?[cm]?m\b))",
    re.IGNORECASE,
)
_ALONE = re.compile(r"^\d{1,2}(?:[.,]\d|[.,]\d{3})?$")
_LEADING = re.compile(r"^(?P<number>\d{1,2})\s+(?=[A-Za-z])")
# Codes, tax marks and numbers are no names: "9555916500133", "FG-A00019", "SR", "1 X", "@3.00".
_CODE = re.compile(
    r"^(?:[\W\d]*|\d{1,3}\s?[xX\u00d7*]|[A-Z]{0,4}[-_]?[A-Z]?\d{2,}\w*|[A-Z]{1,2}|SR[A-Z]?|ZRL?|RM|[A-Z]{1,2}\s?\d{1,2})$",
    re.IGNORECASE,
)
_HEAD_ROW = re.compile(
    r"\b(?:DATE|TIME|CASHIER|TABLE|TEL|FAX|ORDER|POS|SERVER|NO)\b|[:#]", re.IGNORECASE
)
_NAME_ROWS_MAX = 2


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of goods as bought.

    Attributes:
        description: what it is.
        amount: what was paid for it.
        quantity: how many, where it is printed or follows from the unit price.
        unit_price: price of one, likewise.
        piece: where the amount was read.
    """

    description: str
    amount: Decimal
    quantity: Decimal | None
    unit_price: Decimal | None
    piece: Piece


def read(ledger: Ledger, merchant: Merchant | None) -> list[Item]:
    """Return the goods, top to bottom.

    Tills print the name on the row of the amount, above it, or below it; which of the two others
    is in use shows at the first row and the last.
    """
    body = _body(ledger, merchant)
    below = _names_stand_below(ledger, body)
    items: list[Item] = []
    waiting, several = "", None
    for line in body:
        entries = [entry for entry in ledger.entries if entry.line is line]
        name = _description(line)
        if not entries or (len(entries) == 1 and "@" in line.row.text and items):
            if below and items and not items[-1].description:
                items[-1] = replace(items[-1], description=name)
            elif name:
                waiting = name if below else f"{waiting} {name}".strip()
            continue
        if items and not name and not waiting and not below and _repeats(items[-1], entries):
            items[-1] = _refined(items[-1], entries)
            continue
        if not name and not waiting and not below and _times(line) is not None:
            several = entries[-1].value  # "3 x 1.80" alone on a row: the next one says of what
            continue
        item = _item(line, entries, name or ("" if below else waiting))
        quantity = _divided(item.amount, several) if several else None
        if quantity is not None:
            item = replace(item, quantity=quantity, unit_price=several)
        items.append(item)
        waiting, several = "", None
    return [item for item in items if item.amount != 0]


def _body(ledger: Ledger, merchant: Merchant | None) -> list[Line]:
    """Return the rows between the table heading (or the head) and the first total or payment."""
    lines = ledger.lines
    priced = {entry.line.index for entry in ledger.entries}
    name_ends = max((_index(lines, row) for row in merchant.rows), default=-1) if merchant else -1
    first_priced = min((index for index in priced if index > name_ends), default=len(lines))
    end = next(
        (
            line.index
            for line in lines
            if line.kind not in {Kind.NONE, Kind.ADJUSTMENT}
            and line.index > name_ends
            and (line.index in priced or line.index > first_priced)
        ),
        len(lines),
    )
    headings = [line.index for line in lines[:end] if words.is_item_header(line.row)]
    if headings:
        return list(lines[headings[-1] + 1 : end])
    return list(lines[_start(ledger, first_priced, name_ends) : end])


def _start(ledger: Ledger, first_priced: int, name_ends: int) -> int:
    """Return where the goods begin without a heading: at the first amount or the name above it."""
    lines = ledger.lines
    if first_priced >= len(lines):
        return first_priced
    first = lines[first_priced]
    alone = sum(entry.line is first for entry in ledger.entries) == 1
    if _description(first) or (alone and _times(first)):
        return first_priced
    start = first_priced
    for line in reversed(lines[max(name_ends + 1, first_priced - _NAME_ROWS_MAX) : first_priced]):
        is_head = words.TITLE.search(line.label) or _HEAD_ROW.search(line.row.text)
        is_number = len(line.label) < 3 or line.row.text[:1].isdigit()
        if is_head or is_number or dates.find(line.row.text):
            break
        start = line.index
    return start


def _index(lines: Sequence[Line], row: object) -> int:
    return next((line.index for line in lines if line.row is row), -1)


def _names_stand_below(ledger: Ledger, body: Sequence[Line]) -> bool:
    """Whether a row of numbers comes first and the name of the goods under it."""
    if not body:
        return False
    first_has_amount = ledger.last_of(body[0]) is not None and not _description(body[0])
    return first_has_amount and ledger.last_of(body[-1]) is None


def _description(line: Line) -> str:
    """Return the words of the row without amounts, codes and tax marks."""
    parts = []
    for piece in line.row.pieces:
        text = re.sub(
            r"\s*(?:\d+\s?[xX\u00d7*@]\s?)?(?:\bRM|[$€£])?$", "", amounts.before(piece.text)
        )
        text = re.sub(r"^\d{1,13}\s?[xX\u00d7]?\s+(?=\D)", "", text)
        if not _CODE.match(text) and text.upper() not in amounts.CURRENCIES:
            parts.append(text)
    return " ".join(parts).strip(" -:*")


def _item(line: Line, entries: Sequence[Entry], description: str) -> Item:
    amount = entries[-1]
    unit_price = entries[-2].value if len(entries) > 1 else None
    quantity, certain = _quantity([piece for piece in line.row.pieces if _starts(piece, amount)])
    if unit_price is not None:
        product = _divided(amount.value, unit_price)
        if product is not None:
            quantity, certain = product, True
        elif quantity is None or (quantity * unit_price).quantize(amounts.CENT) != amount.value:
            unit_price = None
    return Item(description, amount.value, quantity if certain else None, unit_price, amount.piece)


def _times(line: Line) -> re.Match[str] | None:
    return _TIMES.search(line.row.text)


def _starts(piece: Piece, amount: Entry) -> bool:
    """Whether the piece begins left of the amount, as a quantity does and a tax mark does not."""
    pieces = amount.line.row.pieces
    return pieces.index(piece) <= pieces.index(amount.piece)


def _quantity(pieces: Sequence[Piece]) -> tuple[Decimal | None, bool]:
    """Return the printed number of pieces, and whether it is surely one and no code."""
    for pattern, certain in ((_TIMES, True), (_ALONE, True), (_LEADING, False)):
        for piece in pieces:
            match = pattern.search(piece.text)
            if match:
                number = match.groupdict().get("number") or match.group()
                return Decimal(number.replace(",", ".")), certain
    return None, False


def _divided(amount: Decimal, unit_price: Decimal) -> Decimal | None:
    if unit_price <= 0 or amount <= 0 or amount % unit_price:
        return None
    return amount / unit_price


def _repeats(item: Item, entries: Sequence[Entry]) -> bool:
    """Whether a row such as "02 X RM 1.75" explains the amount of the item above it."""
    price = entries[-1].value
    return price == item.amount or _divided(item.amount, price) is not None


def _refined(item: Item, entries: Sequence[Entry]) -> Item:
    price = entries[0].value
    quantity = _divided(item.amount, price)
    if quantity is None:
        return item
    return replace(item, quantity=quantity, unit_price=price)

"""From pieces of text to documents with fields: where the readers of each field meet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from longshore import Document, Field, Page
from receipt_reader import day, details, items, layout, ledger, merchant, totals
from receipt_reader.layout import Piece, Row
from receipt_reader.words import Kind

_TOTALS = (Kind.SUBTOTAL, Kind.TOTAL, Kind.PAYABLE, Kind.OTHER_TOTAL)
_CORE = ("merchant", "date", "total")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page as read: its size in pixels and its pieces of text."""

    page: Page
    pieces: Sequence[Piece]


def documents(sheets: Sequence[Sheet]) -> list[Document]:
    """Return one document per receipt.

    A page with a total begins a new receipt when the pages before it already have theirs; any
    other page goes on with the receipt before it.
    """
    receipts: list[list[Sheet]] = []
    complete = False
    for sheet in sheets:
        has_total = _has_labelled_total(sheet)
        if receipts and not (complete and has_total):
            receipts[-1].append(sheet)
        else:
            receipts.append([sheet])
            complete = False
        complete = complete or has_total
    return [_document(receipt) for receipt in receipts]


def fields(rows: Sequence[Row]) -> list[Field]:
    """Return the fields of one receipt from its rows, top to bottom, over all of its pages.

    merchant, date and total are always present, with an error in place of a value where nothing
    was found; the other fields only when they were found.
    """
    account = ledger.read(rows)
    name = merchant.read(rows)
    sale_day = day.read(rows)
    total = totals.read(account)
    found = [
        _merchant_field(name),
        _date_field(sale_day),
        _total_field(total, account),
        _detail_field("tax", details.read_tax(account, total), "AMOUNT"),
        _detail_field("currency", details.read_currency(account, total)),
        _detail_field("payment", details.read_payment(account)),
        _items_field(items.read(account, name), account, total),
        _subtotal_field(account),
        _detail_field("receipt_number", details.read_number(rows)),
        _time_field(day.read_time(rows, sale_day)),
    ]
    return [field for field in found if field is not None]


def _has_labelled_total(sheet: Sheet) -> bool:
    account = ledger.read(layout.rows(sheet.pieces))
    return bool(account.of(Kind.PAYABLE, Kind.TOTAL))


def _document(sheets: Sequence[Sheet]) -> Document:
    rows = [row for sheet in sheets for row in layout.rows(sheet.pieces)]
    found = fields(rows)
    core = sum(field.value is not None for field in found if field.name in _CORE)
    return Document(
        fields=found,
        class_name="receipt",
        class_confidence=round(core / len(_CORE), 2),
        pages=[sheet.page for sheet in sheets],
    )


def _merchant_field(name: merchant.Merchant | None) -> Field:
    if name is None:
        return _missing("merchant", "No name of a merchant was found at the head of the receipt.")
    pieces = [piece for row in name.rows for piece in row.pieces]
    return Field(
        "merchant",
        name.name,
        confidence=round(name.confidence, 3),
        ocr_confidence=round(min(row.confidence for row in name.rows), 3),
        page=pieces[0].page,
        box=layout.around(pieces),
    )


def _date_field(sale_day: day.SaleDay | None) -> Field:
    if sale_day is None:
        return _missing("date", "No date was found on the receipt.", "DATE")
    return _field(
        "date",
        sale_day.value.isoformat(),
        sale_day.piece,
        sale_day.confidence,
        type_="DATE",
        alerts=sale_day.alerts,
    )


def _total_field(total: totals.Total | None, account: ledger.Ledger) -> Field:
    if total is None:
        return _missing("total", "No total amount was found on the receipt.", "AMOUNT")
    return _field(
        "total",
        _money(total.value, account),
        total.entry.piece if total.entry else None,
        total.confidence,
        type_="AMOUNT",
        alerts=total.alerts,
    )


def _items_field(
    goods: Sequence[items.Item], account: ledger.Ledger, total: totals.Total | None
) -> Field | None:
    if not goods:
        return None
    rows = [
        {
            "description": item.description,
            "quantity": _number(item.quantity),
            "unit_price": _number(item.unit_price),
            "amount": _money(item.amount, account),
        }
        for item in goods
    ]
    value = sum((item.amount for item in goods), Decimal(0))
    sums = {entry.value for entry in account.of(*_TOTALS)}
    adds_up = value in sums or (total is not None and value == total.value)
    pieces = [item.piece for item in goods if item.piece.page == goods[0].piece.page]
    return Field(
        "items",
        json.dumps(rows, ensure_ascii=False),
        confidence=0.9 if adds_up else 0.5,
        ocr_confidence=round(min(piece.confidence for piece in pieces), 3),
        page=pieces[0].page,
        box=layout.around(pieces),
        type="TABLE",
        alerts=() if adds_up else (f"The items add up to {value}, which no total shows.",),
    )


def _subtotal_field(account: ledger.Ledger) -> Field | None:
    found = account.of(Kind.SUBTOTAL)
    if not found:
        return None
    return _field(
        "subtotal", _money(found[-1].value, account), found[-1].piece, 0.8, type_="AMOUNT"
    )


def _time_field(time: day.SaleTime | None) -> Field | None:
    if time is None:
        return None
    return _field("time", time.value.isoformat("auto"), time.piece, time.confidence, type_="TIME")


def _detail_field(name: str, detail: details.Detail | None, type_: str = "TEXT") -> Field | None:
    if detail is None:
        return None
    return _field(name, detail.value, detail.piece, detail.confidence, type_=type_)


def _field(
    name: str,
    value: str,
    piece: Piece | None,
    confidence: float,
    *,
    type_: str,
    alerts: Sequence[str] = (),
) -> Field:
    return Field(
        name,
        value,
        confidence=round(min(max(confidence, 0.0), 1.0), 3),
        ocr_confidence=round(piece.confidence, 3) if piece else None,
        page=piece.page if piece else None,
        box=piece.box if piece else None,
        type=type_,
        alerts=alerts,
    )


def _missing(name: str, why: str, type_: str = "TEXT") -> Field:
    return Field(name, None, confidence=0.0, type=type_, error=why)


def _money(value: Decimal, account: ledger.Ledger) -> str:
    return f"{value:.0f}" if account.whole else f"{value:.2f}"


def _number(value: Decimal | None) -> str | None:
    return None if value is None else format(value.normalize(), "f")

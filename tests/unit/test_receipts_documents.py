"""From a whole receipt as text to its goods, its fields and its documents."""

from __future__ import annotations

import json

import pytest

from longshore import Field, Page
from tests.unit.receipts_support import extraction, items, layout, ledger, merchant, rows_of

GOODS = {
    "name and amount on one row": (
        [("Coffee", None, "3.50"), ("Cake", None, "5.00")],
        "Blue Heron\n1 High Street\n1 Coffee   3.50\n1 Cake   5.00\nTOTAL   8.50",
    ),
    "name above code, quantity and price": (
        [("LED BULB 9W", "2", "6.20"), ("HEX BOLT", "1", "0.50")],
        """
        Item  Qty  Price  Amount
        LED BULB 9W
        26353   2   3.10   6.20
        HEX BOLT
        9000   1   0.50   0.50
        TOTAL   6.70
        """,
    ),
    "name below code, quantity and price": (
        [("ENGINE OIL", "1", "17.00"), ("PLUG", "2", "16.00")],
        """
        Item  Qty  Price  Amount
        1071   1   17.00   17.00
        ENGINE OIL
        1643   2   8.00   16.00
        PLUG
        Total Sales   33.00
        """,
    ),
    "quantity below the amount": (
        [("SUGAR CRACKERS", "2", "6.70")],
        "Item  Price\nSUGAR CRACKERS   6.70\n02 X RM 3.35\nTOTAL   6.70",
    ),
    "quantity above the name": (
        [("Roggenbrot", "3", "7.50"), ("Kakao", None, "2.00")],
        "Baecker GmbH\nAm Kai 3\n3x2,50\nRoggenbrot   7,50 A\nKakao   2,00 A\nSUMME   9,50",
    ),
}


@pytest.mark.parametrize(("expected", "text"), GOODS.values(), ids=GOODS.keys())
def test_the_goods_are(expected: list[tuple[str, str | None, str]], text: str) -> None:
    rows = rows_of(text)
    found = items.read(ledger.read(rows), merchant.read(rows))
    assert [
        (
            good.description,
            None if good.quantity is None else f"{good.quantity:.0f}",
            f"{good.amount}",
        )
        for good in found
    ] == expected


RECEIPT = """
    Blue Heron Coffee Co
    12 Mooring Street
    Date: 12/03/2018 10:05
    2 Flat White   9.00
    Scone   3.50
    Total   RM 12.50
    CASH   20.00
    CHANGE   7.50
    """


def _fields(text: str) -> dict[str, Field]:
    return {found.name: found for found in extraction.fields(rows_of(text))}


def test_all_fields_of_a_receipt_with_their_places() -> None:
    found = _fields(RECEIPT)
    assert {
        name: found[name].value
        for name in ("merchant", "date", "total", "currency", "payment", "time")
    } == {
        "merchant": "Blue Heron Coffee Co",
        "date": "2018-03-12",
        "total": "12.50",
        "currency": "MYR",
        "payment": "Cash",
        "time": "10:05:00",
    }
    assert json.loads(found["items"].value or "")[0] == {
        "description": "Flat White",
        "quantity": None,
        "unit_price": None,
        "amount": "9.00",
    }
    assert found["items"].type == "TABLE"
    assert found["total"].page == 0
    assert found["total"].box is not None
    assert found["total"].box[1] == pytest.approx(5 * 60)
    assert not any(field.alerts for field in found.values())


def test_fields_that_are_not_there_say_so() -> None:
    found = _fields("0000 1111\n22:22")
    core = [found[name] for name in ("merchant", "date", "total")]
    assert [field.value for field in core] == [None, None, None]
    assert all(field.error for field in core)


def _sheet(number: int, text: str) -> extraction.Sheet:
    pieces = [
        layout.Piece(part.text, part.confidence, part.corners, number)
        for row in rows_of(text)
        for part in row.pieces
    ]
    return extraction.Sheet(Page(number, 600, 800), pieces)


def test_each_page_with_a_total_of_its_own_is_a_receipt() -> None:
    documents = extraction.documents([_sheet(0, RECEIPT), _sheet(1, RECEIPT)])
    assert [[page.number for page in document.pages] for document in documents] == [[0], [1]]
    assert [field.page for field in documents[1].fields if field.name == "total"] == [1]


def test_a_receipt_may_go_on_over_several_pages() -> None:
    first, _, last = RECEIPT.partition("Total")
    documents = extraction.documents(
        [_sheet(0, first), _sheet(1, f"Total{last}"), _sheet(2, "Terms")]
    )
    [document] = documents
    assert [page.number for page in document.pages] == [0, 1, 2]
    assert {
        field.name: field.page for field in document.fields if field.name in {"merchant", "total"}
    } == {
        "merchant": 0,
        "total": 1,
    }

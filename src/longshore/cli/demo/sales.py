"""Invented sales and how tills in several countries print them: the text of the demo's receipts.

Nothing here is real: no merchant, address or number was taken from a receipt of anyone.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

CENT = Decimal("0.01")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Cell:
    """Text at a place across the paper: 0 is its left edge, 1 its right one."""

    text: str
    x: float = 0.0
    anchor: Literal["left", "middle", "right"] = "left"


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """One row of a receipt; without cells it is a gap, with `rule` a line across the paper."""

    cells: tuple[Cell, ...] = ()
    size: float = 1.0
    bold: bool = False
    rule: bool = False


@dataclass(frozen=True, slots=True)
class Good:
    """Something sold: how many of what at which price for one."""

    name: str
    quantity: int
    price: Decimal

    @property
    def amount(self) -> Decimal:
        """Price of all of them."""
        return self.price * self.quantity


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale: the truth that a reader of its receipt should find, and all that surrounds it."""

    merchant: str
    address: tuple[str, ...]
    phone: str
    day: dt.date
    clock: dt.time
    number: int
    goods: tuple[Good, ...]
    by_card: bool

    @property
    def sum(self) -> Decimal:
        """Price of all goods, before anything is added."""
        return sum((good.amount for good in self.goods), Decimal(0))


@dataclass(frozen=True, slots=True)
class PrintedSale:
    """A sale as printed: its rows and the total that they ask for."""

    rows: tuple[PrintedRow, ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class _Country:
    merchants: tuple[str, ...]
    addresses: tuple[tuple[str, ...], ...]
    phones: tuple[str, ...]
    goods: tuple[str, ...]
    print: Callable[[Sale, random.Random], PrintedSale]


def invent(rng: random.Random, index: int) -> tuple[Sale, PrintedSale]:
    """Return a sale and its receipt; countries and their layouts take turns with `index`."""
    country = _COUNTRIES[index % len(_COUNTRIES)]
    names = rng.sample(country.goods, rng.randint(2, 6))
    sale = Sale(
        merchant=rng.choice(country.merchants),
        address=rng.choice(country.addresses),
        phone=rng.choice(country.phones),
        day=dt.date(2024, 1, 1) + dt.timedelta(days=rng.randrange(700)),
        clock=dt.time(rng.randint(8, 21), rng.randrange(60), rng.randrange(60)),
        number=rng.randint(10_000, 999_999),
        goods=tuple(
            Good(name, rng.choice((1, 1, 1, 2, 3)), Decimal(rng.randint(18, 480) * 5) * CENT)
            for name in names
        ),
        by_card=rng.random() < 0.4,
    )
    return sale, country.print(sale, rng)


def _centred(text: str, *, size: float = 1.0, bold: bool = False) -> PrintedRow:
    return PrintedRow((Cell(text, 0.5, "middle"),), size, bold)


def _left(text: str) -> PrintedRow:
    return PrintedRow((Cell(text),))


def _pair(left: str, right: str, *, size: float = 1.0, bold: bool = False) -> PrintedRow:
    return PrintedRow((Cell(left), Cell(right, 1.0, "right")), size, bold)


_RULE = PrintedRow(rule=True)
_GAP = PrintedRow()


def _head(sale: Sale, size: float = 1.25) -> list[PrintedRow]:
    rows = [_centred(sale.merchant, size=size, bold=True)]
    rows += [_centred(line) for line in sale.address]
    return rows


def _cash_given(total: Decimal, rng: random.Random) -> Decimal:
    """Return a plausible heap of notes: the total, rounded up to a multiple of a note."""
    note = Decimal(rng.choice((5, 10, 20, 50)))
    return (total // note + 1) * note


def _malaysian(sale: Sale, rng: random.Random) -> PrintedSale:
    """Print as a hardware shop does: table heading, codes above prices, tax included, rounding."""
    total = sale.sum
    rows = [*_head(sale), _centred(f"({rng.randint(200_000, 999_999)}-{rng.choice('AHKTX')})")]
    rows += [_centred(f"TEL: {sale.phone}"), _centred("TAX INVOICE", bold=True), _GAP]
    rows += [_left(f"Invoice No : CS{sale.number:08}")]
    rows += [_left(f"Date : {sale.day:%d/%m/%Y} {sale.clock:%H:%M:%S}"), _RULE]
    rows += [_columns("Item", "Qty", "Price", "Amount"), _RULE]
    for good in sale.goods:
        rows.append(_left(good.name.upper()))
        code = str(rng.randint(10_000, 99_999))
        rows.append(_columns(code, str(good.quantity), f"{good.price}", f"{good.amount}"))
    tax = (total - total / Decimal("1.06")).quantize(CENT)
    quantity = sum(good.quantity for good in sale.goods)
    rows += [_RULE, _pair("Total Qty", str(quantity)), _pair("Sub Total", f"RM {total - tax}")]
    rows += [_pair("GST 6%", f"RM {tax}"), _pair("Rounding", "RM 0.00")]
    rows.append(_pair("TOTAL INCL. GST", f"RM {total}", size=1.2, bold=True))
    rows += _paid(sale, total, rng, "CASH", "CHANGE", "RM ")
    return PrintedSale((*rows, _GAP, _centred("THANK YOU, PLEASE COME AGAIN")), total)


def _american(sale: Sale, rng: random.Random) -> PrintedSale:
    """Print as a diner does: month first, quantity before the name, sales tax added."""
    tax = (sale.sum * Decimal("0.0825")).quantize(CENT)
    total = sale.sum + tax
    rows = [*_head(sale), _centred(sale.phone), _GAP]
    rows += [_pair(f"Check #{sale.number}", f"Server: {rng.choice(('Ana', 'Lou', 'Sam'))}")]
    rows += [_pair(f"{sale.day:%m/%d/%Y}", f"{sale.clock:%I:%M %p}"), _RULE]
    rows += [_pair(f"{good.quantity} {good.name}", f"{good.amount}") for good in sale.goods]
    rows += [_RULE, _pair("Subtotal", f"{sale.sum}"), _pair("Sales Tax 8.25%", f"{tax}")]
    rows.append(_pair("Total", f"${total}", size=1.4, bold=True))
    rows += _paid(sale, total, rng, "Cash", "Change", "$")
    return PrintedSale((*rows, _GAP, _centred("Thank you for stopping by!")), total)


def _british(sale: Sale, rng: random.Random) -> PrintedSale:
    """Print as a corner shop does: one row for each good, a month in letters, nothing but the total due."""
    total = sale.sum
    when = f"{sale.day.day:02} {_MONTHS[sale.day.month - 1]} {sale.day.year}"
    rows = [*_head(sale, 1.5), _centred(f"Tel {sale.phone}"), _RULE]
    rows += [_pair(good.name.upper(), f"{good.price}") for good in _one_by_one(sale.goods)]
    rows += [_RULE, _pair("BALANCE DUE", f"GBP {total}", size=1.2, bold=True)]
    rows += _paid(sale, total, rng, "CASH", "CHANGE", "")
    rows += [_RULE, _centred(f"{when}   {sale.clock:%H:%M}"), _centred(f"RECEIPT NO {sale.number}")]
    return PrintedSale((*rows, _centred("Refunds within 28 days with this receipt")), total)


def _german(sale: Sale, rng: random.Random) -> PrintedSale:
    """Print as a bakery does: decimal commas, dots in the date, tax shown after the payment."""
    total = sale.sum
    rows = [*_head(sale), _centred(f"Tel. {sale.phone}"), _GAP, _pair("", "EUR")]
    for good in sale.goods:
        if good.quantity > 1:
            rows.append(_left(f"  {good.quantity} x {_comma(good.price)}"))
        rows.append(_pair(good.name, f"{_comma(good.amount)} A"))
    rows += [_RULE, _pair("SUMME  EUR", _comma(total), size=1.3, bold=True), _RULE]
    if sale.by_card:
        rows.append(_pair("Girocard", _comma(total)))
    else:
        given = _cash_given(total, rng)
        rows += [_pair("Bar", _comma(given)), _pair("Rueckgeld", _comma(given - total))]
    net = (total / Decimal("1.07")).quantize(CENT)
    rows += [_GAP, _columns("MwSt", "Netto", "Steuer", "Brutto")]
    rows.append(_columns("A 7%", _comma(net), _comma(total - net), _comma(total)))
    rows.append(_pair(f"{sale.day:%d.%m.%Y} {sale.clock:%H:%M}", f"Bon {sale.number}"))
    return PrintedSale((*rows, _centred("Vielen Dank")), total)


def _australian(sale: Sale, rng: random.Random) -> PrintedSale:
    """Print as a restaurant does: year first, service added, a grand total apart."""
    service = (sale.sum * Decimal("0.1")).quantize(CENT)
    total = sale.sum + service
    rows = [*_head(sale), _centred(f"ABN {rng.randint(10**10, 10**11 - 1)}"), _centred("INVOICE")]
    rows += [_left(f"Date: {sale.day:%Y-%m-%d}  Time: {sale.clock:%H:%M}")]
    rows += [_left(f"Table: {rng.randint(1, 30)}   Order #{sale.number}"), _RULE]
    rows += [_columns("Description", "Qty", "Price", "Total"), _RULE]
    rows += [
        _columns(good.name, str(good.quantity), f"{good.price}", f"{good.amount}")
        for good in sale.goods
    ]
    rows += [_RULE, _pair("Total", f"{sale.sum}"), _pair("Service charge 10%", f"{service}")]
    rows.append(_pair("GRAND TOTAL AUD", f"{total}", size=1.2, bold=True))
    rows += _paid(sale, total, rng, "Cash", "Change", "")
    return PrintedSale(tuple(rows), total)


def _paid(
    sale: Sale, total: Decimal, rng: random.Random, cash: str, change: str, mark: str
) -> list[PrintedRow]:
    if sale.by_card:
        return [
            _pair("VISA", f"{mark}{total}"),
            _left(f"CARD NO ************{rng.randint(1000, 9999)}"),
        ]
    given = _cash_given(total, rng)
    return [_pair(cash, f"{mark}{given:.2f}"), _pair(change, f"{mark}{given - total:.2f}")]


def _columns(name: str, second: str, third: str, last: str) -> PrintedRow:
    return PrintedRow(
        (
            Cell(name),
            Cell(second, 0.58, "right"),
            Cell(third, 0.78, "right"),
            Cell(last, 1.0, "right"),
        )
    )


def _one_by_one(goods: Sequence[Good]) -> list[Good]:
    return [Good(good.name, 1, good.price) for good in goods for _ in range(good.quantity)]


def _comma(amount: Decimal) -> str:
    return f"{amount:.2f}".replace(".", ",")


_COUNTRIES = (
    _Country(
        merchants=(
            "TERN AND PLOVER HARDWARE SDN BHD",
            "KEDAI RUNCIT BINTANG PASANG",
            "PERNIAGAAN OMBAK TENANG",
            "RESTORAN LAMPU SAMPAN",
        ),
        addresses=(
            ("NO. 18, JALAN LAYAR 3/7,", "TAMAN SAUH, 43210 PELABUHAN BARU"),
            ("LOT 7, LORONG DERMAGA 2,", "12345 TELUK BIRU"),
        ),
        phones=("03-5550 1234", "07-555 0199"),
        goods=(
            "Brass Hinge 75mm",
            "Paint Roller 9in",
            "PVC Tape Black",
            "Wall Plug Box",
            "Hex Bolt M8",
            "Sandpaper P120",
            "Garden Hose 10M",
            "LED Bulb 9W",
            "Padlock 40mm",
            "Wood Glue 250G",
        ),
        print=_malaysian,
    ),
    _Country(
        merchants=(
            "Lanternfish Diner",
            "Blue Heron Coffee Co",
            "Copper Kettle Kitchen",
            "Tugboat Tacos LLC",
        ),
        addresses=(
            ("4410 Driftwood Avenue", "Port Ellery, TX 78999"),
            ("77 Signal Hill Road", "Graywater, OR 97999"),
        ),
        phones=("(512) 555-0142", "(503) 555-0117"),
        goods=(
            "Fish Tacos",
            "Iced Tea",
            "Clam Chowder",
            "Veggie Burger",
            "Side Salad",
            "Cold Brew",
            "Cheese Fries",
            "Key Lime Pie",
            "Grilled Shrimp",
            "Lemonade",
        ),
        print=_american,
    ),
    _Country(
        merchants=(
            "HARBOUR LIGHT STORES",
            "Wren & Thistle Grocers",
            "PEBBLE LANE NEWS LTD",
            "Old Quay Bakery",
        ),
        addresses=(
            ("12 Mooring Street", "Saltby SB4 7QD"),
            ("3 Anchor Square", "Fenmouth FM1 2AB"),
        ),
        phones=("01632 960 118", "01632 960 455"),
        goods=(
            "Semi Skim Milk 2L",
            "Wholemeal Loaf",
            "Cheddar 350g",
            "Free Range Eggs",
            "Tea Bags 80",
            "Bananas Loose",
            "Daily Paper",
            "Orange Juice",
            "Oat Biscuits",
            "Butter Salted",
        ),
        print=_british,
    ),
    _Country(
        merchants=("Leuchtturm Backstube GmbH", "Hafenmarkt Petersen", "Kaffeehaus Ankerplatz"),
        addresses=(
            ("Deichstr. 14", "99998 Sandhafen"),
            ("Am Kai 3", "99997 Nordufer"),
        ),
        phones=("0999 555012", "0998 555034"),
        goods=(
            "Roggenbrot 750g",
            "Laugenbrezel",
            "Filterkaffee",
            "Apfelkuchen",
            "Dinkelbrot",
            "Croissant",
            "Kakao gross",
            "Streusel",
            "Mineralwasser",
            "Quarkball",
        ),
        print=_german,
    ),
    _Country(
        merchants=("Pelican Point Bistro", "THE SALTED WHARF PTY LTD", "Jetty Nine Seafood Grill"),
        addresses=(
            ("Shop 5, 88 Breakwater Road", "Coral Heads QLD 4999"),
            ("2 Lighthouse Parade", "Windara NSW 2999"),
        ),
        phones=("(07) 5550 0123", "(02) 5550 0456"),
        goods=(
            "Barramundi",
            "Flat White",
            "Garlic Bread",
            "Salt Squid",
            "Prawn Linguine",
            "Ginger Beer",
            "Kids Chips",
            "Pavlova",
            "Rock Oysters",
            "House Salad",
        ),
        print=_australian,
    ),
)

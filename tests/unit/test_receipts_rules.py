"""What is chosen among all that a receipt shows: whole receipts as text, recognition left out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.unit.receipts_support import day, details, ledger, merchant, rows_of, totals

TOTALS = {
    "the grand total, not the total before tax": (
        "21.20",
        """
        Total (MYR)          20.00
        GST @ 6%              1.20
        Net Total (MYR)      21.20
        Cash                 50.00
        Change               28.80
        """,
    ),
    "the rounded total on a row named rounding": (
        "45.35",
        """
        Total Sales (Inclusive GST) RM  45.34
        Rounding Adjustment RM            .01
        Rounding RM                     45.35
        CREDIT RM                       45.35
        """,
    ),
    "cash less change, where the total is misread": (
        "112.45",
        """
        Sub Total        106.10
        Total GST          6.37
        Rounding          -0.02
        Total (RM)       112.46
        CASH             112.45
        Change             0.00
        """,
    ),
    "a total without a label": (
        "29.80",
        """
        TOTAL EXCL.GST        28.11
        ADD: GST @6%           1.69
                              29.80
        CASH                  50.00
        CHANGE                20.20
        """,
    ),
    "the amount under its label": (
        "6.00",
        """
        Fuel  P1             6.00
        TOTAL AMOUNT
                          RM 6.00
        """,
    ),
    "not the sum of pieces, savings or points": (
        "12.40",
        """
        Total Qty             26.00
        TOTAL                 12.40
        TOTAL SAVINGS         30.00
        POINTS TOTAL         412.40
        """,
    ),
    "not the totals of the table of taxes": (
        "9.00",
        """
        TOTAL                  9.00
        GST Summary   Amount   Tax
        SR 6%         8.49    0.51
        Total         8.49    0.51
        """,
    ),
    "the decimal point put back": (
        "32.70",
        """
        Apples                10.20
        Pears                 22.50
        TOTAL                  3270
        """,
    ),
    "the balance due beneath a service charge": (
        "66.00",
        """
        Total                 60.00
        Service Charge 10%     6.00
        Balance Due           66.00
        VISA                  66.00
        """,
    ),
    "discounts taken off the subtotal": (
        "18.00",
        """
        Subtotal              20.00
        Discount              -2.00
        Total                 18.00
        """,
    ),
    "two ways of paying": (
        "50.00",
        """
        TOTAL                 50.00
        GIFT CARD VISA        20.00
        CASH                  40.00
        CHANGE                10.00
        """,
    ),
    "commas and a foreign label": (
        "13,80".replace(",", "."),
        """
        Roggenbrot          4,20 A
        Kuchen              9,60 A
        SUMME  EUR           13,80
        Bar                  20,00
        Rueckgeld             6,20
        """,
    ),
    "the tip is part of what was paid, and the total says so": (
        "46.00",
        """
        Subtotal     40.00
        Tip           6.00
        Total        46.00
        """,
    ),
    "the largest amount when nothing is labelled": (
        "8.50",
        """
        Coffee                 3.50
        Cake                   5.00
                               8.50
        """,
    ),
    "a currency without decimals": (
        "1250",
        """
        Ramen         ¥980
        Tea           ¥270
        TOTAL       ¥1,250
        """,
    ),
}


@pytest.mark.parametrize(("total", "text"), TOTALS.values(), ids=TOTALS.keys())
def test_the_total_is(total: str, text: str) -> None:
    found = totals.read(ledger.read(rows_of(text)))
    assert found is not None
    assert found.value == Decimal(total)


def test_a_total_that_contradicts_the_cash_is_for_a_person_to_look_at() -> None:
    account = ledger.read(
        rows_of(
            """
            GRAND TOTAL   18.00
            TOTAL         18.00
            CASH          20.00
            CHANGE        12.00
            """
        )
    )
    found = totals.read(account)
    assert found is not None
    assert found.value == Decimal("18.00")
    assert found.alerts == ("The total is 18.00, but 20.00 paid less 12.00 change is 8.00.",)


def test_a_total_that_agrees_with_the_cash_is_surer_than_one_alone() -> None:
    alone = totals.read(ledger.read(rows_of("TOTAL   18.00")))
    agreed = totals.read(ledger.read(rows_of("TOTAL   18.00\nCASH   20.00\nCHANGE   2.00")))
    assert alone is not None
    assert agreed is not None
    assert agreed.confidence > alone.confidence + 0.1


def test_without_an_amount_there_is_no_total() -> None:
    assert totals.read(ledger.read(rows_of("HELLO\nNo money here"))) is None


MERCHANTS = {
    "the first row": (
        "Blue Heron Coffee",
        """
        Blue Heron Coffee
        12 Mooring Street
        Tel 01632 960118
        """,
    ),
    "not a note that somebody wrote above": (
        "TERN HARDWARE SDN BHD",
        """
        !somebody else
        TERN HARDWARE SDN BHD
        (123456-K)
        NO.5, JALAN LAYAR
        """,
    ),
    "not the title": (
        "Wren and Thistle",
        """
        TAX INVOICE
        Wren and Thistle
        4 Anchor Square, SB4 7QD
        """,
    ),
    "the company, not the brand above it": (
        "PLOVER FOODS PTE LTD",
        """
        !GOLDEN SPOON BISTRO
        PLOVER FOODS PTE LTD
        UEN No: 201912345K
        """,
    ),
    "two rows that make one name": (
        "LONG BEACH VEGETARIAN RESTAURANT SDN BHD",
        """
        LONG BEACH VEGETARIAN
        RESTAURANT SDN BHD
        (1095514-X)
        """,
    ),
    "not the customer": (
        "OMBAK TRADING",
        """
        OMBAK TRADING
        LOT 7, LORONG DERMAGA
        TAX INVOICE
        Bill To
        SAUH ENGINEERING SDN BHD
        """,
    ),
    "not the former name": (
        "New Quay Stores Ltd",
        """
        New Quay Stores Ltd
        formerly known as
        Old Quay Stores Ltd
        1 High Street
        """,
    ),
    "without the registration number": ("Tugboat Mart S/B", "Tugboat Mart 5/B (519537-X)\nLOT 9"),
    "with the legal form mended": ("JETTY SDN BHD", "JETTY SON BHD (682288-V)\n12 JALAN U1/48"),
    "a name that begins with a number": (
        "99 Bottles Market",
        """
        99 Bottles Market
        4410 Driftwood Avenue
        Port Ellery, TX 78999
        """,
    ),
    "a name under the number above it": (
        "SIGNAL HARDWARE SDN BHD",
        """
        3-1707067
        (481500-M)
        SIGNAL HARDWARE SDN BHD
        NO.50, JALAN PBS
        """,
    ),
    "below a greeting": (
        "Copper Kettle Kitchen",
        "Welcome to\nCopper Kettle Kitchen\n(503) 555-0117",
    ),
}


@pytest.mark.parametrize(("name", "text"), MERCHANTS.values(), ids=MERCHANTS.keys())
def test_the_merchant_is(name: str, text: str) -> None:
    found = merchant.read(rows_of(text))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("text", ["12345\n03-5550 1234", "TAX INVOICE\nDate: 01/02/2020"])
def test_without_a_name_there_is_no_merchant(text: str) -> None:
    assert merchant.read(rows_of(text)) is None


DAYS = {
    "the labelled one": ("2018-03-12", "Since 01/01/1999\nDate: 12/03/2018 10:00"),
    "not the day of expiry": ("2018-03-12", "VALID UNTIL 30/06/2019\n12/03/2018 10:00"),
    "day first by default": ("2017-06-03", "Date 03/06/2017"),
    "month first where the address is American": (
        "2017-03-06",
        "Port Ellery, TX 78999\nDate 03/06/2017",
    ),
    "month first where another day says so": (
        "2017-03-06",
        "03/06/2017 10:00\nReturn by 03/20/2017",
    ),
    "day first where another day says so": (
        "2017-06-03",
        "TX 78999\n03/06/2017 10:00\nReturn by 20/06/2017",
    ),
    "under a heading": ("2018-03-18", "Date   Time   Num\n18/03/18   15:17   06051"),
}


@pytest.mark.parametrize(("expected", "text"), DAYS.values(), ids=DAYS.keys())
def test_the_day_is(expected: str, text: str) -> None:
    found = day.read(rows_of(text))
    assert found is not None
    assert found.value.isoformat() == expected


def test_a_day_that_could_be_read_both_ways_is_less_sure() -> None:
    open_day, clear_day = day.read(rows_of("Date 03/06/2017")), day.read(rows_of("Date 23/06/2017"))
    assert open_day is not None
    assert clear_day is not None
    assert open_day.confidence < clear_day.confidence


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("1.20", "GST 6%   1.20\nTOTAL   21.20"),
        ("0.51", "TOTAL   9.00\nGST Summary   Amount   Tax\nSR 6%   8.49   0.51"),
        ("3.00", "State Tax   2.00\nCity Tax   1.00\nTOTAL   33.00"),
        ("1.44", "Total (incl GST)   25.40\nTOTAL INCLUDES 6% GST   1.44"),
        (None, "GST NO: 000342237184\nTOTAL   9.00"),
        (None, "Tax Invoice   55.00\nTOTAL   60.00"),
    ],
)
def test_the_tax_is_that_within_the_total(expected: str | None, text: str) -> None:
    account = ledger.read(rows_of(text))
    found = details.read_tax(account, totals.read(account))
    assert (found.value if found else None) == expected


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("Cash", "TOTAL   9.00\nCASH   10.00\nCHANGE   1.00"),
        ("Visa", "TOTAL   9.00\nVISA CREDIT   9.00"),
        ("Debit card", "TOTAL   9.00\nDEBIT   9.00"),
        (None, "CASH BILL   0001\nTOTAL   9.00\nCASHIER   5.00"),
    ],
)
def test_the_payment_is_how_was_paid(expected: str | None, text: str) -> None:
    found = details.read_payment(ledger.read(rows_of(text)))
    assert (found.value if found else None) == expected


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("18297/102/T0173", "INVOICE NO : 18297/102/T0173"),
        ("OR18030502160349", "Invoice #:OR18030502160349"),
        ("773787", "RECEIPT NO 773787"),
        (None, "INVOICE 12/03/2018"),
        (None, "RECEIPT"),
    ],
)
def test_the_number_of_the_receipt(expected: str | None, text: str) -> None:
    found = details.read_number(rows_of(text))
    assert (found.value if found else None) == expected

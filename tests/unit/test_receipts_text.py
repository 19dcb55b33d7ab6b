"""Amounts, days and labels in single lines of text, misread ones included."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tests.unit.receipts_support import amounts, dates, words

Kind = words.Kind


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("TOTAL 30.90", ["30.90"]),
        ("RM12.00", ["12.00"]),
        ("1,234.56", ["1234.56"]),
        ("1.234,56 EUR", ["1234.56"]),
        ("1'234.50", ["1234.50"]),
        ("2 x 3.50  7.00", ["3.50", "7.00"]),
        ("-RM 0.01", ["-0.01"]),
        ("(5.00)", ["-5.00"]),
        ("5,00-", ["-5.00"]),
        (".50", ["0.50"]),
        ("RM.50 s", ["0.50"]),
        ("29°80", ["29.80"]),
        ("U.4U", ["0.40"]),
        ("106.1C", ["106.10"]),
        ("RMD.17", ["0.17"]),
        ("170. 00", ["170.00"]),
        ("6.00 %", []),
        ("NO.53 JALAN", []),
        ("Shop 5, 88 Long Road", []),
        ("12.03.2018", []),
        ("10.30 AM", []),
        ("35.10 litre", []),
        ("0.500 kg", []),
        ("TEL 03-4161.8936", []),
    ],
)
def test_amounts_are_found_and_other_numbers_left(text: str, values: list[str]) -> None:
    assert [amount.value for amount in amounts.find(text)] == [Decimal(value) for value in values]


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("RM 5.00", "MYR"),
        ("FM3.00", "MYR"),
        ("S$5.00", "SGD"),
        ("$5.00", "$"),
        ("5,00 EUR", "EUR"),
        ("FORM 5.00", None),
        ("5.00", None),
    ],
)
def test_the_currency_is_that_beside_the_amount(text: str, currency: str | None) -> None:
    assert amounts.find(text)[0].currency == currency


def test_a_missing_decimal_point_is_put_in_and_said() -> None:
    [amount] = amounts.find_pointless("Total 3100")
    assert (amount.value, amount.exact) == (Decimal("31.00"), False)


def test_whole_amounts_are_read_where_there_are_no_decimals() -> None:
    assert [amount.value for amount in amounts.find_whole("¥1,250")] == [Decimal(1250)]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("18-11-18 13:58 SH01", "2018-11-18"),
        ("Date: 09/01/2019 8:01:11 PM", "2019-01-09"),
        ("17/1/2018", "2018-01-17"),
        ("2018-03-05", "2018-03-05"),
        ("05 Mar 2018 18:24", "2018-03-05"),
        ("14/JUN/2017", "2017-06-14"),
        ("Mar 5, 2018", "2018-03-05"),
        ("JUN14'21", "2021-06-14"),
        ("5. März 2021", "2021-03-05"),
        ("5 juillet 2020", "2020-07-05"),
        ("12/31/2020", "2020-12-31"),
        ("21-03-201819:02:50", "2018-03-21"),
        ("12-03-1810:13", "2018-03-12"),
        ("O5/03/20l8", "2018-03-05"),
        ("2703/2018", "2018-03-27"),
        ("30/04/2017(Sun)19:44", "2017-04-30"),
        ("31/02/2018", None),
        ("07-355 2616", None),
        ("No.22/3/18B", None),
        ("1.50 2.00 3.00", None),
        ("v1.2.3.18", None),
        ("INV 1000219", None),
    ],
)
def test_days_are_found_in_the_forms_of_many_countries(text: str, day: str | None) -> None:
    found = dates.parse(text)
    assert (found.isoformat() if found else None) == day


def test_the_month_may_come_first_only_when_the_numbers_leave_it_open() -> None:
    assert dates.parse("03/06/2017", month_first=True) == dt.date(2017, 3, 6)
    assert dates.parse("23/06/2017", month_first=True) == dt.date(2017, 6, 23)
    assert dates.parse("05 Mar 2018", month_first=True) == dt.date(2018, 3, 5)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("18-11-18 13:58", dt.time(13, 58)),
        ("5:02:54 PM", dt.time(17, 2, 54)),
        ("12:10 am", dt.time(0, 10)),
        ("01:57PH", dt.time(13, 57)),
        ("03.02.18", None),
        ("12.50", None),
    ],
)
def test_the_time_of_day_is_found(text: str, time: dt.time | None) -> None:
    assert dates.find_time(text) == time


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("TOTAL", Kind.TOTAL),
        ("T0TAL:", Kind.TOTAL),
        ("TotalSales", Kind.TOTAL),
        ("GRAND TOTAL", Kind.PAYABLE),
        ("Total Arnt Payabie :", Kind.PAYABLE),
        ("BALANCE DUE", Kind.PAYABLE),
        ("Net Total Rounded (MYR)", Kind.PAYABLE),
        ("Total (Inclusive of GST):", Kind.PAYABLE),
        ("TOTAL TTC", Kind.PAYABLE),
        ("SUMME EUR", Kind.TOTAL),
        ("SUB TOTAL", Kind.SUBTOTAL),
        ("SUB T01", Kind.SUBTOTAL),
        ("Zwischensumme", Kind.SUBTOTAL),
        ("Total (Excluding GST):", Kind.OTHER_TOTAL),
        ("TOTAL EXCL.GST", Kind.OTHER_TOTAL),
        ("Total Qty", Kind.OTHER_TOTAL),
        ("TOTAL SAVINGS", Kind.OTHER_TOTAL),
        ("TOTAL ITEMS", Kind.OTHER_TOTAL),
        ("Total GST", Kind.TAX),
        ("GST @6%", Kind.TAX),
        ("Sales Tax 8.25%", Kind.TAX),
        ("TOTAL INCLUDES 6% GST", Kind.TAX),
        ("ROUNDING ADJUSTMENT", Kind.ROUNDING),
        ("RCUNDING ADJ", Kind.ROUNDING),
        ("CASH", Kind.TENDERED),
        ("Cash Received", Kind.TENDERED),
        ("VISA", Kind.TENDERED),
        ("CHANGE", Kind.CHANGE),
        ("Cash Change", Kind.CHANGE),
        ("Rueckgeld", Kind.CHANGE),
        ("Cashier : 123", Kind.NONE),
        ("CASH BILL", Kind.NONE),
        ("5B8 TWISTIES", Kind.NONE),
        ("TOTALLY TASTY PIE", Kind.NONE),
    ],
)
def test_a_label_says_what_its_amount_is(label: str, kind: words.Kind) -> None:
    assert words.kind(words.squash(label)) is kind

"""Amounts of money in printed text, in the forms of many countries, with what OCR does to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

CENT = Decimal("0.01")

# How a currency is printed -> its ISO 4217 code. A bare "$" or "kr" is used by many countries.
CURRENCIES: dict[str, str] = {
    "RM": "MYR",
    "S$": "SGD",
    "A$": "AUD",
    "AU$": "AUD",
    "C$": "CAD",
    "CA$": "CAD",
    "US$": "USD",
    "HK$": "HKD",
    "NT$": "TWD",
    "NZ$": "NZD",
    "R$": "BRL",
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "RS.": "INR",
    "₩": "KRW",
    "฿": "THB",
    "₱": "PHP",
    "₫": "VND",
    "RP": "IDR",
    "ZŁ": "PLN",
    "KČ": "CZK",
    "FR.": "CHF",
    "$": "$",
    "KR": "kr",
}
_CODES = (
    "MYR USD EUR GBP SGD AUD CAD NZD HKD TWD CNY RMB JPY KRW INR IDR THB PHP VND BRL MXN CHF "
    "SEK NOK DKK PLN CZK HUF RON TRY ZAR AED SAR ILS"
)
CURRENCIES.update({code: code for code in _CODES.split()})
CURRENCIES["RMB"] = "CNY"

_MARKS = "|".join(re.escape(mark) for mark in sorted(CURRENCIES, key=len, reverse=True))
# A mark made of letters must not be the end or the beginning of a word.
CURRENCY = rf"(?<![A-Za-z])(?:{_MARKS})(?![A-Za-z])"

# What recognition takes for a digit's look-alike, only ever applied inside a number.
_LOOK_ALIKES = str.maketrans("OoQDUCcIl|SB", "000000011158")
_MISREAD = re.compile(
    r"(?<![A-Za-z\d.])(?P<mark>RM|[A-Z]M|\$|€|£)?\s?"
    r"(?P<whole>[\dOoQDUIl|SB]*)[.,](?P<part>[\dOoQDUCcIl|SB]{2})(?![\w%])"
)
_SPACED = re.compile(r"(?<=\d[.,])\s(?=\d{2}(?:\s*$|\s+[A-Za-z]{1,3}\s*$))")

_AMOUNT = re.compile(
    rf"(?P<minus>(?<![\w)])[-(]\s?)?(?:(?P<mark>{CURRENCY})\s?)?(?P<inner>-\s?)?"
    r"(?<![\d.,/:#])(?<!\d-)"
    r"(?P<whole>\d{1,3}(?:[,.']\d{3})+|\d{0,7})(?P<point>[.,°·])(?P<part>\d{2})(?!\d)"
    r"(?![.,/:-]\d|\s?%|\s?[apAP]\.?[mM]\b|\s?(?:kg|g|ml|l|ltr|lit(?:re|er)s?|lb|oz|cm|mm|m)\b)"
    rf"(?:\s?(?P<after>-(?!\d)|{CURRENCY}))?",
    re.IGNORECASE,
)
_GROUPED = re.compile(
    rf"(?P<minus>(?<![\w)])[-(]\s?)?(?:(?P<mark>{CURRENCY})\s?)?(?<![\d.,/:#-])"
    r"(?P<whole>\d{1,3}(?:[,.]\d{3})+|\d{2,7})(?![\d/:%-]|[.,]\d|\s?%)"
    rf"(?:\s?(?P<after>{CURRENCY}))?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"(?<![\w.,/:#-])\d{3,6}(?![\w/:%-]|[.,]\d)")
_TWO_DIGITS = re.compile(r"(?<![\w.,/:#-])[.]?\d{2}(?![\w/:%.,-])")


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as printed.

    Attributes:
        value: the number; negative when printed with a minus or in brackets.
        currency: ISO 4217 code, or the bare sign when that does not say which; None without.
        exact: False when the decimal point was missing and has been put in.
        start: where in the (repaired) text it begins.
    """

    value: Decimal
    currency: str | None = None
    exact: bool = True
    start: int = 0


def find(text: str) -> list[Amount]:
    """Return the amounts with two decimals in `text`, left to right."""
    found = []
    repaired = _repaired(text)
    for match in _AMOUNT.finditer(repaired):
        if (
            not match["whole"]
            and repaired[: match.start("point")][-1:].isalpha()
            and not match["mark"]
        ):
            continue  # "No.53" is a house; ".50" and "RM.50" are half a ringgit
        whole = re.sub(r"\D", "", match["whole"]) or "0"
        value = Decimal(f"{whole}.{match['part']}")
        after = match["after"]
        if match["minus"] or match["inner"] or after == "-":
            value = -value
        mark = match["mark"] or (after if after != "-" else None)
        found.append(Amount(value, _code(mark), start=match.start()))
    return found


def find_whole(text: str) -> list[Amount]:
    """Return the amounts in `text` of a receipt whose currency has no decimals."""
    found = []
    for match in _GROUPED.finditer(text):
        value = Decimal(re.sub(r"\D", "", match["whole"]))
        if match["minus"]:
            value = -value
        found.append(Amount(value, _code(match["mark"] or match["after"]), start=match.start()))
    return found


def find_pointless(text: str) -> list[Amount]:
    """Return numbers of 3 to 6 digits in `text` as amounts whose decimal point went unread."""
    return [
        Amount(Decimal(int(match.group())) * CENT, exact=False, start=match.start())
        for match in _DIGITS.finditer(text)
    ]


def before(text: str) -> str:
    """Return what stands in `text` before its first amount: the words of a row of goods."""
    found = find(text)
    return _repaired(text)[: found[0].start].rstrip() if found else text


def currencies(text: str) -> list[str]:
    """Return the currencies named in `text`, as ISO 4217 codes or bare signs."""
    return [_known(mark) for mark in re.findall(CURRENCY, text, re.IGNORECASE)]


def _repaired(text: str) -> str:
    """Return `text` with look-alikes inside numbers turned into digits: "U.4U" is 0.40."""

    def repair(match: re.Match[str]) -> str:
        number = match["whole"] + match["part"]
        digits = sum(character.isdigit() for character in number)
        if not digits or digits * 2 < len(number) - 2:
            return match.group()
        mark = match["mark"] or ""
        # "FM3.00" is RM with a broken letter; what stands before a number says no more here.
        mark = "RM " if mark.endswith("M") else mark
        return f"{mark}{match['whole'].translate(_LOOK_ALIKES)}.{match['part'].translate(_LOOK_ALIKES)}"

    return _SPACED.sub("", _MISREAD.sub(repair, text))


def _code(mark: str | None) -> str | None:
    return _known(mark) if mark else None


def _known(mark: str) -> str:
    return CURRENCIES[mark.upper()]

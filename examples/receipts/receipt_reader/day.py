"""The day and time of the sale, chosen among all days that a receipt shows."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from receipt_reader import dates, words
from receipt_reader.layout import Piece, Row

_DATE_LABEL = re.compile(
    r"DATE(?!D?OFBIRTH)|DATUM|FECHA|TARIKH|TANGGAL|DATED|ISSUED|PRINTED|PAIDTIME|TRANSACTIONTIME|日期"
)
_OTHER_DAY = re.compile(
    r"EXPIR|EXPDATE|EXPIRY|VALID|BESTBEFORE|USEBY|DUEDATE|DUE$|RETURNBY|REFUND|EXCHANGE|WARRANTY|BIRTH|DOB|SINCE|"
    r"PROMO|UNTIL|DELIVERYDATE|CHECKIN|CHECKOUT|ARRIVAL|DEPARTURE|NEXTVISIT|GÜLTIG|ABLAUF|CAMPAIGN|ENDS"
)
_LAW = re.compile(r"\b(?:ACT|LAW|REGULATION|VERSION|V\.)\b", re.IGNORECASE)

# Signs that the month is printed first: the habit of one country, which prints them often.
_STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM "
    "NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR"
).replace(" ", "|")
_AMERICAN = re.compile(
    rf"\b(?:{_STATES})[ ,.]+\d{{5}}(?:-\d{{4}})?\b|\(\d{{3}}\)\s?\d{{3}}-\d{{4}}|\bSALES\s?TAX\b"
    r"|\bUS(?:D|A)\b|\bZIP\b|\bEIN\b|\bSTATE TAX\b|\bEBT\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class SaleDay:
    """The day of the sale, where it was read and how sure the choice is."""

    value: dt.date
    piece: Piece
    confidence: float
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SaleTime:
    """The time of day of the sale and where it was read."""

    value: dt.time
    piece: Piece
    confidence: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    found: dates.Found
    piece: Piece
    row: int
    score: float


def read(rows: Sequence[Row]) -> SaleDay | None:
    """Return the day of the sale, or None when the receipt shows no day.

    Which of two numbers is the day is settled by the form, then by another day of the same
    receipt that allows one reading only, then by signs of a country that prints the month
    first; without any of these the day comes first.
    """
    candidates = list(_candidates(rows))
    if not candidates:
        return None
    best = max(candidates, key=lambda candidate: (candidate.score, -candidate.row))
    month_first, settled = _order(rows, candidates)
    value = best.found.resolve(month_first=month_first)
    if value is None:
        return None
    confidence = min(0.72 + 0.06 * best.score, 0.98)
    if best.found.ambiguous and not settled:
        confidence -= 0.12
    if best.found.weak:
        confidence -= 0.25
    others = {candidate.found.resolve(month_first=month_first) for candidate in candidates}
    alerts: tuple[str, ...] = ()
    if best.found.weak and len(others) == 1:
        alerts = (f"The separators of the date {best.piece.text!r} could not be read.",)
    return SaleDay(value, best.piece, max(confidence, 0.1), alerts)


def read_time(rows: Sequence[Row], day: SaleDay | None) -> SaleTime | None:
    """Return the time of the sale: that printed with its day, else the first on the receipt."""
    times = [
        (index, piece, time)
        for index, row in enumerate(rows)
        for piece in row.pieces
        if (time := dates.find_time(piece.text)) is not None
    ]
    if not times:
        return None
    home = next((i for i, row in enumerate(rows) if day and day.piece in row.pieces), 0)
    index, piece, value = min(times, key=lambda place: abs(place[0] - home))
    near = 0.9 if abs(index - home) <= 1 else 0.6
    return SaleTime(value, piece, near)


def _candidates(rows: Sequence[Row]) -> Iterator[_Candidate]:
    for index, row in enumerate(rows):
        for piece in row.pieces:
            for found in dates.find(piece.text):
                yield _Candidate(found, piece, index, _score(rows, index, found, piece))
        if len(row.pieces) > 1 and not any(dates.find(piece.text) for piece in row.pieces):
            # A day that was cut into two pieces; its box is that of the longer part.
            for found in dates.find(row.text):
                piece = max(row.pieces, key=lambda part: sum(map(str.isdigit, part.text)))
                yield _Candidate(found, piece, index, _score(rows, index, found, piece) - 0.5)


def _score(rows: Sequence[Row], index: int, found: dates.Found, piece: Piece) -> float:
    label = words.label(rows[index])
    above = words.label(rows[index - 1]) if index else ""
    score = 2.0 if _DATE_LABEL.search(label) else 0.0
    if not score and _DATE_LABEL.search(above) and not dates.find(rows[index - 1].text):
        score = 1.5
    if _OTHER_DAY.search(label) or _LAW.search(rows[index].text):
        score -= 3.0
    if dates.find_time(rows[index].text) is not None:
        score += 1.0
    score += 0.5 if found.order != "either" else 0.0
    score -= 2.0 if found.weak else 0.0
    score -= 0.5 if not 1990 <= found.year <= 2069 else 0.0
    return score - (1.0 - piece.confidence)


def _order(rows: Sequence[Row], candidates: Sequence[_Candidate]) -> tuple[bool, bool]:
    """Whether the month comes first, and whether the receipt itself says so."""
    if any(candidate.found.month_first for candidate in candidates):
        return True, True
    one_way = any(
        candidate.found.order == "either" and not candidate.found.ambiguous
        for candidate in candidates
        if candidate.found.first > 12
    )
    if one_way:
        return False, True
    american = sum(len(set(_AMERICAN.findall(row.text.upper()))) for row in rows)
    return (True, True) if american else (False, False)

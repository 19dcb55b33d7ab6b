"""What else a receipt says: tax, currency, payment, number of the receipt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from receipt_reader import amounts, words
from receipt_reader.layout import Piece, Row
from receipt_reader.ledger import Entry, Ledger
from receipt_reader.totals import Total, find_payments
from receipt_reader.words import Kind

_TAX_SHARE_MAX = Decimal("0.3")
"""No country's tax on sales is higher than this share of the total."""

_METHODS: tuple[tuple[str, str], ...] = (
    ("Visa", r"VISA"),
    ("Mastercard", r"MASTER(?:CARD|CD|RM)?"),
    ("American Express", r"AMEX|AMERICANEXPRESS"),
    ("PayPal", r"PAYPAL"),
    ("Apple Pay", r"APPLEPAY"),
    ("Google Pay", r"GOOGLEPAY|GPAY"),
    ("Alipay", r"ALIPAY"),
    ("WeChat Pay", r"WECHAT"),
    ("E-wallet", r"EWALLET|TOUCHNGO|TNG|GRABPAY|BOOST"),
    ("Debit card", r"DEBIT|MAESTRO|GIROCARD|ECKARTE|NETS$"),
    ("Credit card", r"CREDIT|KREDITKARTE"),
    ("Cheque", r"CHEQUE"),
    ("Bank transfer", r"BANKTRANSFER"),
    ("Card", r"CARD|KARTE|CARTE|TARJETA|CONTACTLESS|^CB"),
    ("Cash", r"CASH|TUNAI|^BAR|ESP[EÈ]CES|EFECTIVO|CONTANT|GEGEBEN"),
)
_NUMBER = re.compile(
    r"\b(?:INVOICE|INV|RECEIPT|RECEIPI|RECEPIT|RCPT|RAECEIPT|RACEIPT|DOC|BILL|CASH BILL|CB|TAX ?INV|ORDER|ORD|TRANSACTION|TRANS|TRN|TICKET|CHECK|CHK|RECHNUNG|"
    r"BELEG|BON|FACTURE|FACTURA|RESIT|DOCUMENT)\b\s*[-.:]*\s*(?:NO\b|NUMBER\b|NR\b|NUM\b|ID\b|#|N°|Nº|NB\b)?\s*[-.:#]*\s*"
    r"(?P<number>[A-Z]{0,4}[-/ ]?\d[A-Z\d/-]{2,})",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Detail:
    """A value as text, the piece that it was read from (if one) and how sure the choice is."""

    value: str
    piece: Piece | None
    confidence: float


def read_tax(ledger: Ledger, total: Total | None) -> Detail | None:
    """Return the tax contained in the total: its own row's, else that of the table of taxes."""
    limit = total.value * _TAX_SHARE_MAX if total else None
    named: list[Entry] = []
    for line in ledger.lines:
        if line.kind is Kind.TAX and not line.summary:
            entry = ledger.last_of(line)
            if entry is not None and entry.value > 0 and (limit is None or entry.value <= limit):
                named.append(entry)
    if named:
        whole = [entry for entry in named if re.search(r"TOTAL|TOTAI", entry.line.label)]
        if whole or len({entry.value for entry in named}) == 1:
            chosen = (whole or named)[-1]
            return Detail(_money(chosen.value, ledger), chosen.piece, 0.85)
        values = sum((entry.value for entry in named), Decimal(0))
        if limit is None or values <= limit:
            # Federal and state tax, or two rates: each has its own row.
            return Detail(_money(values, ledger), named[-1].piece, 0.7)
        return Detail(_money(named[-1].value, ledger), named[-1].piece, 0.4)
    return _tax_of_summary(ledger, limit)


def _tax_of_summary(ledger: Ledger, limit: Decimal | None) -> Detail | None:
    """Add up the last column of the table of taxes, or take its own total."""
    rates: list[Entry] = []
    for line in ledger.lines:
        on_line = [entry for entry in ledger.entries if entry.line is line]
        if not line.summary or len(on_line) < 2:
            continue
        if line.kind in {Kind.TOTAL, Kind.PAYABLE, Kind.OTHER_TOTAL} and rates:
            break
        rates.append(min(on_line[-2:], key=lambda entry: entry.value))
    value = sum((entry.value for entry in rates), Decimal(0))
    if not rates or value <= 0 or (limit is not None and value > limit):
        return None
    return Detail(_money(value, ledger), rates[0].piece, 0.75)


def read_currency(ledger: Ledger, total: Total | None) -> Detail | None:
    """Return the currency as an ISO 4217 code, or the bare sign when that is all there is."""
    if total and total.entry and total.entry.amount.currency:
        first = [(total.entry.amount.currency, total.entry.piece)]
    else:
        first = []
    named = first + [
        (entry.amount.currency, entry.piece)
        for entry in ledger.entries
        if entry.amount.currency is not None
    ]
    for line in ledger.lines:
        if line.kind is Kind.NONE and not line.summary and not words.is_item_header(line.row):
            continue
        for piece in line.row.pieces:
            named.extend((currency, piece) for currency in amounts.currencies(piece.text))
    if not named:
        return None
    counts = Counter(currency for currency, _ in named)
    codes = {code: count for code, count in counts.items() if len(code) == 3}
    currency, count = max((codes or counts).items(), key=lambda item: item[1])
    piece = next(piece for code, piece in named if code == currency)
    share = count / sum(counts.values())
    return Detail(currency, piece, (0.55 if len(currency) < 3 else 0.7) + 0.25 * share)


def read_payment(ledger: Ledger) -> Detail | None:
    """Return how was paid, such as "Cash" or "Visa"."""
    payments = find_payments(ledger)
    labels = [(payment.tendered.line.label, payment.tendered.piece, 0.9) for payment in payments]
    # A row that names the means without an amount still says how.
    labels += [
        (line.label, line.row.pieces[0], 0.6)
        for line in ledger.lines
        if words.is_tender(line.label) and not line.summary
    ]
    for label, piece, confidence in labels:
        for name, pattern in _METHODS:
            if re.search(pattern, label):
                return Detail(name, piece, confidence)
    return None


def read_number(rows: Sequence[Row]) -> Detail | None:
    """Return the number of the receipt or invoice."""
    for row in rows:
        for text, piece in [(piece.text, piece) for piece in row.pieces] + [
            (row.text, row.pieces[-1])
        ]:
            match = _NUMBER.search(text)
            if match and not re.fullmatch(r"[\d/-]*\d[/-]\d\d[/-]\d{2,4}", match["number"]):
                return Detail(match["number"].strip(" -/"), piece, 0.8)
    return None


def _money(value: Decimal, ledger: Ledger) -> str:
    return f"{value:.0f}" if ledger.whole else f"{value:.2f}"

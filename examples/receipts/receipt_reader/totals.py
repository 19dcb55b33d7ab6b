"""The amount paid: every number on the receipt is weighed by all that speaks for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from receipt_reader import words
from receipt_reader.ledger import Entry, Ledger, Line
from receipt_reader.words import Kind

_ROUNDING_MAX = Decimal("0.05")
"""Cash is rounded to the nearest coin; no country's smallest one makes more than this."""

# What each kind of label is worth; the sums below are measured in the same unit.
_LABEL_WEIGHT = {
    Kind.PAYABLE: 5.0,
    Kind.TOTAL: 4.0,
    Kind.SUBTOTAL: 1.0,
    Kind.TENDERED: 1.0,
}
_CASH_LESS_CHANGE = 4.0
_CARD = 2.5
_SUM_OF_PARTS = 1.5
_BARE_AMOUNT = 1.0
_DECIMAL_POINT_UNREAD = -2.0
_CERTAINTY_SCALE = 4.5


@dataclass(slots=True)
class Candidate:
    """A value that may be the total and what speaks for it."""

    value: Decimal
    entry: Entry | None
    score: float = 0.0
    label_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Payment:
    """What was handed over and what came back; `paid` is the difference."""

    tendered: Entry
    change: Entry | None
    paid: Decimal


@dataclass(frozen=True, slots=True)
class Total:
    """The total, where it was read, how sure the choice is and what contradicts it."""

    value: Decimal
    entry: Entry | None
    confidence: float
    alerts: tuple[str, ...] = field(default=())


def read(ledger: Ledger) -> Total | None:
    """Return the total, or None when the receipt shows no amount that could be it."""
    payments = find_payments(ledger)
    candidates: dict[Decimal, Candidate] = {}
    for entry, weight in _labelled(ledger):
        _add(candidates, entry, weight)
    _add_payments(candidates, payments)
    if not candidates:
        _add_unlabelled(candidates, ledger)
    if not candidates:
        return None
    for candidate in candidates.values():
        candidate.score += candidate.label_weight + _circumstances(candidate, ledger)
    _prefer_rounded(candidates, ledger)
    best = max(candidates.values(), key=lambda candidate: (candidate.score, candidate.value))
    certainty = 1.0 - math.exp(-max(best.score, 0.5) / _CERTAINTY_SCALE)
    alerts = tuple(_contradictions(best, payments))
    return Total(best.value, best.entry, certainty * (0.7 if alerts else 1.0), alerts)


def find_payments(ledger: Ledger) -> list[Payment]:
    """Return each way of paying, cash first reduced by the change that followed it."""
    payments = []
    changes = ledger.of(Kind.CHANGE)
    for line in ledger.lines:
        if line.kind is not Kind.TENDERED or line.summary:
            continue
        tendered = ledger.last_of(line)
        if tendered is None or tendered.value <= 0:
            continue
        change = next((entry for entry in changes if entry.line.index > line.index), None)
        if words.is_card(line.label) and change is not None and change.value == 0:
            change = None
        back = abs(change.value) if change is not None else Decimal(0)
        if back <= tendered.value:
            payments.append(Payment(tendered, change, tendered.value - back))
    return payments


def _labelled(ledger: Ledger) -> Iterator[tuple[Entry, float]]:
    """Every amount that a label calls a total, and what the label is worth."""
    for line in ledger.lines:
        weight = _LABEL_WEIGHT.get(line.kind)
        if weight is None or line.summary:
            continue
        entry = ledger.last_of(line)
        if entry is not None:
            yield entry, weight
            continue
        unread = [entry for entry in ledger.pointless if entry.line is line]
        if unread:
            yield unread[-1], weight + _DECIMAL_POINT_UNREAD
        elif line.kind in {Kind.PAYABLE, Kind.TOTAL}:
            below = _amount_beside(ledger, line)
            if below is not None:
                yield below, weight - 1.0


def _amount_beside(ledger: Ledger, line: Line) -> Entry | None:
    """Return the amount of a label that stands a row higher or lower than it, alone on its row."""
    for index in (line.index + 1, line.index - 1):
        if 0 <= index < len(ledger.lines):
            other = ledger.lines[index]
            entry = ledger.last_of(other)
            alone = other.kind is Kind.NONE and len(other.label) <= 3
            if entry is not None and alone and not other.summary:
                return entry
    return None


def _add(candidates: dict[Decimal, Candidate], entry: Entry, weight: float) -> None:
    if entry.value <= 0:
        return
    candidate = candidates.setdefault(entry.value, Candidate(entry.value, entry))
    if weight > candidate.label_weight:
        candidate.label_weight = weight
        candidate.entry = entry


def _add_payments(candidates: dict[Decimal, Candidate], payments: Sequence[Payment]) -> None:
    for payment in payments:
        if payment.paid <= 0:
            continue
        candidate = candidates.setdefault(payment.paid, Candidate(payment.paid, None))
        if payment.change is not None:
            candidate.score = max(candidate.score, _CASH_LESS_CHANGE)
        elif words.is_card(payment.tendered.line.label):
            candidate.score = max(candidate.score, _CARD)
    several = sum((payment.paid for payment in payments), Decimal(0))
    if len(payments) > 1 and several in candidates:
        candidates[several].score = max(candidates[several].score, _CARD)


def _add_unlabelled(candidates: dict[Decimal, Candidate], ledger: Ledger) -> None:
    """Without any label the largest amount is the best guess, and is worth little."""
    amounts = [entry for entry in ledger.entries if entry.value > 0 and not entry.line.summary]
    if amounts:
        largest = max(amounts, key=lambda entry: entry.value)
        candidates[largest.value] = Candidate(largest.value, largest, label_weight=_BARE_AMOUNT)


def _circumstances(candidate: Candidate, ledger: Ledger) -> float:
    """Weigh what speaks for a value beside its label: arithmetic, repetition, size of print."""
    same = [entry for entry in ledger.entries if entry.value == candidate.value]
    if candidate.entry is None and same:
        candidate.entry = same[-1]
    score = 0.3 * min(len(same), 4)
    if _is_sum_of_parts(candidate.value, ledger):
        score += _SUM_OF_PARTS
    heights = sorted(line.row.height for line in ledger.lines)
    if candidate.entry is not None:
        usual = heights[len(heights) // 2]
        score += min(max(candidate.entry.piece.height / usual - 1.15, 0.0), 1.0)
        score -= 1.0 - candidate.entry.piece.confidence
    return score


def _is_sum_of_parts(value: Decimal, ledger: Ledger) -> bool:
    """Whether subtotal, tax, rounding and the like add up to the value."""
    subtotals = {entry.value for entry in ledger.of(Kind.SUBTOTAL, Kind.OTHER_TOTAL)}
    parts = _distinct(ledger.of(Kind.TAX)), _distinct(ledger.of(Kind.ROUNDING, Kind.ADJUSTMENT))
    taxes = sum(parts[0], Decimal(0))
    others = sum(parts[1], Decimal(0))
    discounts = sum((abs(part) for part in parts[1]), Decimal(0))
    if not any(part for group in parts for part in group):
        return False
    return any(
        value == subtotal + change
        for subtotal in subtotals
        for change in (taxes, taxes + others, others, taxes - discounts, -discounts)
        if change
    )


def _distinct(entries: Sequence[Entry]) -> list[Decimal]:
    by_line = {entry.line.index: entry.value for entry in entries}
    return list(by_line.values())


def _prefer_rounded(candidates: dict[Decimal, Candidate], ledger: Ledger) -> None:
    """Trust a row named rounding that shows nearly a total: it shows the rounded total."""
    labelled = [
        candidate.value for candidate in candidates.values() if candidate.label_weight >= 4.0
    ]
    for entry in ledger.of(Kind.ROUNDING):
        near = [value for value in labelled if 0 < abs(value - entry.value) <= _ROUNDING_MAX]
        if entry.value > 2 * _ROUNDING_MAX and near:
            candidate = candidates.setdefault(entry.value, Candidate(entry.value, entry))
            candidate.entry = entry
            candidate.score += candidates[near[0]].score - candidate.score + 1.0


def _contradictions(best: Candidate, payments: Sequence[Payment]) -> Iterator[str]:
    paid = {payment.paid for payment in payments}
    paid.add(sum((payment.paid for payment in payments), Decimal(0)))
    with_change = [payment for payment in payments if payment.change is not None]
    # A total before rounding differs from the cash by less than the smallest coin.
    if with_change and all(abs(value - best.value) > _ROUNDING_MAX for value in paid):
        payment = with_change[0]
        assert payment.change is not None
        yield (
            f"The total is {best.value}, but {payment.tendered.value} paid less "
            f"{abs(payment.change.value)} change is {payment.paid}."
        )
    if best.entry is None:
        yield f"The total {best.value} is not printed; it is what was paid less the change."
    elif not best.entry.amount.exact:
        yield f"The decimal point of the total {best.value} could not be read."

"""Compute the premiums of term life insurances: a service, one record at a time.

longshore up --app examples/quotes/quotes.py
"""

from __future__ import annotations

import warnings
from typing import TypedDict

import longshore

AGE_MAX = 75
INTEREST = 0.02
LOADING = 1.25
SMOKER = 1.9
# Gompertz and Makeham: what does not depend on age, and what grows with it.
CONSTANT, LEVEL, GROWTH = 0.0002, 0.000_022, 1.105


class Quote(TypedDict):
    """What comes out of a record."""

    premium: float
    death_benefit: float
    accepted: bool


def mortality(age: int, *, smoker: bool) -> float:
    """Return the chance to die within a year."""
    chance = CONSTANT + LEVEL * GROWTH**age
    return min(chance * (SMOKER if smoker else 1.0), 1.0)


@longshore.service(
    "insurance/term-life", version="1.0.0", timeout_s=5, subservices={"price": ["premium"]}
)
def term_life(age: int, sum_insured: float, years: int = 20, *, smoker: bool = False) -> Quote:
    """Return the yearly premium of a term life insurance."""
    if not 18 <= age <= AGE_MAX or years < 1:
        raise ValueError(f"no insurance for {years} years at the age of {age}")
    if age + years > AGE_MAX:
        warnings.warn(f"shortened to end at the age of {AGE_MAX}", stacklevel=2)
        years = AGE_MAX - age
    alive, benefits, payments = 1.0, 0.0, 0.0
    for year in range(years):
        discount = (1 + INTEREST) ** -year
        payments += alive * discount
        dying = alive * mortality(age + year, smoker=smoker)
        benefits += dying * discount / (1 + INTEREST)
        alive -= dying
    premium = sum_insured * benefits / max(payments, 1.0) * LOADING
    return {
        "premium": round(premium, 2),
        "death_benefit": sum_insured,
        "accepted": premium < sum_insured / 10,
    }

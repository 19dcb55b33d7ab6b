"""Add up the sales of a day by product."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from longshore import step


@step.main
def main() -> None:
    """Put the day, and what each product has brought in."""
    extracted = step.previous["extract"]
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for sale in extracted["sales"]:
        totals[sale["product"]] += Decimal(sale["price"]) * int(sale["pieces"])
    step.put(
        {
            "day": extracted["day"],
            "totals": {product: str(total) for product, total in sorted(totals.items())},
        }
    )
    print(f"{len(totals)} products")

"""Quote a portfolio of insurances, and add up what it brings in.

longshore up --app examples/quotes/quotes.py       # in one terminal
python examples/quotes/portfolio.py                # in another
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

from longshore import Client

SERVICE = "insurance/term-life"


def policies(count: int) -> Iterator[dict[str, Any]]:
    """Make insurances; one in a thousand is for a child, which the service refuses."""
    source = random.Random(7)  # noqa: S311 - a portfolio, not a secret
    for number in range(count):
        yield {
            "age": 12 if number % 1000 == 999 else source.randrange(20, 60),
            "sum_insured": source.randrange(50, 500) * 1000,
            "smoker": source.random() < 0.2,
        }


def main(count: int) -> None:
    """Quote so many insurances."""
    total, refused = 0.0, 0
    with Client() as client, client.pipeline(SERVICE, accuracy=0.99) as pipeline:
        for quote in pipeline.map(policies(count), on_error="yield", progress=True):
            if isinstance(quote, Exception):
                refused += 1
            else:
                total += quote["premium"]
    print(f"{count - refused} quoted, {refused} refused, premiums {total:,.2f} a year")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)

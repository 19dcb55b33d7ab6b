"""Take the sales of a day out of the file of the shop."""

from __future__ import annotations

import csv
import datetime as dt
import sys
from pathlib import Path

from longshore import step

SALES = Path(__file__).with_name("sales.csv")
NEVER = 3


@step.main
def main() -> None:
    """Put the day and its sales."""
    asked = (step.event or {}).get("day")
    try:
        day = dt.date.fromisoformat(asked) if asked else step.run.date
    except ValueError:
        print(f"{asked!r} is no day")
        sys.exit(NEVER)
    with SALES.open(newline="") as file:
        sales = [sale for sale in csv.DictReader(file) if sale["day"] == day.isoformat()]
    if not sales:
        # In words on standard error, with exit status 1: the step is tried again.
        sys.exit(f"there are no sales of {day} yet")
    step.put({"day": day.isoformat(), "sales": sales})
    print(f"{len(sales)} sales of {day}")

"""Add up the sales of the region that this instance is for."""

from __future__ import annotations

import time

from longshore import step


@step.main
def main() -> None:
    """Put the sum."""
    region = step.run.matrix["region"]
    sales = step.previous["extract"]["sales"].get(region, [])
    time.sleep(0.3)
    print(f"{region}: {sum(sales)}")
    step.put({"region": region, "total": sum(sales)})

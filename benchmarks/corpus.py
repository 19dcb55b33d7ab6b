"""An archive's text lines read with OCR, and how fast the API of corpora is as it grows.

    python benchmarks/corpus.py [--quick] [--rounds N] [--data DIR] [--only receipts|rates]

First pages of labelled receipts are imported with their text lines, and read by the worker of
examples/archive in two processes. In the middle, the worker and its processes are killed with
`kill -9` and started again; then every line must have exactly one text. The character error rate
is the edit distance to the labels over their length.

Then come rates: elements made 1,000 in a call, children listed 500 in a page, and elements that a
worker claims, does nothing with, and reports; on a server with 1,000 elements and on one with
100,000. Beside each is a floor in the same program: the same rows written and read by sqlite3,
without HTTP, durable as well. Rounds are paired and figures are medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

from corpus_rates import Site, measure
from corpus_receipts import read_receipts
from peers.services import PostgreSQL
from receipts import DATA

COUNTS = (1_000, 100_000)
QUICK_COUNTS = (1_000, 20_000)
AIMS = {"bulk create": 5_000.0, "claim to processed": 1_500.0}
"""Elements per second, at least."""
SPREAD_AIM = 1.5
"""The rate at the small count over that at the large one, at most."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="8 pages, one round, 20,000 elements")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds")
    parser.add_argument("--data", type=Path, default=DATA, help="labelled receipts")
    parser.add_argument("--pages", type=int, default=40, help="receipts to read")
    parser.add_argument("--only", choices=["receipts", "rates"], default=None)
    parser.add_argument("--stores", nargs="*", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    if options.only != "rates":
        if (options.data / "images").is_dir():
            read_receipts(options.data, 8 if options.quick else options.pages)
        else:
            print(f"There are no receipts in {options.data}; give --data to read some.")
    if options.only == "receipts":
        return 0
    counts = QUICK_COUNTS if options.quick else COUNTS
    with tempfile.TemporaryDirectory() as temporary:
        for store in options.stores:
            postgres = PostgreSQL(Path(temporary, store)) if store != "SQLite" else None
            _print_rates(store, measure(postgres, counts, 1 if options.quick else options.rounds))
    return 0


def _print_rates(store: str, sites: list[Site]) -> None:
    small, large = sites
    print(f"\n{store}, elements per second")
    print(
        f"{'':20}{f'{small.count:,}':>10}{f'{large.count:,}':>10}{'spread':>8}"
        f"{'floor':>10}{'ours/floor':>12}"
    )
    for what in small.figures.ours:
        first, second = small.figures.median(what), large.figures.median(what)
        spread = statistics.median(
            one / other
            for one, other in zip(small.figures.ours[what], large.figures.ours[what], strict=True)
        )
        verdict = _verdict(what, min(first, second), spread)
        floors = large.figures.floor.get(what)
        share = ""
        if floors is not None:
            floor = statistics.median(floors)
            share = f"{floor:10,.0f}{second / floor:12.3f}"
        print(f"{what:20}{first:10,.0f}{second:10,.0f}{spread:8.2f}{share:22}  {verdict}")
    print(
        f"{large.count:,} elements made in {large.fill_s:.1f} s: "
        f"{large.count / large.fill_s:,.0f} per second (floor {large.count / large.floor.fill_s:,.0f})"
    )


def _verdict(what: str, slowest: float, spread: float) -> str:
    missed = []
    if what in AIMS and slowest < AIMS[what]:
        missed.append(f"the aim is {AIMS[what]:,.0f} per second")
    if spread > SPREAD_AIM:
        missed.append(f"the aim is a spread of {SPREAD_AIM} at most")
    return "; ".join(missed) or "as aimed at"


if __name__ == "__main__":
    raise SystemExit(main())

"""Critical-path order beside first come, first served: 200 nights of 300 steps in 12 areas.

    python benchmarks/planning.py [--graphs 200] [--workers 8]

Every night is made from its seed alone, so that the table is the same everywhere.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.simulating import Plan, Task, lower_bound, simulate

AREAS = 12
STEPS = 300
WORKERS = 8


@dataclass(frozen=True)
class Night:
    """What one night takes in seconds: in each order, and at the very least."""

    seed: int
    critical_path: float
    first_come: float
    bound: float

    @property
    def gain(self) -> float:
        return self.critical_path / self.first_come


def tasks(seed: int, steps: int = STEPS, areas: int = AREAS) -> list[Task]:
    """Return a night like that of a warehouse.

    Each area has its chain of layers: a step waits for one to three of the last steps of its area
    before it, one in ten for a step of an earlier area as well. One step in ten is long. They are
    submitted in a random order, as names come in a file that has grown over years.
    """
    chance = random.Random(seed)
    of_area: list[list[str]] = [[] for _ in range(areas)]
    made: list[Task] = []
    for number in range(steps):
        area = number % areas
        name = f"area{area}.step{number // areas}"
        recent = of_area[area][-6:]
        before = chance.sample(recent, min(len(recent), chance.choice((0, 1, 1, 1, 2, 3))))
        if area and chance.random() < 0.1:
            earlier = of_area[chance.randrange(area)]
            before += [chance.choice(earlier)] if earlier else []
        long = chance.random() < 0.1
        duration_s = chance.uniform(600, 3_600) if long else chance.expovariate(1 / 120)
        made.append(Task(name=name, host="loading", duration_s=duration_s, before=tuple(before)))
        of_area[area].append(name)
    chance.shuffle(made)
    return made


def nights(graphs: int = 200, workers: int = WORKERS) -> Iterator[Night]:
    slots = {"loading": workers}
    for seed in range(graphs):
        night = tasks(seed)
        by_path = Plan.of(night, Order())
        yield Night(
            seed=seed,
            critical_path=simulate(by_path, slots).makespan_s,
            first_come=simulate(Plan.of(night, None), slots).makespan_s,
            bound=lower_bound(by_path, slots),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 4, WORKERS, 12, 16, 24, 32])
    options = parser.parse_args()
    print(
        f"{options.graphs} graphs of {STEPS} steps in {AREAS} areas; makespans in minutes (median)"
    )
    print(
        f"{'workers':>7} {'path':>7} {'fifo':>7} {'bound':>7} {'path/fifo':>10} {'worst':>6} "
        f"{'path/bound':>11} {'worst':>6} {'worse':>6} {'took':>6}"
    )
    for workers in options.workers:
        began = time.perf_counter()
        found = list(nights(options.graphs, workers))
        took_s = time.perf_counter() - began
        gains = [night.gain for night in found]
        over = [night.critical_path / night.bound for night in found]
        print(
            f"{workers:>7} {median(night.critical_path for night in found) / 60:>7.1f} "
            f"{median(night.first_come for night in found) / 60:>7.1f} "
            f"{median(night.bound for night in found) / 60:>7.1f} {median(gains):>10.3f} "
            f"{max(gains):>6.3f} {median(over):>11.3f} {max(over):>6.3f} "
            f"{sum(gain > 1.0001 for gain in gains):>6} {took_s:>5.1f}s"
        )


if __name__ == "__main__":
    main()

"""Tasks per second through the buckets, beside eight other queues on the same machine.

    python benchmarks/buckets.py [--quick] [--rounds N] [--only NAME ...] [--peers DIRECTORY]

Each system runs the same no-op with about 500 bytes, with its best documented settings (see the
modules in benchmarks/peers). Enqueued: by one process, in bulk where there is a way. Drained: by
real workers, two processes where the system has several; the clock runs from the first task to
the last. Ours goes over HTTP and is durable: a lean client with two connections deposits,
withdraws and updates 500 at a time, and the clock runs until the last update is answered. A full
life cycle is one task enqueued and drained; its speed is the harmonic sum of the two.

Rounds are paired: in each one every system runs once, ours in between, and the ratios are ours
over theirs in the same round. The figures are medians. The environment of the peers is made in
.venv/peers at the first run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from ours import Ours
from peers import services
from peers.measuring import PEERS, Bench, Speed, System

OURS_TASKS = 30_000
SINGLE_TASKS = 8_000
CLIENTS = 16
LATENCIES = 200


@dataclass
class Row:
    """What is known of a system so far."""

    title: str
    durability: str
    speeds: list[Speed] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, under 3 minutes")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds")
    parser.add_argument("--only", nargs="*", default=None, help="modules of peers; none: only ours")
    parser.add_argument("--peers", type=Path, default=None, help="the environment of the peers")
    options = parser.parse_args()
    rounds, scale = (1, 0.25) if options.quick else (options.rounds, 1.0)
    chosen = [one for one in PEERS if options.only is None or one.module in options.only]
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = services.PostgreSQL(directory / "postgresql")
        benches = _peers(stack, chosen, directory, postgres, options.peers)
        ours = [
            stack.enter_context(closing(Ours("SQLite", None))),
            stack.enter_context(closing(Ours("PostgreSQL", postgres))),
        ]
        rows = {one.title: Row(one.title, one.durability) for one in ours}
        rows |= {one.system.title: Row(one.system.title, one.durability()) for one in benches}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            _round(rows, ours, benches, scale)
        _print_speeds(rows, [one.title for one in ours])
        _print_waits(rows)
        _print_workers(ours, scale)
    return 0


def _peers(
    stack: ExitStack,
    chosen: Sequence[System],
    directory: Path,
    postgres: services.PostgreSQL,
    environment: Path | None,
) -> list[Bench]:
    if not chosen:
        return []
    python = services.environment(environment or Path(__file__).parents[1] / ".venv" / "peers")
    redis = stack.enter_context(services.redis(directory / "redis"))
    return [
        stack.enter_context(closing(Bench(system, python, redis, postgres)))
        for system in chosen
        if redis is not None or system.store != "Redis"
    ]


def _round(
    rows: dict[str, Row], ours: Sequence[Ours], benches: Sequence[Bench], scale: float
) -> None:
    own: dict[str, float] = {}
    for one in ours:
        speed = one.speed(int(OURS_TASKS * scale))
        own[one.title] = speed.cycles
        rows[one.title].speeds.append(speed)
        rows[one.title].latencies += one.latency(int(LATENCIES * scale))
        rows[one.title].singles.append(one.single(int(SINGLE_TASKS * scale), CLIENTS))
    for bench in benches:
        row = rows[bench.system.title]
        tasks = int(bench.system.tasks * scale)
        speed = bench.speed(tasks)
        row.speeds.append(speed)
        for title, cycles in own.items():
            row.ratios.setdefault(title, []).append(cycles / speed.cycles)
        row.latencies += bench.latency(int(LATENCIES * scale))
        row.singles.append(bench.single(min(tasks, SINGLE_TASKS), CLIENTS))


def _print_speeds(rows: dict[str, Row], ours: Sequence[str]) -> None:
    print(
        "\nTasks/s, and how many times as fast ours is in full life cycles (on SQLite, PostgreSQL)"
    )
    print(
        f"{'':24}{'enqueued':>10}{'drained':>10}{'cycles':>10}{'SQLite':>9}{'PostgreSQL':>12}  durability"
    )
    for row in rows.values():
        enqueued, drained, cycles = (
            statistics.median(getattr(speed, name) for speed in row.speeds)
            for name in ("enqueued", "drained", "cycles")
        )
        ratios = [
            f"{statistics.median(row.ratios[title]):.2f}" if title in row.ratios else ""
            for title in ours
        ]
        print(
            f"{row.title:24}{enqueued:>10,.0f}{drained:>10,.0f}{cycles:>10,.0f}"
            f"{ratios[0]:>9}{ratios[1]:>12}  {row.durability}"
        )


def _print_waits(rows: dict[str, Row]) -> None:
    print(f"\nAn idle worker starts a task after (ms), and single enqueues/s by {CLIENTS} clients")
    print(f"{'':24}{'p50':>10}{'p99':>10}{'single/s':>10}")
    for row in rows.values():
        cuts = statistics.quantiles(row.latencies, n=100)
        single = statistics.median(row.singles)
        print(f"{row.title:24}{cuts[49]:>10.2f}{cuts[98]:>10.2f}{single:>10,.0f}")


def _print_workers(ours: Sequence[Ours], scale: float) -> None:
    print("\n`longshore worker --slots 2` with the no-op as a function")
    print(f"{'':24}{'threads/s':>10}{'processes/s':>13}{'p50':>10}{'p99':>10}")
    for one in ours:
        threads = one.worker_speed(int(8_000 * scale), executor="thread")
        processes = one.worker_speed(int(8_000 * scale), executor="process")
        cuts = statistics.quantiles(one.worker_latency(int(LATENCIES * scale)), n=100)
        print(
            f"{one.title:24}{threads:>10,.0f}{processes:>13,.0f}{cuts[49]:>10.2f}{cuts[98]:>10.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())

"""A million records through a pipeline, beside a process pool, Dask and Ray on the same machine.

    python benchmarks/pipelines.py [--quick] [--rounds N] [--only NAME ...] [--peers DIRECTORY]

Each system runs the same function over records {"value": n} in chunks of 1,000 with two worker
processes (see benchmarks/peers/records), and gives a list of dicts. Ours goes through the SDK
over HTTP to a server and a `longshore worker` that are processes of their own, and everything is
acknowledged on disk; none of the others is durable. The clock runs from the first record made to
the last output in hand; all outputs are then checked: each record exactly once.

Rounds are paired: in each one every system runs once, and the ratios are ours over theirs in the
same round. The figures are medians. Peers that are slow run a part of the records, since their
speed is the same. Then come records that keep a processor busy for a millisecond each, beside two
bare processes that share them (the ideal), and how long one record takes by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from peers import services
from peers.records import functions
from records_ours import Mapped, Ours

HERE = Path(__file__).parent
RECORDS = 1_000_000
QUICK_RECORDS = 200_000
BUSY_RECORDS = 10_000
BUSY_S = 0.001
EXECUTIONS = 500
WHO = ("client", "server", "worker", "slots", "database")


@dataclass(frozen=True)
class Peer:
    """A peer of `python -m peers.records`; `share` is the part of the records that it runs."""

    name: str
    title: str
    share: float = 1.0


PEERS = (
    Peer("pool", "ProcessPoolExecutor.map"),
    Peer("ray", "Ray, remote over chunks"),
    Peer("dask", "Dask client.map, JSON bytes"),
    Peer("dask-plain", "Dask client.map, dicts", 0.2),
    Peer("dask-bag", "dask.bag", 0.1),
)
AIMS = {"dask": 1.0, "ray": 0.6}
"""Ours over theirs, at least."""
CPU_AIM_US = 4.0
PEAK_AIM_BYTES = 300_000_000
BUSY_AIM = 0.95


@dataclass
class Row:
    """What is known of a system so far: records per second, and ours over it by store."""

    title: str
    speeds: list[float] = field(default_factory=list)
    ratios: dict[str, list[float]] = field(default_factory=dict)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round, under 3 minutes")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds")
    parser.add_argument("--only", nargs="*", default=None, help="names of peers; none: only ours")
    parser.add_argument("--stores", nargs="*", default=["SQLite", "PostgreSQL"], help="for ours")
    parser.add_argument("--peers", type=Path, default=None, help="the environment of the peers")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    scale = QUICK_RECORDS / RECORDS if options.quick else 1.0
    chosen = [one for one in PEERS if options.only is None or one.name in options.only]
    directory = (options.peers or HERE.parent / ".venv" / "peers-records").resolve()
    python = services.environment(directory, services.RECORDS_REQUIREMENTS)
    count = int(RECORDS * scale)
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = services.PostgreSQL(temporary / "postgresql")
        ours = [
            stack.enter_context(closing(Ours(store, postgres if store != "SQLite" else None)))
            for store in options.stores
        ]
        _compare(python, ours, chosen, count, rounds)
        _print_peaks(ours)
        _compare_busy(python, ours, int(BUSY_RECORDS * scale), rounds)
        _print_latencies(ours, EXECUTIONS if not options.quick else EXECUTIONS // 2)
    return 0


def run_peer(python: Path, name: str, count: int, loops: int = 0) -> float:
    """Return the seconds that a peer takes, in processes of its own."""
    done = subprocess.run(
        [python, "-m", "peers.records", name, str(count), str(loops)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def _compare(
    python: Path, ours: Sequence[Ours], peers: Sequence[Peer], count: int, rounds: int
) -> None:
    own = {one.title: Row(one.title) for one in ours}
    unordered = {one.title: Row(f"{one.title}, as completed") for one in ours}
    theirs = {one.name: Row(one.title) for one in peers}
    taken: dict[str, list[Mapped]] = {one.title: [] for one in ours}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for one in ours:
            mapped = one.map(count)
            taken[one.title].append(mapped)
            own[one.title].speeds.append(count / mapped.seconds)
            seconds = one.map(count, ordered=False).seconds
            unordered[one.title].speeds.append(count / seconds)
        for peer in peers:
            part = int(count * peer.share)
            speed = part / run_peer(python, peer.name, part)
            theirs[peer.name].speeds.append(speed)
            for title, row in own.items():
                theirs[peer.name].ratios.setdefault(title, []).append(row.speeds[-1] / speed)
    _print_speeds(count, rounds, list(own), [*own.values(), *unordered.values()], theirs)
    _print_cpu(count, taken)


def _print_speeds(
    count: int, rounds: int, stores: Sequence[str], ours: Sequence[Row], peers: dict[str, Row]
) -> None:
    heads = "".join(f"{title.partition(', ')[2]:>12}" for title in stores)
    print(f"\n{count:,} records: records/s, and ours over theirs; medians of {rounds} rounds")
    print(f"{'':36}{'records/s':>12}{heads}")
    for row in ours:
        print(f"{row.title:36}{statistics.median(row.speeds):>12,.0f}")
    for name, row in peers.items():
        ratios = "".join(f"{statistics.median(each):>12.2f}" for each in row.ratios.values())
        aim = f"  aim: at least {AIMS[name]:.1f}" if name in AIMS else ""
        print(f"{row.title:36}{statistics.median(row.speeds):>12,.0f}{ratios}{aim}")


def _print_cpu(count: int, taken: dict[str, list[Mapped]]) -> None:
    print(f"\nProcessor microseconds a record; aim: {CPU_AIM_US:.0f} in all")
    print(f"{'':36}{'all':>10}" + "".join(f"{who:>10}" for who in WHO))
    for title, runs in taken.items():
        parts = [
            statistics.median(run.cpu_s.get(who, 0.0) for run in runs) / count * 1e6 for who in WHO
        ]
        print(f"{title:36}{sum(parts):>10.2f}" + "".join(f"{part:>10.2f}" for part in parts))


def _print_peaks(ours: Sequence[Ours]) -> None:
    print(f"\nPeak memory of the server process, MB; aim: under {PEAK_AIM_BYTES / 1e6:.0f}")
    for one in ours:
        print(f"{one.title:36}{one.peak_bytes() / 1e6:>12.0f}")


def _compare_busy(python: Path, ours: Sequence[Ours], count: int, rounds: int) -> None:
    """Compare records that need a processor; the ideal is measured right before and after ours."""
    loops = functions.busy_loops(BUSY_S)
    shares: dict[str, list[float]] = {one.title: [] for one in ours}
    pool: list[float] = []
    ideals: list[float] = []
    for _ in range(rounds):
        before = run_peer(python, "ideal", count, loops)
        seconds = {one.title: one.map(count, loops=loops).seconds for one in ours}
        pool_s = run_peer(python, "pool", count, loops)
        ideal = (before + run_peer(python, "ideal", count, loops)) / 2
        ideals.append(ideal)
        pool.append(ideal / pool_s)
        for title, taken in seconds.items():
            shares[title].append(ideal / taken)
    record_ms = statistics.median(ideals) * 2 / count * 1000
    print(
        f"\n{count:,} records of {record_ms:.2f} ms of processor each, in chunks of 50: share of "
        f"the ideal on two processors"
    )
    print(f"{'ProcessPoolExecutor.map':36}{statistics.median(pool):>12.3f}")
    for title, values in shares.items():
        print(f"{title:36}{statistics.median(values):>12.3f}  aim: {BUSY_AIM}")


def _print_latencies(ours: Sequence[Ours], count: int) -> None:
    print("\nSynchronous execution of one record, ms")
    print(f"{'':36}{'p50':>12}{'p99':>12}")
    for one in ours:
        cuts = statistics.quantiles(one.execute(count), n=100)
        print(f"{one.title:36}{cuts[49]:>12.2f}{cuts[98]:>12.2f}")


if __name__ == "__main__":
    sys.exit(main())

"""Server time of each page of the dashboard with a million works, on SQLite and on PostgreSQL.

    python benchmarks/dashboard.py [--works N] [--store NAME ...] [--requests N] [--quick]
                                   [--keep DIRECTORY] [--without-price]

A real server is filled by `longshore demo all`; what that leaves is multiplied (dashboard_history).
Then a person signs in and asks for each page of the menu, for details of some things of each kind,
and for filtered and further pages of the long lists. The server's own time of each request is in
its access log. The aim: p95 below 100 ms for each.

The price of keeping count: how long the census and the roll-up take at that size, and how many
works a second buckets pass through (withdraw and update) with the count and without it, in paired
rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from dashboard_history import multiply
from dashboard_pages import addresses
from peers.services import PostgreSQL, free_port
from peers.tally import VARIABLE, Tally
from sqlalchemy import Connection, delete

from longshore.engine import activity_census, activity_counting, activity_rolling
from longshore.engine.activity_tables import buckets, progress, queue_counts
from longshore.storage import Database, open_database

HERE: Final = Path(__file__).parent
AIM_MS: Final = 100.0
READY_S: Final = 120.0
LIVING_S: Final = 300.0
BULK: Final = 500
UNCOUNTED: Final = (
    "import longshore.server.activity as a\n"
    "async def nothing(self): return False\n"
    "a.ActivityPass.step = nothing\n"
    "from longshore.cli.main import main\n"
    "main()\n"
)
"""A server that does not keep count, to see what that costs."""


@dataclass
class Timed:
    """What one page took, in milliseconds of the server."""

    path: str
    status: int = 0
    size_bytes: int = 0
    ms: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(self.ms)

    @property
    def p95(self) -> float:
        return sorted(self.ms)[max(round(0.95 * len(self.ms)) - 1, 0)]


class Server:
    """A server over a data directory that stays, whose access log is read."""

    def __init__(self, data: Path, database: str | None, *, counts: bool = True) -> None:
        self.data = data
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = ["-m", "longshore"] if counts else ["-c", UNCOUNTED]
        command = [sys.executable, *program, "up", "--no-worker"]
        command += ["--data", str(data), "--port", str(port)]
        if database is not None:
            command += ["--database", database]
        self.log = data.parent / f"server-{port}.log"
        self._file = self.log.open("wb")
        self._process = subprocess.Popen(
            command, stdout=self._file, stderr=subprocess.STDOUT, cwd=data.parent,
            start_new_session=True,
        )  # fmt: skip
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise

    @property
    def key(self) -> str:
        return str(json.loads((self.data / "credentials.json").read_text())["key"])

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._file.close()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(self.log.read_text()[-2_000:]) from None
                time.sleep(0.1)
            else:
                return


def fill(data: Path, database: str | None) -> None:
    """Let the demonstration fill a new server with living data, and end both."""
    with contextlib.closing(Server(data, database)) as server:
        variables = {**os.environ, "LONGSHORE_KEY": server.key, "LONGSHORE_URL": server.url}
        command = [sys.executable, "-u", "-m", "longshore", "demo", "all", "--server", server.url]
        log = data.parent / "demo.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=variables, cwd=data.parent,
                start_new_session=True,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + LIVING_S
            while "new work comes" not in log.read_text():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"the demonstration did not get there:\n{log.read_text()}")
                time.sleep(0.2)
            time.sleep(10)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def count_up(database: Database) -> tuple[int, int, float]:
    """Count all events, as a server does after a pause; return looks, events and seconds."""
    begun = time.perf_counter()
    known: dict[int, int] = {}
    events = looks = 0
    more = True
    while more:
        found = database.read_blocking(activity_counting.look, known)
        database.write_blocking(activity_counting.keep, found, took_us=0)
        behind = database.write_blocking(activity_rolling.compact)
        known = dict(found.events)
        events += sum(many for begin, many in known.items() if begin < found.until_us)
        looks += 1
        more = found.more or behind
    census = database.read_blocking(activity_census.take)
    database.write_blocking(activity_census.keep, census, took_us=0)
    while database.write_blocking(activity_rolling.forget):
        pass
    return looks, events, time.perf_counter() - begun


def _forget_counts(connection: Connection) -> None:
    for table in (buckets, progress, queue_counts):
        connection.execute(delete(table))


def time_pages(server: Server, paths: Sequence[str], requests: int) -> list[Timed]:
    """Ask for each page and read from the access log how long the server took."""
    found = []
    with httpx.Client(base_url=server.url, timeout=120) as client:
        answer = client.post("/ui/sign-in", data={"secret": server.key, "next": "/"})
        assert answer.status_code == 303, answer.text
        for path in paths:
            timed = Timed(path)
            ids = []
            for number in range(requests + 2):
                answer = client.get(path)
                timed.status, timed.size_bytes = answer.status_code, len(answer.content)
                if number >= 2:
                    ids.append(answer.headers["x-request-id"])
                if answer.status_code != 200:
                    break
            found.append((timed, ids))
    logged = _logged(server.log)
    for timed, ids in found:
        timed.ms = [logged[request_id] for request_id in ids if request_id in logged]
    return [timed for timed, _ in found]


def _logged(path: Path) -> dict[str, float]:
    found = {}
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("{") and '"event": "request"' in line:
            entry = json.loads(line)
            found[entry["request_id"]] = float(entry["ms"])
    return found


def report(store: str, works: int, pages: list[Timed]) -> bool:
    """Print what pages took; return whether all reached the aim."""
    print(f"\n{store}, {works:,} works: milliseconds of server time (aim: p95 < {AIM_MS:.0f})")
    print(f"{'least':>8}{'p50':>8}{'p95':>8}{'kB':>7}  page")
    met = True
    for timed in sorted(pages, key=lambda one: -one.p95 if one.ms else 0.0):
        if not timed.ms:
            print(f"{'-':>8}{'-':>8}{'-':>8}{'-':>7}  {timed.path}  (answers {timed.status})")
            met = met and timed.status == 404
            continue
        late = "  <- over the aim" if timed.p95 >= AIM_MS else ""
        met = met and not late
        size = timed.size_bytes / 1_000
        least = min(timed.ms)
        print(f"{least:8.1f}{timed.p50:8.1f}{timed.p95:8.1f}{size:7.0f}  {timed.path[:90]}{late}")
    return met


def price(store: str, database: Database, data: Path, url: str | None, rounds: int) -> None:
    """Print what keeping count costs."""
    census, census_s = _timed(database, activity_census.take)
    look, look_s = _timed(database, activity_counting.look, {})
    events = sum(look.events.values())
    many = sum(sum(entry.by_state.values()) for entry in census.queues.values())
    print(f"\n{store}: the price of keeping count")
    print(f"  census of {many:,} works in {len(census.queues)} queues: {census_s * 1000:.0f} ms")
    print(f"  roll-up of {events:,} events: {look_s * 1000:.0f} ms")
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds):
        for counts in (True, False) if number % 2 else (False, True):
            with contextlib.closing(Server(data, url, counts=counts)) as server:
                speeds[counts].append(_drain(server))
    ratios = [on / off for on, off in zip(speeds[True], speeds[False], strict=True)]
    print(
        f"  withdraw and update of buckets: {statistics.median(speeds[True]):,.0f} works/s with it, "
        f"{statistics.median(speeds[False]):,.0f} without; {rounds} paired rounds, median ratio "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    )


def _timed(database: Database, service: Any, *arguments: Any) -> tuple[Any, float]:
    database.read_blocking(service, *arguments)
    begun = time.perf_counter()
    found = database.read_blocking(service, *arguments)
    return found, time.perf_counter() - begun


def _drain(server: Server, count: int = 30_000) -> float:
    """Return how many works a second two connections withdraw and update."""
    seconds = 0.0
    tally = server.data.parent / "tally"
    Tally(tally)
    for action in ("enqueue", "drain"):
        command = [sys.executable, str(HERE / "lean.py"), server.url, server.key, action]
        done = subprocess.run(
            [*command, str(count), str(BULK), "2"],
            env={**os.environ, VARIABLE: str(tally)},
            stdout=subprocess.PIPE,
            check=True,
        )
        seconds = float(json.loads(done.stdout))
    return count / seconds


@contextlib.contextmanager
def place(keep: Path | None) -> Iterator[Path]:
    """Give a directory: one that stays, or one that goes away again."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    directory = Path(tempfile.mkdtemp(prefix="longshore-bench-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def measure(store: str, directory: Path, options: argparse.Namespace) -> bool:
    """Fill a store, time its pages, and print; return whether the aim was reached."""
    data = directory / store.lower()
    url = PostgreSQL(directory / "pg").fresh() if store == "PostgreSQL" else None
    address = url or f"sqlite:///{data / 'longshore.db'}"
    data.mkdir(exist_ok=True)
    if not (data / "filled").exists():
        begun = time.monotonic()
        if not (data / "living").exists():
            fill(data, url)
            (data / "living").touch()
        with contextlib.closing(open_database(address)) as database:
            counts = multiply(database, address, options.works)
            database.write_blocking(_forget_counts)
            looks, events, seconds = count_up(database)
        (data / "filled").touch()
        rows = ", ".join(f"{many:,} {name}" for name, many in sorted(counts.items()))
        print(f"{store}: filled in {time.monotonic() - begun:.0f} s: {rows}")
        print(
            f"{store}: {events:,} events of 30 days counted in {seconds:.0f} s, {looks} looks",
            flush=True,
        )
    with contextlib.closing(open_database(address)) as database:
        paths = database.read_blocking(addresses)
    with contextlib.closing(Server(data, url)) as server:
        met = report(store, options.works, time_pages(server, paths, options.requests))
    if not options.without_price:
        with contextlib.closing(open_database(address)) as database:
            price(store, database, data, url, options.rounds)
    return met


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--works", type=int, default=1_000_000, help="so many works")
    parser.add_argument("--requests", type=int, default=40, help="requests for each page")
    parser.add_argument("--rounds", type=int, default=3, help="paired rounds of the price")
    parser.add_argument("--store", nargs="*", default=["SQLite", "PostgreSQL"])
    parser.add_argument("--quick", action="store_true", help="100,000 works, fewer requests")
    parser.add_argument("--keep", type=Path, default=None, help="directory that is kept, and used")
    parser.add_argument("--without-price", action="store_true", help="pages only")
    options = parser.parse_args()
    if options.quick:
        options.works, options.requests, options.rounds = 100_000, 15, 2
    # A shell may start it with Ctrl-C ignored, which the demonstration would inherit, and not end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    met = True
    for store in options.store:
        with place(options.keep) as directory:
            met = measure(store, directory, options) and met
    print("\nEach page reached the aim." if met else "\nNot every page reached the aim.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

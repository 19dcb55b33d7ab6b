"""How soon the first line of a step runs after its event, and how many small steps a slot takes.

    python benchmarks/scripts.py [--quick] [--events 200] [--steps 600] [--stores SQLite PostgreSQL]

An idle worker of one host waits. Each event that is accepted (its answer has arrived) starts a run
of one step, a Python file whose first line takes the time. After each event the same file is
started by this program with the same interpreter, so that both are measured under the same load;
the ratio and the difference of their medians are what Longshore adds: claim, access code, working
directory, process group, limits.

Then one run of many independent steps, which do nothing, goes through one slot and through two;
the rate is that of the run, from its event to its end. Beside it the same files run one after the
other by this program.
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
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from peers.services import PostgreSQL
from server import Server

HOST = "bench"
FIRST = """\
import time; now = time.monotonic()
import os
log = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
os.write(log, f"{os.environ['BENCH_WHO']} {now!r}\\n".encode())
"""
NOTHING = "import time; now = time.monotonic()\n"
AIM_PER_MINUTE = 1_000
WAIT_S = 120.0
PAUSE_S = 0.05
"""Between two measurements, so that the worker waits again."""


@dataclass
class Site:
    """A server, its client, and a directory of scripts."""

    server: Server
    http: httpx.Client
    directory: Path
    _at: int = field(default=0)

    @property
    def log(self) -> Path:
        return self.directory / "first.log"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/coreauto/v1{path}", json=body)
        answer.raise_for_status()
        return answer.json()

    def apply(self, name: str, steps: dict[str, Any]) -> None:
        definition = {
            "workflow": name,
            "triggers": {"events": [{"name": name, "parallel": 100}]},
            "steps": steps,
        }
        self.ask("POST", "/workflows", {"text": json.dumps(definition)})

    def event(self, name: str) -> int:
        return int(self.ask("POST", "/rtevent", {"eventName": name, "payload": None})["actionId"])

    def over(self, run_id: int, *, pause_s: float = 0.1) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.ask("GET", f"/runs/{run_id}")
            return found if found["state"] in ("finished", "failed", "cancelled") else None

        # To look at a run of many steps is work for the server, so it is not done too often.
        found = awaited(look, f"run {run_id} is over", pause_s=pause_s)
        if found["state"] != "finished":
            raise RuntimeError(f"run {run_id}: {found['why']}")
        return found

    def first_line_s(self, who: str) -> float:
        """Return when the first line of a process ran, by the clock of this machine."""

        def look() -> float | None:
            with self.log.open() as file:
                file.seek(self._at)
                text = file.read()
            lines = text.splitlines(keepends=True)
            if not lines or not lines[0].endswith("\n"):
                return None
            self._at += len(lines[0])
            told, at = lines[0].split()
            if told != who:
                raise RuntimeError(f"{told} wrote where {who} was expected")
            return float(at)

        return awaited(look, f"{who} has begun", pause_s=0.002)


def awaited(look: Callable[[], Any], what: str, *, pause_s: float = 0.1) -> Any:
    """Return the first value that there is."""
    deadline = time.monotonic() + WAIT_S
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WAIT_S:.0f} s: {what}")
        time.sleep(pause_s)
    return found


@contextmanager
def site(postgres: PostgreSQL | None) -> Iterator[Site]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        (directory / "first.py").write_text(FIRST)
        (directory / "nothing.py").write_text(NOTHING)
        (directory / "first.log").touch()
        server = stack.enter_context(closing(Server(postgres, {})))
        headers = {"Authorization": f"Bearer {server.key}"}
        client = httpx.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False)
        made = Site(server, stack.enter_context(closing(client)), directory)
        made.ask("PUT", f"/hosts/{HOST}", {})
        yield made


@contextmanager
def worker(made: Site, slots: int) -> Iterator[None]:
    arguments = ["--host", HOST, "--scripts", str(made.directory), "--slots", str(slots)]
    with made.server.worker(*arguments, "--name", f"slots{slots}"):
        awaited(
            lambda: made.ask("GET", f"/hosts/{HOST}")["slots"] == slots or None, "the worker is up"
        )
        yield


def latency(made: Site, events: int) -> tuple[list[float], list[float]]:
    """Return milliseconds from events to first lines, and from bare starts to first lines."""
    step = {"script": "first.py", "host": HOST}
    step |= {"environment": {"BENCH_LOG": str(made.log), "BENCH_WHO": "step"}}
    made.apply("first", {"only": step})
    bare_environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(made.directory),
        "BENCH_LOG": str(made.log),
        "BENCH_WHO": "bare",
    }
    ours: list[float] = []
    bare: list[float] = []
    with worker(made, 1):
        for number in range(events + 3):
            run_id = made.event("first")
            accepted_s = time.monotonic()
            ours.append((made.first_line_s("step") - accepted_s) * 1_000)
            made.over(run_id)
            time.sleep(PAUSE_S)
            begun_s = time.monotonic()
            subprocess.run(
                [sys.executable, str(made.directory / "first.py")],
                check=True,
                cwd=made.directory,
                env=bare_environment,
            )
            bare.append((made.first_line_s("bare") - begun_s) * 1_000)
            time.sleep(PAUSE_S)
            if number == 2:
                # The first ones load what is kept afterwards.
                ours.clear()
                bare.clear()
    return ours, bare


def rate(made: Site, slots: int, steps: int) -> float:
    """Return steps per minute and slot of one run of steps that do nothing."""
    name = f"many{slots}"
    made.apply(name, {f"s{each}": {"script": "nothing.py", "host": HOST} for each in range(steps)})
    with worker(made, slots):
        begun_s = time.monotonic()
        made.over(made.event(name), pause_s=0.5)
        return steps / (time.monotonic() - begun_s) * 60 / slots


def bare_rate(made: Site, steps: int) -> float:
    """Return how many of the same processes this program starts and awaits in a minute."""
    begun_s = time.monotonic()
    for _ in range(steps):
        subprocess.run([sys.executable, str(made.directory / "nothing.py")], check=True)
    return steps / (time.monotonic() - begun_s) * 60


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def report(store: str, events: int, steps: int, postgres: PostgreSQL | None) -> None:
    with site(postgres) as made:
        ours, bare = latency(made, events)
        print(f"\n{store}: event accepted to the first line of the step, {events} events, ms")
        print(f"{'':12}{'p50':>9}{'p99':>9}")
        for what, values in (("step", ours), ("bare start", bare)):
            print(f"{what:12}{percentile(values, 50):9.1f}{percentile(values, 99):9.1f}")
        middle, floor = statistics.median(ours), statistics.median(bare)
        pairs = statistics.median(one - other for one, other in zip(ours, bare, strict=True))
        print(f"ratio of medians {middle / floor:.2f}; median of the differences {pairs:.1f} ms")
        floor_rate = bare_rate(made, min(steps, 200))
        print(f"{store}: small steps per minute and slot (aim {AIM_PER_MINUTE:,})")
        for slots in (1, 2):
            reached = rate(made, slots, steps)
            verdict = "as aimed at" if reached >= AIM_PER_MINUTE else "MISSED"
            print(
                f"{slots} slot{'s' * (slots > 1):1}{reached:13,.0f}   {reached / floor_rate:.2f} of "
                f"bare processes, {floor_rate:,.0f}   {verdict}"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="30 events, 100 steps")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--steps", type=int, default=600, help="of the run of small steps")
    parser.add_argument("--stores", nargs="*", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    events, steps = (30, 100) if options.quick else (options.events, options.steps)
    with tempfile.TemporaryDirectory() as temporary:
        for store in options.stores:
            postgres = PostgreSQL(Path(temporary, store)) if store != "SQLite" else None
            report(store, events, steps, postgres)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A real run beside what the simulator said of it: a server, and a worker of one host.

    python benchmarks/scripts_forecast.py [--slots 2] [--steps 36] [--rounds 3]

The steps sleep for known times, 12 seconds or so in all. Before the first round the simulator only
knows these times; afterwards it has the history of the rounds before, with what it takes to start
a process. Within each round the run is also forecast while it runs, after a third and two thirds.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from server import Server

HOST = "loading"
AIM = 0.10
ROUND_S = 120.0


def definition(steps: int, seed: int = 6) -> dict[str, Any]:
    """Return a workflow of sleeping commands in four areas; every third waits for others."""
    chance = random.Random(seed)
    made: dict[str, Any] = {}
    for number in range(steps):
        seconds = round(chance.choice((0.2, 0.3, 0.4, 0.6, 0.9, 1.6)), 2)
        recent = list(made)[-8:]
        made[f"step{number}"] = {
            "host": HOST,
            "area": f"area{number % 4}",
            "command": ["sleep", str(seconds)],
            "expected_s": seconds,
            "depends_on": chance.sample(recent, min(len(recent), chance.choice((0, 1, 2)))),
        }
    return {"workflow": "night", "steps": made}


class Client:
    """The calls that are needed."""

    def __init__(self, server: Server) -> None:
        self._http = httpx.Client(
            base_url=f"{server.url}/coreauto/v1",
            headers={"Authorization": f"Bearer {server.key}"},
            timeout=30,
        )

    def close(self) -> None:
        self._http.close()

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def round_of(call: Client, slots: int) -> tuple[float, float, list[float]]:
    """Run once; return seconds simulated, seconds taken, and the same said while it ran."""
    told = call("POST", "/workflows/night/simulate", {"throttles": [slots]})
    simulated_s = told["trials"][0]["makespan_s"]
    run_id = call("POST", "/workflows/night/runs", {})["id"]
    looks: list[float] = []
    deadline = time.monotonic() + ROUND_S
    while True:
        found = call("GET", f"/runs/{run_id}/forecast")
        if found["state"] != "running":
            break
        wanted = (len(looks) + 1) * simulated_s / 3
        if len(looks) < 2 and found["elapsed_s"] >= wanted and found["remaining_s"] is not None:
            looks.append(found["elapsed_s"] + found["remaining_s"])
        if time.monotonic() > deadline:
            raise TimeoutError(f"run {run_id} is not over after {ROUND_S:.0f} s: {found['hosts']}")
        time.sleep(0.1)
    run = call("GET", f"/runs/{run_id}")
    if run["state"] != "finished":
        raise RuntimeError(f"the run has {run['state']}: {run['why']}")
    return simulated_s, seconds_between(run["started"], run["finished"]), looks


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--steps", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        scripts = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(closing(Server(None, {})))
        call = stack.enter_context(closing(Client(server)))
        call("PUT", f"/hosts/{HOST}", {})

        call("POST", "/workflows", {"text": json.dumps(definition(options.steps))})
        stack.enter_context(
            server.worker("--host", HOST, "--scripts", str(scripts), "--slots", str(options.slots))
        )
        _await_worker(call, options.slots)
        print(f"{options.steps} steps on {options.slots} slots, {sys.platform}")
        print(f"{'round':>5} {'simulated':>10} {'took':>7} {'off by':>7}   while it ran")
        worst = 0.0
        for number in range(options.rounds):
            simulated_s, took_s, looks = round_of(call, options.slots)
            off = took_s / simulated_s - 1
            worst = max(worst, abs(off))
            live = ", ".join(f"{100 * (took_s / look - 1):+.1f} %" for look in looks)
            print(
                f"{number + 1:>5} {simulated_s:>8.2f} s {took_s:>5.2f} s {100 * off:>+5.1f} %   {live}"
            )
    print(
        f"worst {100 * worst:.1f} %, aim {100 * AIM:.0f} %: {'good' if worst <= AIM else 'MISSED'}"
    )
    return 0 if worst <= AIM else 1


def _await_worker(call: Client, slots: int) -> None:
    deadline = time.monotonic() + ROUND_S
    while True:
        told = call("POST", "/workflows/night/simulate", {"throttles": [slots]})
        hosts = call("GET", "/hosts")
        if told["trials"] and any(each.get("workers") for each in _rows(hosts)):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"no worker serves host {HOST}: {hosts}")
        time.sleep(0.1)


def _rows(found: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = found if isinstance(found, list) else found["hosts"]
    return rows


if __name__ == "__main__":
    raise SystemExit(main())

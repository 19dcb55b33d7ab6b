"""A user's program over a pipeline: `python records_client.py URL KEY ACTION ...`, for pipelines.py.

    map COUNT ORDERED LOOPS    outputs as a list of dicts, each checked; the figure is seconds
    execute COUNT              one record a call, one after the other; the figures are milliseconds

It prints "ready" when all is warm, waits for a line, and prints what it measured as JSON:
{"figures": [...], "cpu_s": processor time of this process}.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial

from peers.records import functions

from longshore import Client

WARM_RECORDS = 20_000
WARM_BUSY_RECORDS = 200
CHUNK = 1_000
BUSY_CHUNK = 50
WARM_EXECUTIONS = 20
READY_S = 60.0

Measured = tuple[list[float], float]
"""Figures, and processor seconds of this process."""


def map_records(client: Client, count: int, *, ordered: bool, loops: int) -> Measured:
    """Run so many records through a pipeline of their own."""
    source = functions.records(count)
    given = ({**record, "loops": loops} for record in source) if loops else source
    begun, cpu_begun = time.perf_counter(), time.process_time()
    with client.pipeline("bench/busy" if loops else "bench/double") as pipeline:
        size = BUSY_CHUNK if loops else CHUNK
        outputs = list(pipeline.map(given, ordered=ordered, chunk_size=size))
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_begun
    functions.check(outputs, count, ordered=ordered)
    return [seconds], cpu_s


def execute(client: Client, count: int) -> Measured:
    """Run so many records one by one, each in a request of its own."""
    taken, cpu_begun = [], time.process_time()
    for number in range(count):
        begun = time.perf_counter()
        outputs = client.services.execute("bench/double", {"value": number})
        taken.append((time.perf_counter() - begun) * 1000)
        assert outputs == {"value": number * 2 + 1}, outputs
    return taken, time.process_time() - cpu_begun


def await_worker(client: Client) -> None:
    """Return once a live worker serves the services."""
    deadline = time.monotonic() + READY_S
    while not any(version.workers for each in client.services.list() for version in each.versions):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no worker has come within {READY_S:.0f} s")
        time.sleep(0.05)


def main() -> None:
    url, key, action, *rest = sys.argv[1:]
    numbers = [int(number) for number in rest]
    with Client(url, key) as client:
        run: Callable[[int], Measured]
        if action == "execute":
            count, warm = numbers[0], WARM_EXECUTIONS
            run = partial(execute, client)
        else:
            count, ordered, loops = numbers
            warm = WARM_BUSY_RECORDS if loops else WARM_RECORDS
            run = partial(map_records, client, ordered=bool(ordered), loops=loops)
        await_worker(client)
        run(warm)
        print("ready", flush=True)
        sys.stdin.readline()
        figures, cpu_s = run(count)
    print(json.dumps({"figures": figures, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()

"""Pipelines of records: done, partly pulled, with failed records, slow, and cancelled."""

from __future__ import annotations

import random
from typing import Any

from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import DEMO_SERVICE, DEMO_SERVICE_SLOW, DEMO_SERVICES, DEMO_TAG
from longshore.sdk import create_chunks

_CHUNK = 50
_SLOW_CHUNKS = 60


def records(count: int, *, seed: int = 0, children: bool = False) -> list[dict[str, Any]]:
    """Make records; one of ten is of a child, which the service refuses, where that is wanted."""
    source = random.Random(seed)  # noqa: S311 - varied, not secret
    return [
        {
            "age": 12 if children and number % 10 == 9 else source.randrange(20, 80),
            "sum_insured": source.randrange(50, 500) * 1000,
        }
        for number in range(count)
    ]


def fill(reach: Reach, made: Made, *, long_s: float) -> None:
    """Make the pipelines; the services must be offered by a worker."""
    client = reach.client.pipelines
    done = client.create(f"{DEMO_SERVICE}[1.0]", source_system=DEMO_TAG, correlation_id="demo-done")
    done.push(chunks=create_chunks(records(400), _CHUNK))
    done.dispose()
    made.pipelines["done"] = done.id

    buffered = client.create(DEMO_SERVICE, source_system=DEMO_TAG, correlation_id="demo-buffered")
    buffered.push(chunks=create_chunks(records(600, seed=1), _CHUNK))
    made.pipelines["buffered"] = buffered.id

    refused = client.create(DEMO_SERVICE, source_system=DEMO_TAG, correlation_id="demo-refused")
    refused.push(chunks=create_chunks(records(200, seed=2, children=True), _CHUNK))
    refused.dispose()
    made.pipelines["refused"] = refused.id

    slow = client.create(DEMO_SERVICE_SLOW, source_system=DEMO_TAG, max_runners=2)
    pause = {"pause_s": long_s / _SLOW_CHUNKS / 3}
    slow.push(chunks=create_chunks(records(_SLOW_CHUNKS * 5, seed=3), 5, parameters=pause))
    made.pipelines["slow"] = slow.id

    cancelled = client.create(DEMO_SERVICE_SLOW, source_system=DEMO_TAG)
    cancelled.push(chunks=create_chunks(records(50, seed=4), 10))
    cancelled.cancel()
    made.pipelines["cancelled"] = cancelled.id

    _pull_all(reach, done)
    first = buffered.pull(4, wait_s=10.0)
    if first:
        buffered.confirm()


def _pull_all(reach: Reach, pipeline: Any) -> None:
    def look() -> bool:
        pipeline.pull(wait_s=2.0)
        pipeline.confirm()
        return bool(pipeline.get_status().batch_status == "completed")

    reach.until(look, f"pipeline {pipeline.id} is pulled empty", timeout_s=180.0)


def wait_until_offered(reach: Reach, *, timeout_s: float) -> None:
    """Wait until the services are in the catalogue."""
    wanted = set(DEMO_SERVICES)

    def look() -> bool:
        return wanted <= {each.name for each in reach.client.services.list()}

    reach.until(look, "a worker offers the services of the demo", timeout_s=timeout_s)

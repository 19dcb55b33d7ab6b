"""Works in buckets: done, failed, to be tried again, running, held, waiting, withdrawn, cancelled."""

from __future__ import annotations

from typing import Any

from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import (
    DEMO_BUCKET,
    DEMO_BUCKET_FAILING,
    DEMO_BUCKET_HELD,
    DEMO_BUCKET_IDLE,
    DEMO_BUCKET_SLOW,
    DEMO_HELD_WHY,
    DEMO_TAG,
)

PHOTOS = 60
_SPECTRA = (0.1, 0.2, 0.7, 0.9, 0.3, 0.95)
_SITES = ("harbour", "lighthouse", "pier")


def work(bucket: str, number: int, **more: Any) -> dict[str, Any]:
    """Return a work of a bucket."""
    return {
        "pipeline": bucket,
        "site": _SITES[number % len(_SITES)],
        "user": ("ana", "lou", "sam")[number % 3],
        "tags": [DEMO_TAG, "even" if number % 2 == 0 else "odd"],
        "event": [number],
        "priority": 1 + number % 5,
        **more,
    }


def photo(number: int, *, pause_s: float = 0.05) -> dict[str, Any]:
    """Return a work that is done in a moment; some need a second attempt."""
    parameters = {"number": number, "pause_s": pause_s}
    return work(DEMO_BUCKET, number, parameters=parameters, retries=3, timeout=60)


def fill(reach: Reach, made: Made, *, long_s: float) -> None:
    """Deposit the works, hold a queue, withdraw one work and cancel another."""
    buckets = reach.client.buckets
    spectra = [
        work(
            DEMO_BUCKET_FAILING,
            number,
            parameters={"frequency_mhz": 0 if number == 5 else 400 + number, "noise": noise},
            retries=1 if number % 2 == 0 else 5,
            timeout=60,
        )
        for number, noise in enumerate(_SPECTRA)
    ]
    movies = [
        work(
            DEMO_BUCKET_SLOW,
            number,
            parameters={"name": name, "scenes": 20, "scene_s": long_s / 20},
            timeout=3600,
        )
        for number, name in enumerate(("Storm", "Low tide", "The keeper"))
    ]
    held = [work(DEMO_BUCKET_HELD, number, parameters={"crate": number}) for number in range(8)]
    idle = [work(DEMO_BUCKET_IDLE, number, parameters={"box": number}) for number in range(6)]
    for name, works in (
        (DEMO_BUCKET_HELD, held),
        (DEMO_BUCKET_IDLE, idle),
        (DEMO_BUCKET, [photo(number) for number in range(PHOTOS)]),
        (DEMO_BUCKET_FAILING, spectra),
        (DEMO_BUCKET_SLOW, movies),
    ):
        made.works[name] = buckets.deposit(works, return_ids=True)
        if name == DEMO_BUCKET:
            # Kept for a short time, so that hours of the demo do not pile up.
            buckets.configure(
                name, archive_after_s=600.0, results_retention_s=3600.0, retry_pause_s=2.0
            )
    queue = queue_of(reach, DEMO_BUCKET_HELD)
    reach.client.queues.hold(queue, DEMO_HELD_WHY)
    buckets.withdraw(DEMO_BUCKET_IDLE, lease_s=3600.0)
    reach.client.works.cancel(made.works[DEMO_BUCKET_IDLE][-1], "deposited by mistake")
    _fill_results(reach)


def _fill_results(reach: Reach) -> None:
    """Put results of some time ago into the store, one of them locked."""
    finished = [
        work(
            DEMO_BUCKET,
            number,
            status="success",
            attempt=1,
            results={"photo": number, "sharpness": round(0.7 + number / 50, 2)},
        )
        for number in range(4)
    ]
    reach.client.results.deposit(finished)
    first = reach.client.results.view(DEMO_BUCKET, {}, {"id": True}, limit=1)
    reach.client.results.lock(DEMO_BUCKET, [str(each["id"]) for each in first])


def queue_of(reach: Reach, bucket: str) -> int:
    """Return the id of a bucket's queue."""
    queues = reach.client.queues.list()
    return next(each.id for each in queues if each.surface == "buckets" and each.name == bucket)

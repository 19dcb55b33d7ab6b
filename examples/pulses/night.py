"""Deposit a night of recordings, wait for the workers, and list the pulses that they found.

longshore up --app examples/pulses/pulses.py        # in one terminal
python examples/pulses/night.py                     # in another
"""

from __future__ import annotations

import sys
import time

from longshore import Client, Work
from longshore.sdk import WorkConfig

RECORDINGS = 30
BUCKET = "pulse-search"


def main(night: str) -> None:
    """Search the recordings of one night."""
    works = [
        Work(
            pipeline=BUCKET,
            site="local",
            user="example",
            event=[seed],
            tags=["example"],
            parameters={"seed": seed},
            config=WorkConfig(parent=night),
        )
        for seed in range(RECORDINGS)
    ]
    with Client() as client:
        client.buckets.deposit(works)
        mine = {"pipeline": BUCKET, "config.parent": night}
        open_ = {**mine, "status": {"$in": ["queued", "running"]}}
        while left := client.buckets.count(open_):
            print(f"{RECORDINGS - left} of {RECORDINGS} searched", end="\r", flush=True)
            time.sleep(0.5)
        print(f"{RECORDINGS} of {RECORDINGS} searched")
        found = client.buckets.view(
            {**mine, "results.pulses": {"$ne": []}},
            projection={"event": 1, "results": 1},
            sort={"event": 1},
        )
    for work in found:
        for pulse in work["results"]["pulses"]:
            print(f"recording {work['event'][0]:2}: sample {pulse['sample']}, snr {pulse['snr']}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else time.strftime("night-%Y%m%d-%H%M%S"))

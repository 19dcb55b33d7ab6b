"""Search the recordings of a night for pulses: what a worker of bucket `pulse-search` runs.

longshore up --app examples/pulses/pulses.py
"""

from __future__ import annotations

import random
import statistics
from typing import Any

import longshore

SAMPLES = 20_000


def recording(seed: int) -> list[float]:
    """Return the samples of one recording; every third one holds a pulse."""
    source = random.Random(seed)  # noqa: S311 - noise, not a secret
    samples = [source.gauss(0.0, 1.0) for _ in range(SAMPLES)]
    if seed % 3 == 0:
        samples[source.randrange(SAMPLES)] += 12.0
    return samples


@longshore.function("pulse-search", timeout_s=60)
def search(seed: int, threshold: float = 8.0) -> dict[str, Any]:
    """Find the samples of a recording that stand out of its noise."""
    samples = recording(seed)
    mean, spread = statistics.fmean(samples), statistics.pstdev(samples)
    found = [
        {"sample": position, "snr": round((value - mean) / spread, 1)}
        for position, value in enumerate(samples)
        if value > mean + threshold * spread
    ]
    print(f"recording {seed}: {len(found)} pulses in {len(samples)} samples")
    return {"pulses": found}

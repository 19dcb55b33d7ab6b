"""Histograms of lengths of time: how many fell between bounds that double.

One that is kept is JSON: the number of the interval and how many fell into it, for those where
there are some. Intervals that double tell a percentile to within a factor of 1.4 at worst, and
histograms add up over buckets, surfaces and servers, which percentiles do not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

Histogram = dict[int, int]

BOUNDS_S: Final = tuple(0.001 * 2**power for power in range(30))
"""The upper bounds of the intervals, from a millisecond to six days; longer ones fall into one."""
_decode = msgspec.json.Decoder(dict[int, int]).decode


def observe(histogram: Histogram, seconds: float, weight: int = 1) -> None:
    """Count a length of time, as often as `weight` says."""
    interval = bisect_left(BOUNDS_S, max(seconds, 0.0))
    histogram[interval] = histogram.get(interval, 0) + weight


def add(histogram: Histogram, other: Mapping[int, int]) -> None:
    """Add what another one has."""
    for interval, many in other.items():
        histogram[interval] = histogram.get(interval, 0) + many


def total(histograms: Iterable[Mapping[int, int]]) -> Histogram:
    """Return what several have together."""
    found: Histogram = {}
    for histogram in histograms:
        add(found, histogram)
    return found


def percentile(histogram: Mapping[int, int], share: float) -> float | None:
    """Return about how long, in seconds, the given share took at most; None of an empty one."""
    left = share * sum(histogram.values())
    if left <= 0:
        return None
    for interval in sorted(histogram):
        many = histogram[interval]
        if left <= many:
            upper = BOUNDS_S[min(interval, len(BOUNDS_S) - 1)]
            # Within an interval, lengths are taken to be spread evenly over its logarithm.
            return float(upper * 2.0 ** (left / many - 1)) if interval else upper * left / many
        left -= many
    raise AssertionError("the share is at most 1")


def to_text(histogram: Mapping[int, int]) -> str:
    """Write a histogram down."""
    return msgspec.json.encode(dict(sorted(histogram.items()))).decode()


def from_text(text: str) -> Histogram:
    """Read one that was written down."""
    return {} if text == "{}" else _decode(text)

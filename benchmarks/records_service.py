"""The services that `longshore worker` serves in benchmarks/pipelines.py: the peers' functions."""

from __future__ import annotations

from peers.records import functions

import longshore

longshore.service("bench/double", version="1.0.0")(functions.double)
longshore.service("bench/busy", version="1.0.0")(functions.busy)

"""A process of its own that follows notices, to be killed at a given point: URL POINT LIMIT."""

from __future__ import annotations

import sys

from longshore.clock import ManualClock
from longshore.storage import faults, open_database
from longshore.surfaces.buckets import notices


def main() -> None:
    url, point, limit = sys.argv[1:]
    database = open_database(url, clock=ManualClock(), migrate=False)
    faults.arm(point)
    followed = database.write_blocking(notices.follow, int(limit))
    print(f"followed {followed}", flush=True)
    database.close()


if __name__ == "__main__":
    main()

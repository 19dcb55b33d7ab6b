"""Work for so many seconds, as the arguments say, and end with the exit status that they say."""

from __future__ import annotations

import sys
import time

from longshore import step

ROUND_S = 1.0


@step.main
def main() -> None:
    """Print how far it is, each second."""
    seconds = float(sys.argv[1])
    status = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    begun = time.monotonic()
    while (left := begun + seconds - time.monotonic()) > 0:
        print(f"{step.run.step}: {left:.0f} s left")
        time.sleep(min(left, ROUND_S))
    if status:
        print("the disk of the scales is full", file=sys.stderr)
        sys.exit(status)
    step.put({"seconds": seconds})

"""The function of `longshore demo crash`: slow enough to be interrupted."""

from __future__ import annotations

import hashlib
import time

import longshore

PAUSE_S = 0.004


@longshore.function("demo-crash", timeout_s=60)
def digest(number: int) -> dict[str, str]:
    """Return the SHA-256 of the number, so that what was recorded can be compared with the truth."""
    time.sleep(PAUSE_S)
    return {"sha256": hashlib.sha256(str(number).encode()).hexdigest()}

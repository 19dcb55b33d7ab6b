"""Points at which a test may kill the server; without effect unless armed.

A transaction collects marks (the engine marks each change of state by its reason). Armed with
`before_commit:claimed`, the process kills itself with SIGKILL just before the first commit of a
transaction that carries the mark `claimed`; `after_commit:claimed` does so just after it. The
tests start real servers with each of them and look at what is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Final

from longshore.errors import ConfigurationError

BEFORE_COMMIT: Final = "before_commit"
AFTER_COMMIT: Final = "after_commit"

_armed: set[str] = set()


def arm(point: str | None) -> None:
    """Kill this process at `point` (`before_commit:MARK` or `after_commit:MARK`); None disarms.

    Raises:
        ConfigurationError: `point` has another form.
    """
    _armed.clear()
    if point is None:
        return
    where, separator, mark = point.partition(":")
    if where not in (BEFORE_COMMIT, AFTER_COMMIT) or not separator or not mark:
        raise ConfigurationError(
            f"{point!r} is not a fault point. Give before_commit:REASON or after_commit:REASON."
        )
    _armed.add(point)


def reach(where: str, marks: Iterable[str]) -> None:
    """Die here if this point is armed for one of the marks."""
    if _armed and any(f"{where}:{mark}" in _armed for mark in marks):
        os.kill(os.getpid(), signal.SIGKILL)

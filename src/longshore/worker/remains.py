"""What attempts leave behind when their worker dies: processes that know an attempt's directory.

A group that a worker has just started may not be guarded yet when it dies, and a process may have
left its group. Both have inherited variables that name the directory of the attempt (HOME, TMPDIR,
PONOS_DATA), which the system shows in /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_PROCESSES: Final = Path("/proc")
_ROUNDS_LEAST: Final = 2
_ROUNDS_MOST: Final = 20
_PAUSE_S: Final = 0.05


def kill_users(scratch: Path) -> None:
    """Kill the processes of attempts that run, which are those whose directories are in `scratch`.

    What a step that has ended left running on purpose is spared: its directory is gone. Does
    nothing where the system does not show the variables of processes.
    """
    if not _PROCESSES.is_dir():
        return
    with contextlib.suppress(OSError):
        directories = [os.fsencode(each) + b"/" for each in scratch.iterdir()]
        for number in range(_ROUNDS_MOST if directories else 0):
            found = list(_users(directories))
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            # Once more: what was about to begin did not have its own variables yet.
            if not found and number + 1 >= _ROUNDS_LEAST:
                return
            threading.Event().wait(_PAUSE_S)


def _users(directories: Collection[bytes]) -> Iterator[int]:
    for entry in _PROCESSES.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes()
        except OSError:
            # It has ended, or is somebody else's.
            continue
        if any(each in variables for each in directories):
            yield int(entry.name)

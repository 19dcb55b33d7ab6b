"""What the system lets each process of a program use."""

from __future__ import annotations

import contextlib
import math
import resource
from dataclasses import dataclass
from typing import Final

from longshore.worker import memory

ENFORCED: Final = hasattr(resource, "prlimit")
"""Whether this system can limit a process of another program."""

# Between SIGXCPU, which a program may catch to put things away, and SIGKILL.
_CPU_GRACE_S: Final = 5


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Limits of one process; those that it starts inherit them, each for itself.

    Attributes:
        memory_bytes: data that it may allocate; 0 means no limit.
        cpu_s: processor time, in seconds.
        open_files: descriptors that it may have open.
        file_bytes: size of a file that it may write.
        core_files: whether a crash may leave a core file.
    """

    memory_bytes: int = 0
    cpu_s: float | None = None
    open_files: int | None = None
    file_bytes: int | None = None
    core_files: bool = True

    def apply(self, pid: int) -> None:
        """Limit a process that has just been started, where the system can; it may have ended."""
        memory.limit_process(pid, self.memory_bytes)
        if not ENFORCED:
            return
        if self.cpu_s is not None:
            soft = math.ceil(self.cpu_s)
            _limit(pid, resource.RLIMIT_CPU, soft, soft + _CPU_GRACE_S)
        if self.open_files is not None:
            _limit(pid, resource.RLIMIT_NOFILE, self.open_files, self.open_files)
        if self.file_bytes is not None:
            _limit(pid, resource.RLIMIT_FSIZE, self.file_bytes, self.file_bytes)
        if not self.core_files:
            _limit(pid, resource.RLIMIT_CORE, 0, 0)


def _limit(pid: int, kind: int, soft: int, hard: int) -> None:
    # It may have ended, or be another user's by now.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        _, most = resource.prlimit(pid, kind)
        # Nobody but root may raise a limit that the worker itself has.
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.prlimit(pid, kind, (soft, hard))

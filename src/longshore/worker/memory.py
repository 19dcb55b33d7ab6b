"""How much memory a child process may take, and how much it took."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from pathlib import Path

_SHARE = 0.8
_CGROUP_FILES = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GIB = 1 << 30
_MIB = 1 << 20


def default_limit_bytes(slots: int) -> int:
    """Return 80 % of the memory that this machine or container has, divided by the slots."""
    return int(_available_bytes() * _SHARE / slots)


def set_limit(limit_bytes: int) -> None:
    """Let this process and its children allocate `limit_bytes` of data each; 0 means no limit.

    RLIMIT_DATA counts private writable memory only. RLIMIT_AS would also count the address
    space that libraries map and never touch, and would kill healthy code.
    """
    if limit_bytes:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def limit_process(pid: int, limit_bytes: int) -> None:
    """Do the same for another process, where the system can; it may have ended by now."""
    if limit_bytes and hasattr(resource, "prlimit"):
        limit = (limit_bytes, resource.RLIM_INFINITY)
        # It may also have a lower limit that it may not raise.
        with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_DATA, limit)


def limit_bytes() -> int:
    """Return what this process may allocate; 0 means no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return 0 if soft == resource.RLIM_INFINITY else soft


def peak_rss_bytes(usage: resource.struct_rusage | None = None) -> int:
    """Return the largest resident size in bytes, of this process unless `usage` is given."""
    usage = usage or resource.getrusage(resource.RUSAGE_SELF)
    # ru_maxrss is in kibibytes on Linux and in bytes on macOS.
    return usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024


def describe(limit_bytes: int, peak_bytes: int) -> str:
    """Say what was used and what is allowed."""
    peak = f"peak resident memory {readable(peak_bytes)}"
    if not limit_bytes:
        return f"{peak}, no memory limit set"
    return f"{peak}, memory limit {readable(limit_bytes)} (--memory-limit)"


def readable(size_bytes: int) -> str:
    """Write a size for people, in MiB or GiB."""
    if size_bytes >= _GIB:
        return f"{size_bytes / _GIB:.1f} GiB"
    return f"{size_bytes / _MIB:.0f} MiB"


def _available_bytes() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUP_FILES:
        if path.is_file():
            text = path.read_text().strip()
            if text.isdigit():
                total = min(total, int(text))
    return total

"""System jobs: what the server does by itself, as works of each organisation's system queue.

A surface declares its jobs as `HANDLERS: dict[str, Handler]` in its module `jobs`. A handler must
be idempotent and restartable: after a crash it runs again from the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from longshore.clock import Clock
from longshore.storage import Database
from longshore.storage.blobs import Blobs

SYSTEM: Final = "system"
"""Surface and name of the queue that system jobs wait in."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a system job has to work with."""

    database: Database
    blobs: Blobs
    clock: Clock
    organisation_id: str
    work_id: str
    attempt: int


Handler = Callable[[JobContext, dict[str, Any]], Awaitable[dict[str, int]]]
"""Takes the payload; returns counts (rows, objects, bytes), which become the job's result."""

"""System jobs: what the server does by itself, as works of each organisation's system queue.

A surface declares in its module `jobs`:

- `HANDLERS: dict[str, Handler]`, its jobs by name. A handler must be idempotent and restartable:
  after a crash it runs again from the start. The payload of a work names its job: `{"job": NAME}`.
- `PASSES: dict[str, Pass]`, what it wants done every `Settings.retention_interval_s` on one server
  at a time, such as submitting the jobs that delete what is past its retention.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import Connection

from longshore.clock import Clock
from longshore.edge.outbound import Outbound
from longshore.engine import queues
from longshore.storage import Database
from longshore.storage.blobs import Blobs

SYSTEM: Final = "system"
"""Surface of the queues that system jobs wait in, and name of the one for most of them."""
JOB_MEMORY_S: Final = 7 * 24 * 3600.0
"""How long a finished job can be asked about; it outlives what it deleted."""
JOB_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class JobContext:
    """What a system job has to work with."""

    database: Database
    blobs: Blobs
    clock: Clock
    outbound: Outbound
    organisation_id: str
    work_id: str
    attempt: int
    slack_url: SecretStr | None = None
    """Where messages to Slack go, as the operator has set it."""


Handler = Callable[[JobContext, dict[str, Any]], Awaitable[dict[str, int]]]
"""Takes the payload; returns counts (rows, objects, bytes), which become the job's result."""

Pass = Callable[[Connection], Mapping[str, int]]
"""Does a bounded piece of work in one transaction; returns what it did, for the log."""


def system_queue(connection: Connection, organisation_id: str) -> int:
    """Return the id of the organisation's system queue, making it if it is not there."""
    return queues.ensure(
        connection,
        organisation_id=organisation_id,
        surface=SYSTEM,
        name=SYSTEM,
        attempts_max=JOB_ATTEMPTS,
        retention_s=JOB_MEMORY_S,
    )

"""How the server wraps records in its answers: pages and lists. None of this reaches users."""

from __future__ import annotations

from longshore.sdk.keystore import KeystoreEntry
from longshore.sdk.operations import (
    AuditEntry,
    Counts,
    Event,
    FoundWork,
    Key,
    LogLine,
    Queue,
    Worker,
    WorkInfo,
)
from longshore.sdk.records import BatchInfo, DeploymentInfo, Node, Record, RunInfo


class BatchPage(Record):
    """One page of batches."""

    batches: tuple[BatchInfo, ...]


class NodePage(Record):
    """One page of files; there is more while `has_more`."""

    nodes: tuple[Node, ...] = ()
    next_page_token: str | None = None
    has_more: bool = False


class RunPage(Record):
    """One page of runs."""

    runs: tuple[RunInfo, ...]


class DeploymentPage(Record):
    """The deployments."""

    deployments: tuple[DeploymentInfo, ...]


class Limits(Record):
    """The limits of the server.

    Attributes:
        limits: name to value; the unit ends the name, such as `file_bytes`.
    """

    limits: dict[str, int | float]


class WorkPage(Record):
    """One page of the works of a group, with the counts of all of it."""

    counts: Counts
    works: tuple[WorkInfo, ...]


class FoundPage(Record):
    """One page of the works that fit a filter; there is more while `next` is not None."""

    works: tuple[FoundWork, ...]
    next: str | None = None


class EventPage(Record):
    """All events of a work."""

    events: tuple[Event, ...]


class LogPage(Record):
    """Some lines of a work; go on behind `next` until `ended`."""

    lines: tuple[LogLine, ...]
    next: int
    ended: bool

    def of_work(self, work_id: str) -> list[LogLine]:
        """Return the lines, each naming its work."""
        return [line.model_copy(update={"work_id": work_id}) for line in self.lines]


class QueuePage(Record):
    """All queues."""

    queues: tuple[Queue, ...]


class WorkerPage(Record):
    """All workers."""

    workers: tuple[Worker, ...]


class KeyPage(Record):
    """All keys."""

    keys: tuple[Key, ...]


class SignInOffer(Record):
    """A way into the dashboard."""

    path: str


class KeystorePage(Record):
    """Entries of the keystore."""

    entries: tuple[KeystoreEntry, ...]


class AuditPage(Record):
    """One page of the audit log."""

    entries: tuple[AuditEntry, ...]


class LostLeaseEntry(Record):
    """A lease that was not renewed."""

    id: str
    attempt: int
    reason: str | None = None
    cancelled: bool = False


class RenewalAnswer(Record):
    """What a renewal of leases could not renew."""

    lost: tuple[LostLeaseEntry, ...] = ()

"""What a worker and the server say to each other, under /longshore/v1/worker.

The bodies are hot, so they are msgspec structs. Times are integer microseconds since
1970-01-01 UTC by the server's clock; a worker never compares them with its own clock, it only
uses lengths (`lease_s`, `timeout_s`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from longshore.wire.payloads import NO_RESULT
from longshore.wire.scripts import HostOffer
from longshore.wire.tasks import WorkerOffer


class AppOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An app version that a worker can run."""

    name: str
    """Display name, such as "Meal Receipt"."""
    owner: str
    """Account that published it; compared without regard to case."""
    version: str
    """Version, such as "1.0.0"."""
    description: str = ""
    timeout_s: float | None = None
    """Time limit of one file, in seconds."""
    attempts_max: int = 3
    """Attempts that one file may take."""


class BucketOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket that a worker serves."""

    name: str
    """Letters, digits and hyphens; the bucket is made when it is new."""
    timeout_s: float | None = None
    """Time limit of the function that is registered for it, in seconds; for the worker itself."""


class InputField(msgspec.Struct, frozen=True, kw_only=True):
    """One input of a service, as its function declares it."""

    name: str
    kind: str = "any"
    """`number`, `integer`, `text`, `boolean`, `list`, `object` or `any`; for people."""
    required: bool = True
    default: Any = None


class ServiceOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a service that a worker can run."""

    name: str
    """Folder and service, such as "my-folder/my-service"; compared without regard to case."""
    version: str
    """Numbers with dots, such as "0.4.2"."""
    description: str = ""
    batch: bool = False
    """Whether the function takes whole columns."""
    timeout_s: float | None = None
    """Time limit of one record, in seconds."""
    active_since: str | None = None
    """ISO 8601 date or time from which the version counts; the first registration unless given."""
    inputs: list[InputField] | None = None
    """None where the function takes whatever a record has."""
    outputs: list[str] | None = None
    """Names of the outputs, where the function declares them."""
    subservices: dict[str, list[str]] = {}
    """Named groups of outputs."""
    attempts_max: int = 10
    """Attempts of one chunk; each costs a whole worker."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/register: a worker says who it is and what it can run."""

    name: str
    """Name that a person knows it by, usually host and process id."""
    slots: int
    apps: list[AppOffer] = []
    buckets: list[BucketOffer] = []
    services: list[ServiceOffer] = []
    workers: list[WorkerOffer] = []
    workbooks: bool = False
    """Whether it can compute services that are workbooks."""
    host: HostOffer | None = None
    """The host whose steps of workflows it runs."""
    incarnation: str
    """Random at each start of the process, so that a restarted worker is a different one."""
    version: str = ""
    """What it runs on, such as "longshore 0.1.0, Python 3.11.7"; for people."""


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a registration."""

    worker_id: str
    queues: list[int]
    """Ids of the queues that hold work for the offers: of apps, buckets, services, worker
    programs, then the host."""
    lease_s: float
    """Length of a lease; renew at a third of it."""


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/claim."""

    worker_id: str
    queues: list[int]
    limit: int
    wait_s: float = 0.0
    """How long the server may hold the request open while there is no work."""
    where: dict[str, Any] | None = None
    """Filter that works of buckets must match, in the language of POST /buckets/view."""


class ClaimedTrace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a claimed work came from, told by servers that trace."""

    queue: str
    """Name of the work's queue."""
    traceparent: str | None = None
    """The request that submitted it, as W3C Trace Context writes it; null if nobody recorded that."""
    shared: bool = False
    """Whether that request submitted other works, too."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One leased work."""

    work_id: str
    attempt: int
    """The fence: every later message about this work carries it."""
    queue: int
    surface: str
    """Which surface's runner handles it, such as "apps"."""
    payload: msgspec.Raw
    """The work's payload, JSON as the surface wrote it."""
    lease_until_us: int
    timeout_s: float | None
    trace: ClaimedTrace | None = None
    """Time limit of this attempt, in seconds."""


class ClaimAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The works leased to the worker; empty when the wait ended without any."""

    works: list[Claimed]


class Held(msgspec.Struct, frozen=True, array_like=True):
    """A lease that a worker believes it holds."""

    work_id: str
    attempt: int


class RenewRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/renew: the heartbeat, sent by a process of its own."""

    worker_id: str
    leases: list[Held]


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that the worker must give up."""

    work_id: str
    attempt: int
    reason: str
    """`cancel_requested`, or how the lease was lost; for people."""
    cancelled: bool = False
    """True when the work is to be stopped and then reported as cancelled."""


class RenewAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Which leases to give up; all others were renewed."""

    lost: list[Lost]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    """User code raised, exited or was killed; tried again while attempts are left."""
    TIMED_OUT = "timed_out"
    """The time limit stopped it; tried again while attempts are left."""
    REJECTED = "rejected"
    """The input is at fault; never tried again."""
    CANCELLED = "cancelled"
    """Stopped because the server asked for it."""
    HANDED_BACK = "handed_back"
    """Given back unfinished, as at a graceful stop; the attempt is not charged."""


class AttemptError(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt did not succeed."""

    type: str
    message: str
    traceback: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One finished attempt."""

    work_id: str
    attempt: int
    outcome: Outcome
    result: msgspec.Raw = NO_RESULT
    """JSON of the result, for SUCCESS; null for all others, but a work of a bucket may fail with
    results that say why."""
    error: AttemptError | None = None
    retry_delay_s: float | None = None
    """Delay before the next attempt where user code asked for one, in seconds."""


class ReportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/report. Safe to send again until it is answered."""

    worker_id: str
    reports: list[Report]


class ReportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Which reports were refused by the fence; all others are durable now."""

    lost: list[Lost]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line that user code wrote."""

    work_id: str
    attempt: int
    at_us: int
    """The worker's clock; order within an attempt is the order of arrival."""
    stream: str
    """`stdout`, `stderr` or `worker`."""
    text: str


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/logs."""

    worker_id: str
    lines: list[LogLine]


class Goodbye(msgspec.Struct, frozen=True, kw_only=True):
    """POST /longshore/v1/worker/leave: the worker ends and holds nothing any more."""

    worker_id: str

"""Frozen records of the engine and of access: works, logs, queues, workers, keys, audit.

Times are aware datetimes in UTC. "Final" means that nothing more happens to it by itself.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from longshore.sdk.records import Record


class WorkState(StrEnum):
    """Where a work stands."""

    WAITING = "waiting"
    """For other works, or for its time."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    """Tried again while attempts are left; see `WorkInfo.final`."""
    CANCELLED = "cancelled"


class Counts(Record):
    """Works by what became of them: submitted = done + failed + cancelled + pending, always."""

    submitted: int
    done: int
    failed: int
    cancelled: int
    pending: int
    by_state: dict[str, int] = Field(default_factory=dict)


class WorkInfo(Record):
    """The record of a work: the only thing that runs, such as one file of a run.

    Attributes:
        id: the work's id.
        queue_id: the queue that it is in.
        group_id: the group that it belongs to; the works of a run are grouped by the run's id.
        state: where it stands.
        reason: how it came there.
        final: whether nothing more happens to it by itself.
        priority: higher is claimed first.
        attempt: number of the present or last attempt, from 1; 0 before the first.
        attempts_max: how many attempts it may take.
        timeout_s: time limit of an attempt in seconds, or None.
        worker_id: the worker that has it, or had it last.
        due_at: not before this time.
        retry_at: when the next attempt may begin, or None.
        lease_until: until when its worker holds it without renewing, or None.
    """

    id: str
    queue_id: int = Field(validation_alias="queue")
    group_id: str | None = Field(default=None, validation_alias="group")
    state: WorkState
    reason: str | None = None
    final: bool
    priority: int = 0
    attempt: int
    attempts_max: int
    timeout_s: float | None = None
    worker_id: str | None = Field(default=None, validation_alias="worker")
    created_at: datetime | None = Field(default=None, validation_alias="created")
    due_at: datetime | None = Field(default=None, validation_alias="due")
    started_at: datetime | None = Field(default=None, validation_alias="started")
    finished_at: datetime | None = Field(default=None, validation_alias="finished")
    retry_at: datetime | None = Field(default=None, validation_alias="retry")
    lease_until: datetime | None = None
    concurrency_key: str | None = None
    unique_key: str | None = None


class FoundWork(WorkInfo):
    """A work that a filter found.

    Attributes:
        queue_name: the queue that it is in.
        surface: what the queue belongs to, such as "apps" or "buckets".
        error: of a failure, its type and message.
    """

    queue_name: str
    surface: str
    error: str | None = None


class WorkCount(Record):
    """How many works fit a filter; where `exact` is False, there are at least as many."""

    count: int
    exact: bool


class WorksAction(Record):
    """Something that is done to all works that fit a filter, by a job of the server.

    Attributes:
        id: the job.
        action: retry, cancel, hold, release or delete.
        filter: which works.
        reason: why.
        state: where the job stands.
        final: whether it is over.
        message: what went wrong with the job itself, or None.
        done: works that were changed.
        skipped: works that were left alone, by why.
        failed: works that could not be changed, by why.
    """

    id: str
    action: str
    filter: str = Field(validation_alias="q")
    reason: str
    state: WorkState
    final: bool
    message: str | None = None
    done: int
    skipped: dict[str, int] = Field(default_factory=dict)
    failed: dict[str, int] = Field(default_factory=dict)


class Why(Record):
    """Why a work or a run is where it is.

    Attributes:
        id: the work or run.
        state: where it stands.
        reason: how it came there.
        text: the explanation for people, with what to do where something can be done.
        facts: what the explanation rests on, JSON values.
    """

    id: str = Field(validation_alias="work_id")
    state: str
    reason: str | None = None
    text: str
    facts: dict[str, Any] = Field(default_factory=dict)


class Event(Record):
    """One change of a work; `from_state` is None for its beginning.

    Attributes:
        seq: number of the event; later ones are larger.
        at: when it happened.
        attempt: the attempt that it belongs to.
        actor: who did it: a key, a worker or the server.
        detail: what else is known, JSON values.
    """

    seq: int
    at: datetime
    attempt: int
    from_state: str | None = Field(default=None, validation_alias="from")
    to_state: str = Field(validation_alias="to")
    reason: str
    actor: str | None = None
    detail: dict[str, Any] | None = None


class LogLine(Record):
    """One line that a work printed.

    Attributes:
        work_id: the work.
        seq: number of the line; later ones are larger.
        attempt: the attempt that printed it.
        at: when, by the worker's clock.
        stream: "stdout", "stderr" or "worker".
        text: the line without its end.
    """

    work_id: str = ""
    seq: int
    attempt: int
    at: datetime
    stream: str
    text: str


class Cancelled(Record):
    """What a cancellation did, as ids of works.

    Attributes:
        cancelled: those that had not begun and never will.
        stopping: those that run and were told to stop.
        final: those that had ended before.
    """

    cancelled: tuple[str, ...]
    stopping: tuple[str, ...]
    final: tuple[str, ...]


class Hold(Record):
    """Why nothing is claimed from a queue."""

    since: datetime
    by: str | None = None
    why: str


class Queue(Record):
    """A queue and, in listings, the works in it.

    Attributes:
        id: the queue's id.
        surface: the API that it belongs to, such as "apps".
        name: its name, such as "instabase/meal receipt@1.0.0".
        held: why nothing is claimed from it, or None.
        counts: its works by what became of them; None outside listings.
        oldest_at: since when the longest waiting work could have run; None outside listings.
        workers_online: how many workers serve it; None outside listings.
    """

    id: int
    surface: str
    name: str
    attempts_max: int
    timeout_s: float | None = None
    concurrency_max: int | None = None
    key_concurrency_max: int | None = None
    retention_s: float | None = None
    held: Hold | None = None
    counts: Counts | None = None
    oldest_at: datetime | None = Field(default=None, validation_alias="oldest")
    workers_online: int | None = None


class Worker(Record):
    """A worker.

    Attributes:
        id: the worker's id; a restarted worker has a new one.
        name: its name, usually host and process id.
        online: whether its heartbeats arrive.
        slots: how many works it runs at once.
        running: how many it runs now.
        last_claim_at: when it last asked for works; a full one does not ask.
        version: what it runs on, such as "longshore 0.1.0, Python 3.11.7".
        left_at: when it said goodbye, or None.
    """

    id: str
    name: str
    online: bool
    slots: int
    running: int
    started_at: datetime | None = Field(default=None, validation_alias="started")
    seen_at: datetime | None = Field(default=None, validation_alias="seen")
    last_claim_at: datetime | None = Field(default=None, validation_alias="last_claim")
    left_at: datetime | None = Field(default=None, validation_alias="left")
    version: str = ""


class Key(Record):
    """An API key without its secret.

    Attributes:
        id: the key's id.
        name: its name.
        role: viewer, operator, developer, worker, ingress or admin.
        workspace: the only workspace that it reaches, or None for all.
    """

    id: str
    name: str
    role: str
    workspace: str | None = None
    created_at: datetime | None = Field(default=None, validation_alias="created")
    expires_at: datetime | None = Field(default=None, validation_alias="expires")
    revoked_at: datetime | None = Field(default=None, validation_alias="revoked")
    last_used_at: datetime | None = Field(default=None, validation_alias="last_used")


class NewKey(Key):
    """A key that was just made.

    Attributes:
        key: the secret; it is shown this once and kept nowhere. Not part of the printed form.
    """

    key: str = Field(repr=False)


class AuditEntry(Record):
    """One change made through the API.

    Attributes:
        id: number of the entry; later ones are larger.
        at: when.
        key_id: the key that made it.
        key_name: that key's name.
        action: what was done, such as "runs.delete".
        target: to what.
        detail: what else is known, JSON values.
        request_id: the request that did it.
    """

    id: int
    at: datetime
    key_id: str | None = None
    key_name: str | None = None
    action: str
    target: str | None = None
    detail: dict[str, Any] | None = None
    request_id: str | None = None


class Identity(Record):
    """Whom a key acts as.

    Attributes:
        key_id: the key's id.
        key_name: its name.
        role: viewer, operator, developer, worker, ingress or admin.
        organisation: name of the organisation.
        organisation_id: its id.
        workspace: the only workspace that the key reaches, or None for all.
        permissions: what the role allows.
    """

    key_id: str
    key_name: str
    role: str
    organisation: str
    organisation_id: str
    workspace: str | None = None
    permissions: tuple[str, ...] = ()


class Finding(Record):
    """One thing that the server looked at in itself.

    Attributes:
        name: what it is about.
        verdict: "ok", "note", "warning" or "FAULT".
        text: what is so, and why that matters.
        next: what to do about it; empty where there is nothing to do.
    """

    name: str
    verdict: str
    text: str
    next: str = ""


class Diagnosis(Record):
    """What the server finds out about itself.

    Attributes:
        healthy: whether there are no problems.
        problems: the faults among the findings, in one sentence or two each.
        facts: versions, stores, disk space, counts; JSON values.
        findings: all that was looked at.
    """

    healthy: bool
    problems: tuple[str, ...]
    facts: dict[str, Any]
    findings: tuple[Finding, ...] = ()

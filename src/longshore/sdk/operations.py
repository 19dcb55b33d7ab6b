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
        left_at: when it said goodbye, or None.
    """

    id: str
    name: str
    online: bool
    slots: int
    running: int
    started_at: datetime | None = Field(default=None, validation_alias="started")
    seen_at: datetime | None = Field(default=None, validation_alias="seen")
    left_at: datetime | None = Field(default=None, validation_alias="left")


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


class KeystoreVersion(Record):
    """When a version of an entry of the keystore was set, and by which key."""

    version: int
    created_at: datetime = Field(validation_alias="created")
    created_by: str


class KeystoreEntry(Record):
    """An entry of the keystore without its value.

    Attributes:
        name: what programs ask for it by.
        scope: who it is for: "organisation" (steps), "workflow", "corpus" or "apps".
        workflow: the workflow whose steps may read it, in small letters.
        version: of its value, from 1.
        ingress: whether keys of the role ingress may read it.
        versions: those that are kept, newest first; None in listings.
    """

    name: str
    scope: str
    workflow: str | None = None
    version: int
    ingress: bool
    description: str = ""
    created_at: datetime = Field(validation_alias="created")
    created_by: str
    updated_at: datetime = Field(validation_alias="updated")
    updated_by: str
    versions: tuple[KeystoreVersion, ...] | None = None


class DataKey(Record):
    """A data key of an organisation.

    Attributes:
        master: mark of the master key that wraps it.
        retired_at: since when it seals nothing new; it goes when its last value was sealed anew.
        values: how many values are sealed with it.
    """

    number: int
    master: str
    created_at: datetime = Field(validation_alias="created")
    retired_at: datetime | None = Field(default=None, validation_alias="retired")
    values: int


class KeystoreKeys(Record):
    """What the values of an organisation are sealed with.

    Attributes:
        masters: marks of the master keys that the server has; the first one seals.
        data_keys: newest first.
    """

    masters: tuple[str, ...]
    data_keys: tuple[DataKey, ...]


class KeystoreRotation(Record):
    """What a change of a key has begun or done.

    Attributes:
        data_key: number of the new data key.
        job_id: the job that seals all values with it.
        master: mark of the master key that wraps all data keys now.
        data_keys: how many it has wrapped.
    """

    data_key: int | None = None
    job_id: str | None = None
    master: str | None = None
    data_keys: int | None = None


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


class Diagnosis(Record):
    """What the server finds out about itself.

    Attributes:
        healthy: whether there are no problems.
        problems: what is wrong and what to do about it, one sentence or two each.
        facts: versions, stores, disk space, counts; JSON values.
    """

    healthy: bool
    problems: tuple[str, ...]
    facts: dict[str, Any]

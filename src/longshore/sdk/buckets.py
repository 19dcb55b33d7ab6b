"""Frozen records of buckets: what works made, settings, actions on many works, webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypedDict

from pydantic import AliasChoices, Field

from longshore.sdk.records import Record
from longshore.wire.apps import JobState

BucketAction = Literal["retry", "cancel", "delete"]
WebhookKind = Literal["work.success", "work.failure", "work.exhausted"]


class ActionInfo(Record):
    """An action on many works, as it stood at the last look.

    Attributes:
        id: the job's id.
        action: what is done.
        state: where it stands.
        message: why it failed, if it did.
        changed: works that were retried, cancelled or deleted so far.
        left: works that matched and needed nothing, such as a success that is retried.
        rows: database rows deleted so far.
        objects: stored objects (files) deleted so far.
        size_bytes: their size in bytes.
    """

    id: str
    action: str | None = None
    state: JobState = JobState.PENDING
    message: str | None = None
    changed: int = Field(default=0, validation_alias=AliasChoices("changed", "works"))
    left: int = 0
    rows: int = 0
    objects: int = 0
    size_bytes: int = Field(default=0, validation_alias="bytes")

    @property
    def finished(self) -> bool:
        """Whether the action has ended."""
        return self.state not in {JobState.PENDING, JobState.RUNNING}


class Artifact(Record):
    """A file that a work named as made by it.

    Attributes:
        kind: "product" or "plot".
        path: as the work gives it.
        blob_id: id of the stored file, or None where only the path is known.
        size_bytes: size in bytes, or None likewise.
        sha256: checksum in hexadecimal digits, or None likewise.
    """

    kind: Literal["product", "plot"]
    path: str
    blob_id: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None


class BucketSettings(Record):
    """How a bucket is kept.

    Attributes:
        archive_after_s: seconds after which a finished work moves to the results store; None for
            never.
        results_retention_s: seconds after which results are deleted; None for never.
        retry_pause_s: pause before the second attempt in seconds, doubled for each further one.
        concurrency_max: works of the bucket that run at a time; None for no limit.
    """

    archive_after_s: float | None = None
    results_retention_s: float | None = None
    retry_pause_s: float
    concurrency_max: int | None = None


class BucketChanges(TypedDict, total=False):
    """What to change of a bucket's settings; what is left out stays as it is.

    Attributes:
        archive_after_s: seconds after which a finished work moves to the results store; None for
            never.
        results_retention_s: seconds after which results are deleted; None for never.
        retry_pause_s: pause before the second attempt in seconds, doubled for each further one.
        concurrency_max: works of the bucket that run at a time; None for no limit.
    """

    archive_after_s: float | None
    results_retention_s: float | None
    retry_pause_s: float
    concurrency_max: int | None


class Webhook(Record):
    """An address that is told when works end.

    Attributes:
        id: the webhook's id.
        url: the address.
        pipeline: the only bucket that it is told about; None for all.
        kinds: what it is told.
        created_at: when it was made.
        old_valid: whether messages are still signed with the secret before the present one, too.
        old_until: until when that is; None until the next change, or when it is over.
        secret: what messages are signed with; only in the answer to its making or change.
    """

    id: str
    url: str
    pipeline: str | None = None
    kinds: tuple[str, ...] = ()
    created_at: datetime | None = Field(default=None, validation_alias="created")
    old_valid: bool = False
    old_until: datetime | None = None
    secret: str | None = Field(default=None, repr=False)

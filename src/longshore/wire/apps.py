"""What clients and the server say to each other about apps, under /v2.

The names, types and enum values are those of the AI Hub protocol (client `instabase-aihub`
0.14); fields that the protocol does not have are marked as Longshore's own. The published
client ignores keys that it does not know, so answers may carry more than it reads. Times on
this wire have three units: batches count milliseconds, runs nanoseconds and file nodes seconds,
all since 1970-01-01 UTC and all whole numbers. Results are in `longshore.wire.results`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from longshore.limits import NAME_CHARACTERS


class Request(BaseModel):
    """A body that a client sends; keys that are not declared are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Answer(BaseModel):
    """A body that the server sends; a client ignores keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _whole_number(value: Any) -> Any:
    """Let the digits of a string through as a number; clients quote ids (protocol §2.2)."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 19:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError('must be a whole number, such as 42 or "42"')  # noqa: TRY004
    return value


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
"""An integer that may be sent as a string of digits, never as a float or a boolean."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARACTERS)]


class RunStatus(StrEnum):
    """Where a run is. The published client refuses every other word, also PENDING and QUEUED."""

    RUNNING = "RUNNING"
    """Accepted: its files wait for a worker or are being worked on."""
    COMPLETE = "COMPLETE"
    """All files are done and at least one has results."""
    FAILED = "FAILED"
    """All files are done and none has results; `msg` says why."""
    CANCELLED = "CANCELLED"
    """Stopped by a user; files done before that keep their results."""
    PAUSED = "PAUSED"
    """Reserved by the protocol; Longshore never sends it."""
    STOPPED_AT_CHECKPOINT = "STOPPED_AT_CHECKPOINT"
    """Reserved by the protocol for human review; Longshore never sends it."""


class JobState(StrEnum):
    """Where a deletion job is; the published client refuses every other word."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class BatchRequest(Request):
    """POST /v2/batches."""

    name: Name
    workspace: str | None = None
    """Name of the workspace, created on first use; default is the key's own."""


class Batch(Answer):
    """A new batch."""

    id: int


class BatchInfo(Answer):
    """A batch as listings show it."""

    id: int
    name: str
    workspace: str | None = None
    mount_point: str | None = None
    """Name of the drive that holds the files."""
    repo_owner: str | None = None
    """Organisation that owns the workspace."""
    batch_owner: str | None = None
    """Name of the key that made the batch."""
    created_at_ms: int | None = None
    updated_at_ms: int | None = None
    path_suffix: str | None = None
    """Folder of the batch below the drive."""
    path: str | None = None
    """(Longshore) Whole path of the folder, as /v2/files takes it."""


class BatchList(Answer):
    """GET /v2/batches."""

    batches: list[BatchInfo]


class NodeMetadata(Answer):
    """What is known of a file or folder."""

    node_type: str | None = None
    """`file` or `folder`."""
    size: int | None = None
    """Size in bytes; null for a folder."""
    modified_timestamp: int | None = None
    """Seconds; null for a folder."""


class NodePermissions(Answer):
    """What the caller may do with a node."""

    can_read: bool
    can_write: bool
    can_delete: bool


class Node(Answer):
    """A file or folder of the drive."""

    full_path: str
    name: str
    """Name within the batch or folder that was listed."""
    metadata: NodeMetadata
    perms: NodePermissions | None = None


class NodePage(Answer):
    """One page of files; go on with `start_token=next_page_token` while `has_more`."""

    nodes: list[Node]
    next_page_token: str | None = None
    has_more: bool


class DeletionJob(Answer):
    """Answer to the deletion of a batch: the job to poll."""

    job_id: str


class JobStatus(Answer):
    """GET /v2/jobs/{job_id}."""

    state: JobState
    message: str | None = None
    rows: int | None = None
    """(Longshore) Rows deleted, once the job is complete; so are the next two."""
    objects: int | None = None
    bytes: int | None = None


class UploadRequest(Request):
    """POST /v2/batches/multipart-upload."""

    batch_id: WholeNumber
    filename: str
    file_size: WholeNumber


class UploadSession(Answer):
    """An open multipart upload: send parts 1, 2, 3 ... of `part_size` bytes, then commit."""

    session_id: str
    part_size: int


class UploadPart(Answer):
    """A stored part."""

    part_id: str
    part_num: int


class CommittedPart(Request):
    """A part as the commit names it."""

    part_num: WholeNumber
    part_id: str


class CommitRequest(Request):
    """POST /v2/batches/multipart-upload/sessions/{session_id}."""

    action: Literal["commit", "abort"]
    parts: list[CommittedPart] | None = None


class RunKeys(Request):
    """Values for the app: `custom` is handed to it, `secret` names secrets."""

    custom: dict[str, Any] = {}
    secret: dict[str, str] = {}


class WebhookConfig(Request):
    """Who is told when a run has ended."""

    url: str | None = Field(default=None, repr=False)
    headers: dict[str, str] | None = Field(default=None, repr=False)
    """Sent with each delivery; may hold credentials, as the URL may."""


class RunSettings(Request):
    """Settings of a run; `extra` keys are kept so that unusable ones can be refused by name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    keys: RunKeys | None = None
    runtime_config: dict[str, Any] | None = None
    """`generate_post_process_pdf`: bool; other keys are kept with the run and shown again."""
    tags: list[str] | None = None
    """At most 500 characters together."""
    webhook_config: WebhookConfig | None = Field(default=None, exclude=True)
    """Never shown again, since its URL and headers may hold credentials."""


class _RunInput(Request):
    batch_id: WholeNumber | None = None
    input_dir: str | None = None
    """Folder of the drive; instead of `batch_id`."""
    version: str | None = None
    output_workspace: str | None = None
    output_dir: str | None = None
    """Folder that takes the run's own output folder, which bears the run's id."""
    settings: RunSettings | None = None


class RunRequest(_RunInput):
    """POST /v2/apps/runs: an app by name (and owner) or by id, over a batch or a folder."""

    app_name: str | None = None
    app_id: str | None = None
    owner: str | None = None
    """Compared without regard to case."""


class DeploymentRunRequest(_RunInput):
    """POST /v2/apps/deployments/{deployment_id}/runs."""

    manual_upstream_integration: bool | None = None


class FileCounts(Answer):
    """(Longshore) The files of a run: submitted = done + failed + cancelled + pending."""

    submitted: int
    done: int
    failed: int
    cancelled: int
    pending: int


class Run(Answer):
    """A run. `id` to `msg` are what the published client reads; the rest is a superset."""

    id: str
    status: RunStatus
    start_timestamp: int | None = None
    """Nanoseconds."""
    finish_timestamp: int | None = None
    """Nanoseconds; null while the run is not finished."""
    msg: str | None = None
    """While RUNNING what the run waits for, afterwards how it ended."""
    batch_id: int | None = None
    input_dir: str | None = None
    output_dir: str | None = None
    output_workspace: str | None = None
    app_id: str | None = None
    app_name: str | None = None
    owner: str | None = None
    version: str | None = None
    deployment_id: str | None = None
    username: str | None = None
    tags: list[str] = []
    files: FileCounts | None = None
    webhook_job_id: str | None = None
    """(Longshore) The job that delivers to the webhook, once the run has ended."""


class RunList(Answer):
    """GET /v2/apps/runs."""

    runs: list[Run]


class RunDeletion(Answer):
    """Answer to the deletion of a run: one job per part; null for a part that was left alone.

    The run's record is gone when this answer arrives, if its deletion was asked for.
    """

    delete_input_dir_job_id: str | None = None
    delete_output_dir_job_id: str | None = None
    delete_log_dir_job_id: str | None = None


class AppVersion(Answer):
    """(Longshore) A version of an app that a worker has offered."""

    version: str
    description: str = ""
    production: bool
    """False for a pre-release such as 2.0.0-rc1, which is never the default."""
    workers_online: int
    attempts_max: int
    timeout_s: float | None = None
    """Time limit of one file, in seconds."""


class App(Answer):
    """(Longshore) An app of the catalogue."""

    id: str
    name: str
    owner: str
    default_version: str | None = None
    """Highest production version; null while there is none."""
    versions: list[AppVersion]
    """Highest first."""


class AppList(Answer):
    """GET /v2/apps."""

    apps: list[App]

"""What server and worker tell each other of tasks: runs of a worker program over elements."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from longshore.wire.buckets import Name


class WorkerConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a worker is configured with, in the form of its published description.

    Attributes:
        configuration: values that users do not change.
        user_configuration: by name, what users may change: `{"title", "type", "default", ...}`.
        secrets: names of the secrets that it reads.
    """

    configuration: dict[str, Any] = {}
    user_configuration: dict[str, dict[str, Any]] = {}
    secrets: list[str] = []


class WorkerOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a worker whose tasks `longshore worker` can run."""

    slug: Name
    version: Name
    name: str = ""
    """For people; the slug if it is empty."""
    type: str = "recognizer"
    kind: Literal["elements", "dataset"] = "elements"
    description: str = ""
    configuration: WorkerConfiguration = WorkerConfiguration()
    attempts_max: int = 3


class TaskElement(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the list of elements that a task is given."""

    id: str
    type: str


class TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a task: one that its parents left, or that it leaves.

    Attributes:
        path: relative to the task's directory, with `/` between its parts.
        blob_id: where its bytes are.
    """

    path: str
    blob_id: str
    size_bytes: int
    sha256: str
    content_type: str = "application/octet-stream"


class TaskParent(msgspec.Struct, frozen=True, kw_only=True):
    """A task that had to end before this one, and what it left."""

    id: str
    slug: str
    files: list[TaskFile] = []


class TaskModel(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a model that a task uses; its archive is unpacked for it."""

    version_id: str
    blob_id: str
    size_bytes: int
    sha256: str
    content_type: str


class TaskPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One task: a worker program, and what it is given.

    Attributes:
        worker: slug of the worker.
        token: what the program calls the server with; it ends with the attempt.
        elements: what it works through; None when it asks the server for the next one, or has
            sets of a dataset.
        queued: whether it asks the server for each element.
        chunk: which part of the elements, from 1, or None when there is one part.
    """

    task_id: str
    process_id: str
    worker_run_id: str
    worker: str
    version: str
    token: str
    elements: list[TaskElement] | None = None
    queued: bool = False
    chunk: int | None = None
    parents: list[TaskParent] = []
    model: TaskModel | None = None
    timeout_s: float | None = None


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a task's program ended, and the files that it left."""

    exit_code: int
    files: list[TaskFile] = []

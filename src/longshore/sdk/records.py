"""What the server says about things, as frozen records. All times are aware datetimes in UTC.

A record is a snapshot. Things that can be acted upon (`Batch`, `Run`, `Job`, `Deployment`) hold
the latest record of themselves in `.info`.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from longshore.errors import InvalidRequest
from longshore.wire.apps import FileCounts, JobState, RunStatus
from longshore.wire.deployments import Retention

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _from_integer(unit_us: float) -> BeforeValidator:
    def convert(value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            # Zero is how the protocol writes "not yet" where it does not write null.
            return _EPOCH + timedelta(microseconds=value * unit_us) if value else None
        return value

    return BeforeValidator(convert)


_SecondsTime = Annotated[datetime, _from_integer(1_000_000)]
_MillisecondsTime = Annotated[datetime, _from_integer(1_000)]
_NanosecondsTime = Annotated[datetime, _from_integer(0.001)]
_Time = Annotated[datetime, _from_integer(1)]
"""Integer microseconds or ISO 8601 text, as the native API writes times."""


class Record(BaseModel):
    """Root of all records: frozen, and silent about fields that a newer server adds."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class BatchInfo(Record):
    """A batch: a named set of input files that any number of runs may read.

    Attributes:
        id: the batch's id.
        name: its name; names need not be unique.
        workspace: workspace that it belongs to.
        created_by: name of the key that made it.
        created_at: when it was made.
        updated_at: when its files last changed.
        path: folder of its files, as `client.files` takes it.
    """

    id: int
    name: str
    workspace: str | None = None
    created_by: str | None = Field(default=None, validation_alias="batch_owner")
    created_at: _MillisecondsTime | None = Field(default=None, validation_alias="created_at_ms")
    updated_at: _MillisecondsTime | None = Field(default=None, validation_alias="updated_at_ms")
    path: str | None = None


class _NodeMetadata(Record):
    node_type: str | None = None
    size: int | None = None
    modified_timestamp: _SecondsTime | None = None


class Node(Record):
    """A file or folder in a batch or on the drive.

    Attributes:
        name: its name.
        path: its full path on the drive.
        metadata: kind, size and time as the protocol nests them; see the properties.
    """

    name: str
    path: str | None = Field(default=None, validation_alias="full_path")
    metadata: _NodeMetadata = _NodeMetadata()

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.metadata.node_type == "folder"

    @property
    def size_bytes(self) -> int | None:
        """Size in bytes; None for a folder."""
        return self.metadata.size

    @property
    def modified_at(self) -> datetime | None:
        """When it was last written."""
        return self.metadata.modified_timestamp


class FileMetadata(Record):
    """What is known of a file or folder on the drive without reading it.

    Attributes:
        path: its path on the drive.
        is_folder: whether it is a folder.
        size_bytes: size in bytes; None for a folder.
        modified_at: when it was last written; None where the server does not say.
    """

    path: str
    is_folder: bool
    size_bytes: int | None = None
    modified_at: datetime | None = None


class RunInfo(Record):
    """A run of an app over the files of a batch or folder.

    Attributes:
        id: the run's id.
        status: where it stands; work that is still queued counts as RUNNING.
        message: while it runs what it waits for, afterwards how it ended.
        started_at: when it was created.
        finished_at: when it ended, or None.
        app: display name of the app.
        owner: account that published the app.
        version: the version that the run is pinned to.
        batch_id: the batch that it reads, or None when it reads a folder.
        input_dir: the folder that it reads, or None when it reads a batch.
        output_dir: folder of its results on the drive.
        deployment_id: the deployment that it belongs to, or None.
        created_by: name of the key that started it.
        tags: its tags.
        files: how its files stand: submitted = done + failed + cancelled + pending.
    """

    id: str
    status: RunStatus
    message: str | None = Field(default=None, validation_alias="msg")
    started_at: _NanosecondsTime | None = Field(default=None, validation_alias="start_timestamp")
    finished_at: _NanosecondsTime | None = Field(default=None, validation_alias="finish_timestamp")
    app: str | None = Field(default=None, validation_alias="app_name")
    owner: str | None = None
    version: str | None = None
    batch_id: int | None = None
    input_dir: str | None = None
    output_dir: str | None = None
    deployment_id: str | None = None
    created_by: str | None = Field(default=None, validation_alias="username")
    tags: tuple[str, ...] = ()
    files: FileCounts | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status is not RunStatus.RUNNING


class JobInfo(Record):
    """A job: anything asynchronous besides runs, such as a deletion.

    Attributes:
        state: where it stands.
        message: what there is to say about it.
        rows: database rows deleted, once the job is complete.
        objects: stored objects (files) deleted, likewise.
        size_bytes: their size in bytes, likewise.
    """

    state: JobState
    message: str | None = None
    rows: int | None = None
    objects: int | None = None
    size_bytes: int | None = Field(default=None, validation_alias="bytes")

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return self.state not in {JobState.PENDING, JobState.RUNNING}


class Removed(Record):
    """What a deletion removed.

    Attributes:
        rows: database rows.
        objects: stored objects (files).
        size_bytes: size of the objects in bytes.
    """

    rows: int = 0
    objects: int = 0
    size_bytes: int = 0


class DeploymentInfo(Record):
    """A deployment: a configured, long-lived instance of an app.

    Attributes:
        id: the deployment's id.
        name: its name.
        app: display name of the app.
        owner: account that published the app.
        version: pinned version; None takes the highest production version of the day.
        output_dir: folder that takes the output of its runs, or None for the default.
        retention: what is deleted by itself after a run's end, or None for nothing.
        keys: custom keys that its runs are given.
    """

    id: str
    name: str
    app: str = Field(validation_alias="app_name")
    app_id: str
    owner: str
    version: str | None = None
    output_workspace: str | None = None
    output_dir: str | None = None
    retention: Retention | None = None
    settings: dict[str, Any] | None = None
    created_at: _MillisecondsTime | None = Field(default=None, validation_alias="created_at_ms")
    updated_at: _MillisecondsTime | None = Field(default=None, validation_alias="updated_at_ms")


_Info = TypeVar("_Info")


def known(info: _Info | None, thing: object) -> _Info:
    """Return the record of a thing.

    Raises:
        InvalidRequest: it was never read, because the thing was made by `.of(id)`.
    """
    if info is None:
        raise InvalidRequest(
            f"Nothing is known of {thing!r} yet, since of(id) does not ask the server. Call "
            "refresh() first, or get(id) instead of of(id)."
        )
    return info


def file_metadata(path: str, headers: Mapping[str, str]) -> FileMetadata:
    """Read the headers that describe a file or folder; their names ignore case."""
    is_folder = headers.get("Content-Type", "").startswith("application/json")
    size = headers.get("Content-Length")
    modified = headers.get("Last-Modified")
    return FileMetadata(
        path=path,
        is_folder=is_folder,
        size_bytes=int(size) if size and not is_folder else None,
        modified_at=email.utils.parsedate_to_datetime(modified) if modified else None,
    )

"""What goes into pipelines of records and what comes out of them: chunks, results and statuses."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import msgspec
from pydantic import Field

from longshore import ids
from longshore.errors import InvalidRequest
from longshore.sdk.records import Record

Inputs = Sequence[Mapping[str, Any] | Sequence[Any]]
"""Records: mappings, or rows below a first row with the names of the columns."""
_CHUNK_RECORDS = 200


class ChunkData(msgspec.Struct, kw_only=True):
    """The data of a chunk.

    Attributes:
        inputs: records: mappings, or rows below a first row with the names of the columns.
        parameters: inputs that all records of the chunk have in common.
        summary: figures over all records, such as {"ignore_error": False, "aggregation":
            [{"output_name": "total", "operator": "SUM"}]}; SUM, AVG, MIN, MAX and COUNT.
    """

    inputs: Inputs
    parameters: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] | None = None

    @property
    def records(self) -> int:
        """How many records these are, without the row of names."""
        return len(self.inputs) - is_columnar(self.inputs)


class BatchChunk(msgspec.Struct, kw_only=True):
    """A chunk of records: computed by one worker at once, and pulled as one.

    Attributes:
        id: up to 200 characters, unique in its pipeline; made by the client unless given.
        data: the records.
        size: how many records these are; counted unless given.
    """

    data: ChunkData
    id: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        """Count the records where that was left open."""
        if self.size is None:
            self.size = self.data.records


def is_columnar(inputs: Sequence[Any]) -> bool:
    """Return whether records are given as rows below a row of names."""
    return bool(inputs) and isinstance(inputs[0], list | tuple)


def create_chunks(
    inputs: Inputs,
    chunk_size: int = _CHUNK_RECORDS,
    *,
    headers: Sequence[str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
) -> list[BatchChunk]:
    """Split records into as few chunks as the size allows, evenly: sizes differ by one at most.

    Args:
        inputs: mappings, or rows below a first row of names; it is not changed.
        chunk_size: most records of a chunk.
        headers: the names of the columns, where `inputs` are rows without them.
        parameters: inputs that all records have in common.
        summary: figures to compute over each chunk; see `ChunkData`.

    Returns:
        Chunks with ids of their own, in order; each has at least one record, so that no records
        give no chunks.

    Raises:
        InvalidRequest: `chunk_size` is below 1.
    """
    if chunk_size < 1:
        raise InvalidRequest(f"chunk_size is {chunk_size}; give the most records of a chunk.")
    head: list[Any] = []
    first = 0
    if headers is not None:
        head = [list(headers)]
    elif is_columnar(inputs):
        head, first = [inputs[0]], 1
    count = len(inputs) - first
    chunks = -(-count // chunk_size)
    bounds = [first + count * number // chunks for number in range(chunks)] + [len(inputs)]
    return [
        BatchChunk(
            id=ids.new("ck"),
            data=ChunkData(
                inputs=[*head, *inputs[start:end]], parameters=parameters, summary=summary
            ),
            size=end - start,
        )
        for start, end in itertools.pairwise(bounds)
    ]


class PulledChunk(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a chunk.

    Attributes:
        id: of the chunk.
        outputs: in the form of its inputs: mappings, or rows below a row of names; None, or a row
            of None, for a record that has errors.
        warnings: for each record None, or a list of {"source_path", "message"}.
        errors: for each record None, or a list of {"error_category", "error_type",
            "additional_details", "source_path", "message"}.
        process_time: for each record, in milliseconds.
        summary_output: the figures that were asked for.
    """

    id: str
    outputs: list[Any]
    warnings: list[list[dict[str, Any]] | None] = []
    errors: list[list[dict[str, Any]] | None] = []
    process_time: list[float] = []
    summary_output: list[Any] = []


class PipelineStatus(Record):
    """Where a pipeline stands; see the protocol for the rest of what a server may say.

    Attributes:
        batch_status: created, in_progress, closed, closed_by_timeout, completed,
            completed_by_timeout, failed or cancelled.
        records_submitted: how many were pushed.
        records_completed: how many were computed, pulled or not.
        records_available: how many can be pulled.
        workers_in_use: how many chunks are computed just now.
    """

    batch_status: str
    pipeline_status: str = ""
    records_submitted: int = Field(default=0, validation_alias="record_submitted")
    records_completed: int = 0
    records_available: int = 0
    chunks_submitted: int = 0
    chunks_completed: int = 0
    chunks_available: int = 0
    compute_time_ms: float = 0.0
    input_buffer_used_bytes: int = 0
    input_buffer_remaining_bytes: int = 0
    output_buffer_used_bytes: int = 0
    output_buffer_remaining_bytes: int = 0
    workers_in_use: int = 0


class PipelineSummary(Record):
    """What became of a pipeline's records; times in milliseconds."""

    records_submitted: int = 0
    records_completed: int = 0
    records_failed: int = 0
    records_retried: int = 0
    chunks_submitted: int = 0
    chunks_completed: int = 0
    chunks_failed: int = 0
    chunks_retried: int = 0
    input_size_bytes: int = 0
    output_size_bytes: int = 0
    avg_compute_time_ms: float = 0.0
    compute_time_ms: float = 0.0
    batch_time_ms: float = 0.0


class PipelineInfo(Record):
    """The record of a pipeline.

    Attributes:
        service_uri: what computes it, such as "folder/name[1.0.0]".
        batch_status: as in `PipelineStatus`.
        created_by: name of the key that made it.
        summary: what became of its records so far.
        configuration: the settings that it was made with.
    """

    id: str
    service_uri: str = ""
    service_id: str | None = None
    version_id: str | None = None
    batch_status: str = ""
    pipeline_status: str = ""
    correlation_id: str | None = None
    source_system: str | None = None
    created_by: str | None = None
    created_at: datetime | None = Field(default=None, validation_alias="created_timestamp")
    updated_at: datetime | None = Field(default=None, validation_alias="updated_timestamp")
    summary: PipelineSummary = PipelineSummary()
    configuration: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of_answer(cls, answer: Mapping[str, Any]) -> Self:
        """Return the record in the protocol's envelope {"object", "id", "data"}.

        Raises:
            ValueError: it is not such an envelope (pydantic's ValidationError).
        """
        return cls.model_validate({**(answer.get("data") or {}), "id": answer.get("id")})


class PipelineUse(Record):
    """What the organisation's pipelines hold and may hold together."""

    input_buffer_used_bytes: int = 0
    input_buffer_remaining_bytes: int = 0
    output_buffer_used_bytes: int = 0
    output_buffer_remaining_bytes: int = 0
    workers_in_use: int = 0


class PipelinesInfo(Record):
    """The caller's pipelines.

    Attributes:
        in_progress: those that are not over.
        recent: those that ended within the last hour.
        use: what they hold together.
    """

    in_progress: tuple[PipelineInfo, ...]
    recent: tuple[PipelineInfo, ...]
    use: PipelineUse = PipelineUse()


class PipelineStats(msgspec.Struct, frozen=True):
    """What was pushed through one `Pipeline` object: records of each chunk, by its id."""

    chunks: dict[str, int]

    @property
    def records(self) -> int:
        """How many records these are."""
        return sum(self.chunks.values())

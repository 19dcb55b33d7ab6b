"""What the pipelines surface keeps and takes, as structs; the facts are those of `cspark` 0.3.3."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.wire.worker import InputField


class VersionDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a version of a service says of itself, beside its name and number."""

    description: str = ""
    batch: bool = False
    timeout_s: float | None = None
    """Time limit of one record, in seconds."""
    inputs: list[InputField] | None = None
    """None where it takes whatever a record has."""
    outputs: list[str] | None = None
    """None where it does not say."""
    subservices: dict[str, list[str]] = {}
    attempts_max: int = 10
    sha256: str | None = None
    """Checksum of a workbook, 64 hexadecimal digits."""
    size_bytes: int | None = None
    """Size of a workbook."""


class PipelineSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a pipeline was made; lengths in bytes are columns of their own."""

    source_system: str | None = None
    correlation_id: str | None = None
    call_purpose: str | None = None
    unique_record_key: list[str] | None = None
    """Names of inputs that tell a person which record it is."""
    outputs: list[str] | None = None
    """Only these outputs are wanted, those of the subservices among them; all unless given."""
    subservices: list[str] | None = None
    acceptable_error_percentage: float = 0.0
    initial_workers: int | None = None
    max_workers: int | None = None
    chunks_per_request: int | None = None
    runner_thread_count: int | None = None


class PushedData(msgspec.Struct, frozen=True):
    """`data` of a pushed chunk; the records are counted and not looked into."""

    inputs: list[msgspec.Raw]
    parameters: dict[str, msgspec.Raw] | None = None
    summary: dict[str, msgspec.Raw] | None = None


class PushedChunk(msgspec.Struct, frozen=True):
    """A chunk as it is pushed. What it says of its size is not relied on, and not read."""

    data: msgspec.Raw
    id: Any = None
    """Text; empty or null where the server is to make one."""


class Push(msgspec.Struct, frozen=True):
    """POST /{tenant}/api/v4/batch/{id}/chunks."""

    chunks: list[PushedChunk]


class Aggregation(msgspec.Struct, frozen=True):
    """One figure over an output of all records of a chunk."""

    output_name: str
    operator: str
    """SUM, AVG, MIN, MAX or COUNT, in any case."""


class Summary(msgspec.Struct, frozen=True):
    """`summary` of a chunk."""

    ignore_error: bool = False
    """Whether records with errors are passed over; otherwise one of them leaves no figure."""
    aggregation: list[Aggregation] = []
    return_all_records: bool = True
    """Whether the outputs of the records are wanted beside the figures."""

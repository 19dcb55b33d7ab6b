"""What `client.pipeline(...)` takes and gives besides outputs: options, failures and summaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypedDict

from longshore.errors import LongshoreError
from longshore.sdk._records import Format

OnError = Literal["raise", "yield", "skip"]


class RecordFailed(LongshoreError):
    """A record could not be computed; the others are not affected.

    Attributes:
        index: position of the record in the input, from 0.
        input: the record, as it was pushed.
        errors: what the service says: {"error_category", "error_type", "additional_details",
            "source_path", "message"} each.
    """

    code: ClassVar[str] = "record_failed"

    def __init__(self, index: int, input: Any, errors: list[dict[str, Any]]) -> None:  # noqa: A002
        """Name the record and its first error."""
        first = errors[0] if errors else {}
        message = str(first.get("message") or first.get("error_type") or "no message")
        super().__init__(
            f"Record {index} has an error: {message}",
            details={"index": index, "errors": errors},
        )
        self.index = index
        self.input = input
        self.errors = errors

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the exception travel between processes."""
        return type(self), (self.index, self.input, self.errors)


@dataclass(frozen=True, slots=True)
class RecordWarning:
    """What a service warns of at a record.

    Attributes:
        index: position of the record in the input, from 0.
        message: what it says.
        source_path: where in the service, if it says so.
    """

    index: int
    message: str
    source_path: str = ""


@dataclass(frozen=True, slots=True)
class MapSummary:
    """What became of the records of one `map`.

    Attributes:
        records: how many came back, failed ones too; of a resumed run those of all its runs.
        failed: how many of them have errors.
        warnings: how many warnings there were (of this run).
        resumed: how many of the records were there already when this run began.
        seconds: how long this run took.
        compute_ms: how long workers computed, together (of this run's pipeline).
        pipeline_id: the pipeline, for `client.pipelines.of`; empty where none was needed.
    """

    records: int = 0
    failed: int = 0
    warnings: int = 0
    resumed: int = 0
    seconds: float = 0.0
    compute_ms: float = 0.0
    pipeline_id: str = ""

    @property
    def records_per_s(self) -> float:
        """Records of this run in a second."""
        return (self.records - self.resumed) / self.seconds if self.seconds else 0.0


class MapOptions(TypedDict, total=False):
    """How to map over records; every key may be left out.

    Attributes:
        ordered: give outputs in the order of the input (default), or as they are computed.
        indexed: give (index, output) in place of the output.
        chunk_size: records in a chunk; found by itself unless given: about a third of a second of
            computing, or a megabyte.
        parameters: inputs that all records have in common.
        on_error: what a record with an error does: "raise" RecordFailed in its place (default),
            "yield" the RecordFailed in place of the output, or "skip" it.
        on_warning: is called with each RecordWarning; default logs them as `longshore.sdk`.
        progress: show a bar with rate and estimate where standard error is a terminal.
        format: of an input file: "jsonl", "csv", "tsv" or "parquet"; default goes by its name.
        in_flight: most records that were taken from the input and whose outputs were not yet
            given (default 500,000); fewer where they are large.
    """

    ordered: bool
    indexed: bool
    chunk_size: int | None
    parameters: Mapping[str, Any] | None
    on_error: OnError
    on_warning: Callable[[RecordWarning], object] | None
    progress: bool
    format: Format | None
    in_flight: int

"""`longshore map`: compute the records of a file with a service, and write the outputs to a file."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import note, printable
from longshore.cli.exit_codes import ExitCode
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore.sdk import MapSummary, RecordWarning

_STREAM = "-"
_SHOWN_WARNINGS = 10


ServiceArgument = Annotated[
    str, typer.Argument(metavar="SERVICE", help="Such as folder/name or folder/name[1.4].")
]
SourceArgument = Annotated[
    str,
    typer.Argument(metavar="INPUT", help="A .jsonl, .csv, .tsv or .parquet file; - is stdin."),
]
OutputOption = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="A .jsonl or .csv file; - is stdout."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with a run that was interrupted.")
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Begin anew where the output is there already.")
]
ErrorsOption = Annotated[
    Path | None,
    typer.Option("--errors", metavar="FILE", help="JSONL file for the records that failed."),
]
StopOption = Annotated[
    bool, typer.Option("--stop-on-error", help="Stop at the first record that fails.")
]
OrderedOption = Annotated[
    bool,
    typer.Option("--ordered/--unordered", help="In the order of the input, or as computed."),
]
IndexOption = Annotated[
    bool, typer.Option("--index", help="Write with each output the position of its record.")
]
ChunkSizeOption = Annotated[
    int | None,
    typer.Option("--chunk-size", help="Records in a chunk; found by itself unless given."),
]
ParametersOption = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="An input of all records."),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Of the input: jsonl, csv, tsv or parquet.")
]


def map_(
    service: ServiceArgument,
    source: SourceArgument,
    output: OutputOption = _STREAM,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    errors: ErrorsOption = None,
    stop: StopOption = False,
    ordered: OrderedOption = True,
    index: IndexOption = False,
    chunk_size: ChunkSizeOption = None,
    parameters: ParametersOption = None,
    input_format: FormatOption = None,
    server: ServerOption = None,
) -> None:
    """Compute each record of a file with a service.

    A run that was stopped or killed, also by a crash of the machine, goes on with --resume: every
    record is in the output exactly once. Records that fail are left out and counted, and the exit
    code is 1; --errors keeps them.
    """
    given = {name: _value(value) for name, value in map(_split, parameters or [])}
    warned = _Warnings()
    options: dict[str, Any] = {
        "ordered": ordered,
        "indexed": index,
        "chunk_size": chunk_size,
        "parameters": given or None,
        "on_error": "raise" if stop else "skip",
        "on_warning": warned,
        "format": input_format or ("jsonl" if source == _STREAM else None),
        "progress": True,
    }
    streamed = output == _STREAM
    if streamed and (resume or overwrite):
        raise InvalidRequest("--resume and --overwrite are for an output that is a file; give -o.")
    with open_client(server) as client, client.pipeline(service) as pipeline:
        try:
            summary = pipeline.map(
                sys.stdin.buffer if source == _STREAM else source,
                to=sys.stdout.buffer if streamed else output,
                resume=resume,
                overwrite=overwrite,
                errors=errors,
                **options,
            )
        except BaseException:
            if not streamed and Path(f"{output}.journal").exists():
                note(f"{pipeline.summary.records:,} records are done; go on with --resume")
            raise
    if resume and not summary.pipeline_id:
        note(f"{output} is complete")
        return
    note(_told(summary, errors))
    if summary.failed:
        raise typer.Exit(int(ExitCode.FAILED))


class _Warnings:
    """Shows the first warnings of a run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, warning: RecordWarning) -> None:
        self._count += 1
        if self._count <= _SHOWN_WARNINGS:
            note(f"record {warning.index}: warning: {printable(warning.message)}")
        if self._count == _SHOWN_WARNINGS:
            note("further warnings are counted and not shown")


def _told(summary: MapSummary, errors: Path | None) -> str:
    """Return the line at the end."""
    parts = [f"{summary.records:,} records"]
    parts += [f"{summary.resumed:,} of them from before"] if summary.resumed else []
    where = f" (see {errors})" if errors is not None and summary.failed else ""
    parts.append(f"{summary.failed:,} failed{where}")
    parts += [f"{summary.warnings:,} warnings"] if summary.warnings else []
    parts.append(f"{summary.seconds:.1f} s, {summary.records_per_s:,.0f} records/s")
    return ", ".join(parts)


def _split(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise InvalidRequest(f"--parameter {text!r} is not NAME=VALUE, such as --parameter rate=2.")
    return name.strip(), value


def _value(text: str) -> Any:
    """Return a value that is spelled as JSON, and text for all else."""
    with suppress(ValueError):
        return json.loads(text)
    return text

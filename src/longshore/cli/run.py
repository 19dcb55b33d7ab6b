"""`longshore run`: give files to an app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import emit_json, note, out, printable
from longshore.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from longshore.sdk import Run


def run(
    app: Annotated[
        str, typer.Argument(metavar="APP", help='Name of the app, such as "Meal Receipt".')
    ],
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES...", help="Files, folders, or quoted patterns (*.jpg)."),
    ],
    owner: Annotated[
        str | None, typer.Option("--owner", help="Account that published the app.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="Version of the app; default is the highest.")
    ] = None,
    batch_name: Annotated[
        str | None, typer.Option("--batch-name", help="Name of the batch that takes the files.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Wait until it is done and show how it goes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run as JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """Upload files into a batch and run an app over them.

    With --watch the exit code is 1 when a file failed. Without it, the command ends as soon as
    the run is accepted; follow it with `longshore why RUN` and `longshore results RUN`.
    """
    with open_client(server) as client:
        if batch_name is None:
            started = client.run(app, files=list(files), owner=owner, version=version)
        else:
            batch = client.batches.create(batch_name).add_files(list(files))
            started = client.runs.create(app, batch=batch, owner=owner, version=version)
        if watch:
            note(f"run {started.id}")
            started.wait(progress=True)
        info = started.info
        if as_json and info is not None:
            emit_json(info.model_dump(mode="json"))
        elif watch:
            out(_summary(started))
            note(f"next: longshore results {started.id}")
        else:
            out(started.id)
            note(f"next: longshore why {started.id}, longshore results {started.id}")
        if watch and not _went_well(started):
            raise typer.Exit(int(ExitCode.FAILED))


def _went_well(run: Run) -> bool:
    counts = run.counts
    return run.status == "COMPLETE" and (counts is None or counts.failed + counts.cancelled == 0)


def _summary(run: Run) -> str:
    counts = run.counts
    numbers = ""
    if counts is not None:
        numbers = f": {counts.submitted} files, {counts.done} done, {counts.failed} failed"
        numbers += f", {counts.cancelled} cancelled" if counts.cancelled else ""
    text = f"{run.status.value}{numbers}"
    return f"{text}. {printable(run.message)}" if run.message and run.status != "COMPLETE" else text

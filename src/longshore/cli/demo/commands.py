"""The commands of `longshore demo`; what they do is loaded when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def receipts(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder with images or PDFs of receipts; without it, twelve are drawn.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    kills: Annotated[
        int, typer.Option("--kills", min=0, max=4, help="How often to kill the worker meanwhile.")
    ] = 3,
) -> None:
    """Read receipts with OCR while the worker is killed with kill -9, then clean up.

    Starts a server and a worker in a temporary directory, uploads the receipts, runs the receipts
    app over them, kills the worker in the middle of it, and counts from the event log what was
    lost (0), recorded twice (0) and run again. Then it deletes everything and looks whether
    anything is left.
    """
    from longshore.cli.demo.receipts import demonstrate

    raise typer.Exit(int(demonstrate(folder, kills=kills)))


def crash(
    files: Annotated[
        int, typer.Option("--files", min=10, max=1000, help="How many small files to work on.")
    ] = 300,
    kills: Annotated[
        int, typer.Option("--kills", min=0, max=10, help="How often to kill the worker meanwhile.")
    ] = 3,
) -> None:
    """Kill a worker with kill -9 while it works, and lose nothing.

    Starts a server and a worker in a temporary directory, gives them small files, kills the
    worker, and counts from the event log what was lost (0), recorded twice (0) and run again.
    """
    from longshore.cli.demo.crash import demonstrate

    raise typer.Exit(int(demonstrate(files, kills=kills)))

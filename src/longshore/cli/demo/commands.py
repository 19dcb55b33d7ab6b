"""The commands of `longshore demo`; what they do is loaded when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

OwnOption = Annotated[
    bool,
    typer.Option(
        "--own-server",
        help="Start a server for the demo, even if one runs here; nothing of it is left.",
    ),
]


def receipts(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder with images or PDFs of receipts; without it, twelve are made.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    text: Annotated[
        bool, typer.Option("--text", help="Read text files, even if OCR is installed.")
    ] = False,
    kills: Annotated[
        int, typer.Option("--kills", min=0, max=4, help="How often to kill the worker meanwhile.")
    ] = 0,
    own: OwnOption = False,
) -> None:
    """Read a dozen receipts: merchant, date, total, and which of them a person should look at.

    With the extra [ocr] they are pictures and PDFs, read with OCR; otherwise text files. Runs on
    the server that `longshore up` runs here, where the run can be looked at afterwards. Where none
    runs it starts one of its own, deletes everything at the end and looks whether anything is left.
    """
    from longshore.cli.demo.receipts import demonstrate

    raise typer.Exit(int(demonstrate(folder, kills=kills, own=own, text=text)))


def crash(
    records: Annotated[
        int, typer.Option("--records", min=50, max=20_000, help="How many records to work on.")
    ] = 2000,
    kills: Annotated[
        int, typer.Option("--kills", min=0, max=4, help="How often to kill the worker meanwhile.")
    ] = 3,
    own: OwnOption = False,
) -> None:
    """Kill a worker with kill -9 while it works, and lose nothing.

    Deposits records, kills the worker three times, and counts from the log of events of each
    record: what is done, what was lost (0), recorded twice (0) and executed again. Runs on the
    server that `longshore up` runs here, or on one of its own.
    """
    from longshore.cli.demo.crash import demonstrate

    raise typer.Exit(int(demonstrate(records, kills=kills, own=own)))


ServerOption = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="Address of a running server; found by itself."),
]


def everything(
    for_s: Annotated[
        float | None,
        typer.Option(
            "--for", min=0, metavar="SECONDS", help="Go on for so long, not until Ctrl-C."
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Fill it, wait for what ends by itself, and leave.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Fill every surface of a running server with living data, for a look around.

    Deposits works, runs apps, pipelines, workflows and a process over a corpus, starts workers for
    them, and adds a little new work each second until Ctrl-C, so that there is something to see
    everywhere. Failures, retries and things that wait for a person are among it. Take it away
    again with `longshore demo clear`. Needs an admin's key.
    """
    from longshore.cli.demo.living import live

    raise typer.Exit(int(live(server, for_s=for_s, once=once)))


def clear(server: ServerOption = None) -> None:
    """Delete what the demos made on a running server, and say how much that was.

    Workflows are retired and keys revoked, since the server keeps their names for its history.
    """
    from longshore.cli.demo.living import clear_away

    raise typer.Exit(int(clear_away(server)))

"""`longshore top`: what goes on, live, in a terminal."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.errors import ConfigurationError


def top(
    interval_s: Annotated[
        float,
        typer.Option("--interval", metavar="SECONDS", min=0.2, max=60, help="Pause between looks."),
    ] = 1.0,
    server: ServerOption = None,
) -> None:
    """Show queues, workers, running works and what needs a person, live, in this terminal.

    Tab goes from table to table, the arrows from row to row. Enter says why a work is where it is,
    or shows what its queue waits for; h holds a queue or releases it, c cancels a work, and both
    ask first; q leaves. Needs the extra [tui].
    """
    if importlib.util.find_spec("textual") is None:
        raise ConfigurationError(
            "`longshore top` draws with textual, which is not installed. Install it with "
            "pip install 'longshore[tui]', or look at the dashboard, which needs nothing more."
        )
    from longshore.cli.top_screen import Top

    with open_client(server) as client:
        client.whoami()
        Top(client, interval_s=interval_s).run()

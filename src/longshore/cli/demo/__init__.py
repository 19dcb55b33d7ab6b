"""`longshore demo`: see it work, on a server of its own that is gone afterwards."""

from __future__ import annotations

import typer

from longshore.cli.demo import commands

app = typer.Typer(
    help="See it work, on a server of its own that is gone afterwards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("receipts")(commands.receipts)
app.command("crash")(commands.crash)

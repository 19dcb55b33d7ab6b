"""`longshore demo`: see it work."""

from __future__ import annotations

import typer

from longshore.cli.demo import commands

app = typer.Typer(
    help="See it work: receipts, a worker that is killed, and a look at everything.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("receipts")(commands.receipts)
app.command("crash")(commands.crash)
app.command("all")(commands.everything)
app.command("clear")(commands.clear)

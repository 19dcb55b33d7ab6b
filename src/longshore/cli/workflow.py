"""`longshore workflow`: check, apply, compare and list definitions of workflows, and what starts them."""

from __future__ import annotations

import typer

from longshore.cli import workflow_planning

app = typer.Typer(
    help="Define workflows of scripts, and see what starts them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _workflow() -> None:
    """Define workflows of scripts, and see what starts them."""


workflow_planning.register(app)

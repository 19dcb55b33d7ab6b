"""`longshore workers`: who serves."""

from __future__ import annotations

from typing import Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, listing

_COLUMNS = (
    Column("id", "WORKER"),
    Column("name", "NAME"),
    Column("online", "ONLINE"),
    Column("slots", "SLOTS", "number"),
    Column("running", "RUNNING", "number"),
    Column("last_claim_at", "LAST CLAIM", "time"),
    Column("seen_at", "LAST SEEN", "time"),
    Column("version", "VERSION"),
)


def workers(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have gone.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """List the workers that are online."""
    with open_client(server) as client:
        found = client.workers.list()
    shown = [worker for worker in found if everything or worker.online]
    listing(
        [worker.model_dump(mode="json") for worker in shown],
        _COLUMNS,
        as_json=as_json,
        empty="No worker is online. Start one: longshore worker MODULE_OR_FILE",
    )

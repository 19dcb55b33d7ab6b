"""How the commands reach a server: the option --server, and the client that it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from longshore import Client

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Address of the server; default is LONGSHORE_URL or the server on this machine.",
    ),
]


def open_client(server: str | None = None) -> Client:
    """Return a client of the server that is named, or of the one that is found."""
    from longshore import Client

    return Client(url=server)

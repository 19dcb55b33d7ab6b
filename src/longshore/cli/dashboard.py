"""`longshore dashboard`: a link that signs in."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import emit_json, out


def dashboard(
    server: ServerOption = None,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open it in this machine's browser, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a link to the dashboard that signs in once, within ten minutes, as the key in use."""
    with open_client(server) as client:
        link = client.keys.sign_in_link()
    if as_json:
        emit_json({"url": link})
    else:
        out(link)
    if open_it:
        webbrowser.open(link)

"""`longshore secret`: set, list and remove what workers read by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, can_ask, emit_json, listing, out, printable
from longshore.errors import ConfigurationError

app = typer.Typer(
    help="Set, list and remove secrets, which workers read by name.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = (
    Column("name", "SECRET"),
    Column("created_at", "CREATED", "time"),
    Column("updated_at", "UPDATED", "time"),
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help='Name of the secret, such as "token" or "services/ocr.json".'
    ),
]


@app.command("set")
def set_secret(
    name: Name,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="Take the value from this file, as it is."),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Set a secret; its value is asked for, or read from standard input or a file.

    It is never taken from the command line, where other users of the machine can see it.
    """
    value = _value(file)
    with open_client(server) as client:
        stored = client.secrets.set(name, value)
    if as_json:
        emit_json(stored.model_dump(mode="json"))
    else:
        out(f"{printable(stored.name)}: set")


@app.command("list")
def list_secrets(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the secrets; their values are not shown."""
    with open_client(server) as client:
        found = [secret.model_dump(mode="json") for secret in client.secrets.list()]
    listing(found, _COLUMNS, as_json=as_json, empty="There are no secrets.")


@app.command("rm")
def remove(name: Name, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Remove a secret."""
    with open_client(server) as client:
        client.secrets.remove(name)
    if as_json:
        emit_json({"name": name, "removed": True})
    else:
        out(f"{printable(name)}: removed")


def _value(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{file} cannot be read as text ({error}). A secret is a text in UTF-8."
            ) from error
    if can_ask():
        value: str = typer.prompt("Value", hide_input=True, err=True)
        return value
    # One line end at the end belongs to `echo`, not to the secret.
    return sys.stdin.read().removesuffix("\n")

"""`longshore key`: make, list and revoke API keys, with or without a running server."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from longshore.cli.console import Column, emit_json, listing, note, out, printable
from longshore.errors import ConfigurationError

app = typer.Typer(
    help="Make, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None
)

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_COLUMNS = (
    Column("id", "KEY"),
    Column("name", "NAME"),
    Column("role", "ROLE"),
    Column("workspace", "WORKSPACE"),
    Column("created", "CREATED", "time"),
    Column("expires", "EXPIRES", "time"),
    Column("last_used", "LAST USED", "time"),
    Column("revoked", "REVOKED", "time"),
)


class RoleName(StrEnum):
    """What a key may do."""

    viewer = "viewer"
    operator = "operator"
    developer = "developer"
    worker = "worker"
    ingress = "ingress"
    admin = "admin"


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data directory of a server on this machine; works also while it is stopped.",
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="Database of the stopped server, where it is not the one in its data directory.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ServerOption = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="Address of a running server.")
]


@app.command("create")
def create(
    role: Annotated[RoleName, typer.Option("--role", help="What the key may do.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Name shown in listings and in the audit log.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="Keep the key inside this workspace.")
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in", metavar="TIME", help="Let it end by itself, as after 12h or 30d."
        ),
    ] = None,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Make an API key and print it; it is shown this once.

    With --data it works for the server that keeps its data there. When that server runs it is
    asked, else its database is opened under the server's lock.
    """
    from longshore.cli.keyring import open_keyring

    lifetime_s = None if expires_in is None else seconds(expires_in)
    with open_keyring(server, data, database) as keyring:
        made = keyring.create(
            name or f"{role.value} key", role.value, workspace=workspace, lifetime_s=lifetime_s
        )
    if as_json:
        emit_json(made)
        return
    out(str(made["key"]))
    note(f"{made['id']}, role {role.value}. Keep it safe: it cannot be shown again.")


@app.command("list")
def list_keys(
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones too.")] = False,
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the keys of the organisation; their secrets are kept nowhere."""
    from longshore.cli.keyring import open_keyring

    with open_keyring(server, data, database) as keyring:
        found = keyring.list()
    shown: list[dict[str, Any]] = [key for key in found if everything or not key["revoked"]]
    listing(shown, _COLUMNS, as_json=as_json, empty="There are no keys.")


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of the key (ky_...).")],
    data: DataOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """End a key at once, on all servers."""
    from longshore.cli.keyring import open_keyring

    with open_keyring(server, data, database) as keyring:
        ended = keyring.revoke(key)
    if as_json:
        emit_json(ended)
    else:
        out(f"{ended['id']} {printable(ended['name'])}: revoked")


def seconds(text: str) -> float:
    """Return the seconds in a time such as 90s, 15m, 12h, 30d or 2w.

    Raises:
        ConfigurationError: the text is not a time.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().casefold())
    if match is None:
        raise ConfigurationError(f"{text!r} is not a time; write it as 15m, 12h, 30d or 2w.")
    return float(match[1]) * _UNITS_S[match[2]]

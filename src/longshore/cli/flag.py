"""`longshore flag`: tell workflows that a source system has delivered, for a business date."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, out, printable
from longshore.cli.scripts_calls import fetch

app = typer.Typer(
    help="Set, list and clear flags, which steps and workflows wait for.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS: Final = (
    Column("name", "FLAG"),
    Column("systemName", "SYSTEM"),
    Column("sourceSystemName", "SOURCE SYSTEM"),
    Column("date", "DATE"),
    Column("setAt", "SET", "time"),
    Column("setBy", "BY"),
)
_PAGE: Final = 1_000

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the flag.")]
SystemOption = Annotated[
    str, typer.Option("--system", metavar="NAME", help="System that it is for.")
]
SourceOption = Annotated[
    str, typer.Option("--source-system", metavar="NAME", help="System that it comes from.")
]
DateOption = Annotated[
    str, typer.Option("--date", metavar="YYYY-MM-DD", help="Business date that it is for.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("set")
def set_flag(
    name: NameArgument,
    date: DateOption,
    system: SystemOption = "",
    source_system: SourceOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Set a flag for a business date; what waits for it goes on."""
    body = {
        "name": name,
        "systemName": system,
        "sourceSystemName": source_system,
        "date": date,
    }
    stored = fetch(server, "POST", "/flag", body, repeatable=True)
    if as_json:
        emit_json(stored)
    else:
        done = "set" if stored["created"] else f"was set already, by {stored['setBy']}"
        out(f"{printable(name)} of {stored['date']}: {printable(done)}")


@app.command("list")
def list_flags(
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Only flags of this name.")
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="NAME", help="Only for this system.")
    ] = None,
    source_system: Annotated[
        str | None, typer.Option("--source-system", metavar="NAME", help="Only from this system.")
    ] = None,
    date: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Only for this date.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_PAGE, help="At most so many.")] = 100,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the flags that are set, the latest dates first."""
    query = {
        "name": name,
        "systemName": system,
        "sourceSystemName": source_system,
        "date": date,
        "limit": limit,
    }
    found = fetch(server, "GET", "/flag", query=query)["flags"]
    listing(found, _COLUMNS, as_json=as_json, empty="No such flag is set.")


@app.command("clear")
def clear(
    name: NameArgument,
    date: DateOption,
    system: SystemOption = "",
    source_system: SourceOption = "",
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the audit log.")
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Take a flag back; what it has started goes on."""
    query = {
        "name": name,
        "systemName": system,
        "sourceSystemName": source_system,
        "date": date,
        "reason": reason,
    }
    cleared = fetch(server, "DELETE", "/flag", query=query)
    if as_json:
        emit_json(cleared)
    else:
        out(f"{printable(name)} of {cleared['date']}: cleared")

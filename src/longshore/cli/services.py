"""`longshore service`: look at services, and make some out of workbooks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, listing, out, printable
from longshore.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from longshore.sdk.services import Service, ServiceVersion

app = typer.Typer(
    help="Look at services, and make some out of workbooks.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = (
    Column("uri", "SERVICE"),
    Column("kind", "KIND"),
    Column("workers", "WORKERS", "number"),
    Column("active_since", "ACTIVE SINCE", "time"),
    Column("id", "VERSION ID"),
)
_INPUTS = (
    Column("name", "INPUT"),
    Column("kind", "KIND"),
    Column("required", "REQUIRED"),
    Column("default", "DEFAULT"),
)
_SEVERAL: Final = ("--inputs", "--outputs")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
VersionName = Annotated[
    str,
    typer.Argument(metavar="VERSION", help='A version, such as "folder/name[1.0.0]", or its id.'),
]


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeat an option before each of its values: --inputs A B becomes --inputs A --inputs B."""
    found: list[str] = []
    option: str | None = None
    held = False
    for argument in arguments:
        if argument.startswith("-"):
            name = argument.partition("=")[0]
            option = name if name in _SEVERAL else None
            held = option is not None and "=" not in argument
            found.append(argument)
        elif option is not None and not held:
            found += [option, argument]
        else:
            found.append(argument)
            held = False
    return found


class _Several(TyperCommand):
    """A command with options that take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments of the command."""
        return super().parse_args(ctx, spread(args))


@app.command("add", cls=_Several)
def add(
    workbook: Annotated[
        Path, typer.Argument(metavar="WORKBOOK", help="An .xlsx file.", show_default=False)
    ],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--inputs",
            metavar="NAME...",
            help="Defined names of cells that a record sets; several, or the option repeated.",
            show_default=False,
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Option(
            "--outputs",
            metavar="NAME...",
            help="Defined names of cells whose values are returned.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="FOLDER/NAME",
            help='Name of the service; "workbooks/" and the name of the file unless given.',
        ),
    ] = None,
    version: Annotated[
        str | None,
        typer.Option("--version", help='Such as "1.0.0"; the next one unless given.'),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Make a service out of a workbook: named cells go in, named cells come out."""
    with open_client(server) as client:
        added = client.services.add_workbook(
            workbook, name=name, inputs=inputs, outputs=outputs, version=version
        )
    if as_json:
        emit_json(added.model_dump(mode="json"))
        return
    out(f"{printable(added.uri)}: {'added' if added.made else 'was there already'}")
    for output in added.outputs or ():
        value = repr(added.example[output]) if output in added.example else "an error"
        out(f"  {printable(output)} is {printable(value)} with the values in the workbook")
    if not added.workers:
        out("No worker computes workbooks now; start one with `longshore worker`.")


@app.command("list")
def list_services(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the services with their versions."""
    with open_client(server) as client:
        found = client.services.list()
    versions = [version.model_dump(mode="json") for one in found for version in one.versions]
    listing(
        versions,
        _COLUMNS,
        as_json=as_json,
        empty="There are no services yet; a worker offers them, or a workbook becomes one.",
    )


@app.command("show")
def show(version: VersionName, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Show a version of a service: its inputs and outputs."""
    with open_client(server) as client:
        found = _find(client.services.list(), version)
    if as_json:
        emit_json(found.model_dump(mode="json"))
        return
    out(f"{printable(found.uri)} ({found.kind}), {found.workers} workers, id {found.id}")
    if found.description:
        out(printable(found.description))
    if found.inputs is None:
        out("It takes whatever a record has.")
    else:
        rows = [each.model_dump(mode="json") for each in found.inputs]
        listing(rows, _INPUTS, as_json=False, empty="It has no inputs.")
    if found.outputs is not None:
        out(f"Outputs: {', '.join(printable(each) for each in found.outputs)}")


@app.command("remove")
def remove(version: VersionName, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Delete a version that nobody uses; a workbook's file goes with it."""
    with open_client(server) as client:
        found = _find(client.services.list(), version)
        gone = client.services.delete(found.id)
    if as_json:
        emit_json({"id": found.id, "uri": gone, "deleted": True})
    else:
        out(f"{printable(gone)}: deleted")


def _find(services: Sequence[Service], wanted: str) -> ServiceVersion:
    """Return the version with this id or name; a service's name will do when it has but one."""
    folded = wanted.strip().casefold()
    versions = [version for one in services for version in one.versions]
    for version in versions:
        if folded in (version.id.casefold(), version.uri.casefold()):
            return version
    of_service = [each for each in versions if each.uri.casefold().partition("[")[0] == folded]
    if len(of_service) == 1:
        return of_service[0]
    if of_service:
        names = ", ".join(each.uri for each in of_service[:10])
        raise InvalidRequest(f"{wanted!r} has several versions: {names}. Name one of them.")
    raise NotFound(f"There is no service {wanted!r}. `longshore service list` lists them.")

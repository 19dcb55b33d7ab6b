"""`longshore works`: find works by a filter, and act on all that match."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import (
    Column,
    ask,
    can_ask,
    emit_json,
    listing,
    note,
    out,
    printable,
)
from longshore.cli.exit_codes import ExitCode
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore.sdk.operations import WorksAction

app = typer.Typer(
    help="Find works by a filter, and retry, cancel, hold, release or delete all that match.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_COLUMNS = (
    Column("state", "STATE"),
    Column("id", "WORK"),
    Column("queue_name", "QUEUE"),
    Column("surface", "SURFACE"),
    Column("attempt", "ATTEMPT", "number"),
    Column("created_at", "SUBMITTED", "time"),
    Column("told", "WHY"),
)
_TOLD_CHARACTERS = 100
_ACTIONS = {
    "retry": "Queue what failed or was cancelled, of all works that fit, again now.",
    "cancel": "Cancel what is not over, of all works that fit; what runs is told to stop.",
    "hold": (
        "Let nobody claim what is queued or waits, of all works that fit, until it is released."
    ),
    "release": "Let what is held, of all works that fit, be claimed again.",
    "delete": "Delete all works of buckets that fit, in whatever state they are.",
}
FilterArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILTER",
        help="Words that must all fit, such as: state:failure queue:acme/* since:2h",
    ),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why; the audit log and each work keep it.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_works(
    filter: Annotated[  # noqa: A002 - the name that the help shows
        str,
        typer.Argument(
            metavar="[FILTER]",
            help="Words that must all fit, such as: state:failure queue:acme/* since:2h",
        ),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most works to list.")] = 50,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List the works that fit a filter, the newest first."""
    with open_client(server) as client:
        found = list(islice(client.works.find(filter), limit))
    rows = [work.model_dump(mode="json") for work in found]
    if not as_json:
        for row in rows:
            row["told"] = (row["error"] or row["reason"] or "")[:_TOLD_CHARACTERS]
    listing(rows, _COLUMNS, as_json=as_json, empty="No work fits.")


@app.command("count")
def count(
    filter: FilterArgument = "",  # noqa: A002 - the name that the help shows
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Count the works that fit a filter: exactly up to ten thousand."""
    with open_client(server) as client:
        counted = client.works.count(filter)
    if as_json:
        emit_json(counted.model_dump())
    else:
        out(f"{counted.count}{'' if counted.exact else '+'}")


def _add_command(action: str, meaning: str) -> None:
    """Add the command of an action: it counts, asks, does it, and waits for the end."""

    @app.command(action, help=meaning)
    def act(
        filter: FilterArgument,  # noqa: A002 - the name that the help shows
        reason: ReasonOption,
        yes: YesOption = False,
        as_json: JsonOption = False,
        server: ServerOption = None,
    ) -> None:
        with open_client(server) as client:
            counted = client.works.count(filter)
            if not counted.count and counted.exact:
                note("No work fits; nothing was changed.")
                return
            number = f"{counted.count}{'' if counted.exact else ' or more'}"
            if not yes:
                _ask(action, number, filter)
            done = client.works.act(
                action, filter, reason=reason, expected=counted.count if counted.exact else None
            )
        if as_json:
            emit_json(done.model_dump(mode="json"))
        else:
            _print(done)


for _action, _meaning in _ACTIONS.items():
    _add_command(_action, _meaning)


def _ask(action: str, number: str, filter: str) -> None:  # noqa: A002
    question = f"{action} {number} works that fit {printable(filter)}?"
    if not can_ask():
        raise InvalidRequest(
            f"{question} There is no terminal to ask on. Give --yes; nothing was changed."
        )
    if not ask(question):
        note("Nothing was changed.")
        raise typer.Exit(int(ExitCode.FAILED))


def _print(done: WorksAction) -> None:
    out(f"{done.action}: {done.done} works")
    for told, counts in (("left alone", done.skipped), ("failed", done.failed)):
        for why, count_of in counts.items():
            out(f"  {count_of} {told}: {printable(why)}")

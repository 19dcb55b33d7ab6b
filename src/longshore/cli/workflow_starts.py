"""`longshore workflow hosts|throttle|schedules|backfill`: where steps run, and what starts runs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, note, out, printable, table
from longshore.cli.scripts_calls import fetch, segment
from longshore.errors import InvalidRequest

_HOSTS: Final = (
    Column("name", "HOST"),
    Column("state", "STATE"),
    Column("workers", "WORKERS"),
    Column("slots", "SLOTS", "number"),
    Column("throttle", "THROTTLE", "number"),
    Column("running", "RUNNING", "number"),
    Column("queued", "READY", "number"),
    Column("held", "HELD", "number"),
    Column("seen_at", "LAST SEEN", "time"),
)
_NEXT: Final = (
    Column("words", "SCHEDULE"),
    Column("instant", "DUE", "time"),
    Column("business_date", "FOR"),
)
_PAST: Final = (
    Column("instant", "WAS DUE", "time"),
    Column("state", "STATE"),
    Column("run_id", "RUN", "number"),
    Column("why", "WHY"),
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a workflow.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `longshore workflow`."""
    app.command("hosts")(hosts)
    app.command("throttle")(throttle)
    app.command("schedules")(schedules)
    app.command("backfill")(backfill)


def hosts(
    add: Annotated[
        list[str] | None,
        typer.Option("--add", metavar="NAME", help="Make a host that no worker serves yet."),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List hosts with their workers, what runs and waits there, and their throttles."""
    for name in add or []:
        fetch(server, "PUT", f"/hosts/{segment(name)}")
    found = fetch(server, "GET", "/hosts")
    if as_json:
        emit_json(found)
        return
    rows = [{**each, "workers": ", ".join(each["workers"])} for each in found]
    empty = "There are no hosts yet: start a worker with --host NAME, or use --add NAME."
    table(rows, _HOSTS, empty=empty)


def throttle(
    host: Annotated[str, typer.Argument(metavar="HOST", help="Name of a host.")],
    most: Annotated[
        str, typer.Argument(metavar="N|none", help="Most steps at once; none for no limit.")
    ],
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Let at most N steps run on a host at once; a lower number drains, and kills nothing."""
    if most != "none" and not (most.isascii() and most.isdigit() and len(most) <= 6):
        raise InvalidRequest(f"{most!r} is no throttle; give a number from 0, or none.")
    body = {"throttle": None if most == "none" else int(most), "reason": reason}
    found = fetch(server, "POST", f"/hosts/{segment(host)}/throttle", body)
    if as_json:
        emit_json(found)
        return
    limit = "no throttle" if found["throttle"] is None else f"throttle {found['throttle']}"
    out(f"host {printable(found['name'])}: {limit}, {found['running']} running")
    if found["throttle"] is not None and found["running"] > found["throttle"]:
        note("More than that run now; they go on, and nothing starts until there is room.")


def schedules(name: NameArgument, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Show when a workflow's schedules are due next, and what came of the last instants."""
    found = fetch(server, "GET", f"/workflows/{segment(name)}/schedules")
    if as_json:
        emit_json(found)
        return
    coming = [
        {"words": each["words"], **instant}
        for each in found["schedules"]
        for instant in each["next"]
    ]
    coming.sort(key=lambda row: row["instant"])
    table(coming, _NEXT, empty=f"{printable(found['workflow'])} has no schedule.")
    if found["instants"]:
        out()
        table(found["instants"], _PAST, empty="")


def backfill(
    name: NameArgument,
    first: Annotated[str, typer.Argument(metavar="FIRST", help="First date, YYYY-MM-DD.")],
    last: Annotated[str, typer.Argument(metavar="LAST", help="Last date; it is started too.")],
    days: Annotated[
        str,
        typer.Option(
            "--days",
            metavar="all|working|holidays|last_working_day_of_month",
            help="Which dates count, by the workflow's calendar.",
        ),
    ] = "all",
    every: Annotated[
        bool,
        typer.Option("--all", help="Also dates for which a run is finished or under way."),
    ] = False,
    priority: Annotated[
        int, typer.Option("--priority", min=0, max=999, help="Lower comes first; events have 100.")
    ] = 500,
    payload: Annotated[
        str | None, typer.Option("--payload", metavar="JSON", help="What the runs start with.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which dates there are.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Start a run of a workflow for each date of a range."""
    body: dict[str, Any] = {
        "first": first,
        "last": last,
        "days": days,
        "all": every,
        "priority": priority,
        "payload": _json(payload),
        "dry_run": dry_run,
        "reason": reason,
    }
    found = fetch(server, "POST", f"/workflows/{segment(name)}/backfill", body)
    columns = (Column("business_date", "DATE"), Column("run_id", "RUN", "number"))
    if as_json:
        emit_json(found)
        return
    listing(found["runs"], columns, as_json=False, empty="No date of the range needs a run.")
    if found["left_out"]:
        count = len(found["left_out"])
        note(f"{count} {'date has' if count == 1 else 'dates have'} a run already; see --all.")


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"--payload is not JSON: {error}.") from error

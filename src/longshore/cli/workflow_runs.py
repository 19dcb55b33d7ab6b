"""`longshore workflow run|runs|status|tree|...`: start runs and see how far they are."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, note, out, printable, table
from longshore.cli.exit_codes import ExitCode
from longshore.cli.scripts_calls import fetch, segment
from longshore.errors import InvalidRequest

_RUNS: Final = (
    Column("id", "RUN"),
    Column("workflow", "WORKFLOW"),
    Column("state", "STATE"),
    Column("business_date", "DATE"),
    Column("trigger", "BY"),
    Column("done", "DONE"),
    Column("failed", "FAILED", "number"),
    Column("created", "CREATED", "time"),
    Column("finished", "FINISHED", "time"),
)
_STEPS: Final = (
    Column("name", "STEP"),
    Column("status", "STATUS"),
    Column("area", "AREA"),
    Column("host", "HOST"),
    Column("attempt", "ATTEMPT", "number"),
    Column("progress", "%", "number"),
    Column("estimated_finish", "END", "time"),
    Column("path", "CRITICAL"),
    Column("why", "WHY"),
)
_AREAS: Final = (
    Column("name", "AREA"),
    Column("mark", ""),
    Column("told", "STEPS"),
)
_TREE: Final = (Column("shown", "STEP"), Column("status", "STATUS"))
_OVER: Final = frozenset({"finished", "failed", "cancelled"})
_LOOK_S: Final = 1.0
_WHY_CHARACTERS: Final = 80

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]
StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="Name of a step, in any case.")]


def register(app: typer.Typer) -> None:
    """Add these commands to `longshore workflow`."""
    app.command("run")(run)
    app.command("runs")(runs)
    app.command("status")(status)
    app.command("step")(step)
    app.command("tree")(tree)


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a workflow.")],
    payload: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="What every step can read as the event's payload; @FILE, or -."
        ),
    ] = None,
    date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Business date; today in UTC unless given.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(metavar="N", help="Of the definition; the newest unless given.")
    ] = None,
    priority: Annotated[int, typer.Option(min=0, max=999, help="Lower numbers come first.")] = 100,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until it is over; exit with 1 unless finished."),
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Start a run of a workflow."""
    body = {
        "payload": None if payload is None else read_payload(payload),
        "business_date": date,
        "version": version,
        "priority": priority,
    }
    made = fetch(server, "POST", f"/workflows/{segment(name)}/runs", body)
    if not follow:
        if as_json:
            emit_json(made)
        else:
            out(f"run {made['id']} of {printable(made['workflow'])}, version {made['version']}")
        return
    if not as_json:
        out(f"run {made['id']} of {printable(made['workflow'])}, version {made['version']}")
    _follow(server, str(made["id"]), as_json=as_json)


def runs(
    workflow: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only runs of this workflow.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only pending, running, finished, failed or cancelled ones."),
    ] = None,
    trigger: Annotated[
        str | None,
        typer.Option(help="Only by event, schedule, manual, flag, workflow or backfill."),
    ] = None,
    event: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those that this event started.")
    ] = None,
    date: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only those of this business date.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List runs, the newest first."""
    query = {
        "workflow": workflow,
        "state": state,
        "trigger": trigger,
        "event": event,
        "business_date": date,
        "limit": limit,
    }
    found = fetch(server, "GET", "/runs", query=query)["runs"]
    rows = [each if as_json else {**each, **_done(each["steps"])} for each in found]
    empty = "There are no such runs. Start one with `longshore workflow run NAME`."
    listing(rows, _RUNS, as_json=as_json, empty=empty)


def status(
    run: RunArgument,
    name: Annotated[str | None, typer.Option(help="Only steps with this in their name.")] = None,
    of_status: Annotated[
        str | None, typer.Option("--status", help="Only steps with this status, such as failed.")
    ] = None,
    area: Annotated[str | None, typer.Option(help="Only steps of this area.")] = None,
    host: Annotated[str | None, typer.Option(help="Only steps of this host.")] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until it is over; exit with 1 unless finished."),
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show a run: its areas, its steps, and why each is where it is."""
    if follow:
        _follow(server, run, as_json=as_json)
        return
    found = fetch(server, "GET", f"/runs/{segment(run)}")
    query = {
        "name": name,
        "status": of_status,
        "area": area,
        "host": host,
        "estimates": True,
    }
    steps = fetch(server, "GET", f"/runs/{segment(run)}/steps", query=query)["steps"]
    if as_json:
        emit_json({**found, "steps": steps})
        return
    out(
        f"run {found['id']} of {printable(found['workflow'])}, version {found['version']}, "
        f"for {found['business_date']}: {found['state']} ({printable(found['why'])})"
    )
    if found["held"]:
        held = found["held"]
        out(
            f"on hold since {held['since']} by {printable(held['by'])}: {printable(held['reason'])}"
        )
    areas = [
        {
            **each,
            "mark": "on hold" if each["held"] else "",
            "told": ", ".join(f"{n} {word}" for word, n in each["counts"].items() if n),
        }
        for each in found["areas"]
    ]
    if len(areas) > 1:
        table(areas, _AREAS, empty="")
        out()
    rows = [
        {
            **each,
            "path": "yes" if each["on_critical_path"] else "",
            "why": each["why"][:_WHY_CHARACTERS],
        }
        for each in steps
    ]
    table(rows, _STEPS, empty="No such steps.")


def step(
    run: RunArgument,
    name: StepArgument,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show a step of a run, and its attempts."""
    found = fetch(server, "GET", f"/runs/{segment(run)}/steps/{segment(name)}")
    if as_json:
        emit_json(found)
        return
    out(f"{printable(found['name'])}: {found['status']} ({printable(found['why'])})")
    columns = (
        Column("attempt", "ATTEMPT", "number"),
        Column("outcome", "OUTCOME"),
        Column("exit_code", "EXIT", "number"),
        Column("host", "HOST"),
        Column("started", "STARTED", "time"),
        Column("ended", "ENDED", "time"),
        Column("script_sha256", "SCRIPT SHA-256"),
        Column("work_id", "WORK"),
    )
    table(found["attempts"], columns, empty="No attempt of it has ended so far.")


def tree(
    run: RunArgument,
    name: StepArgument,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show what a step depends on, and what depends on it, all the way."""
    found = fetch(server, "GET", f"/runs/{segment(run)}/steps/{segment(name)}/tree")
    if as_json:
        emit_json(found)
        return
    deepest = max((each["depth"] for each in found["before"]), default=0)
    rows = [
        {**each, "shown": "  " * (deepest - each["depth"]) + each["name"]}
        for each in reversed(found["before"])
    ]
    rows.append({"shown": "  " * deepest + f"> {found['name']}", "status": found["status"]})
    rows += [
        {**each, "shown": "  " * (deepest + each["depth"]) + each["name"]}
        for each in found["after"]
    ]
    table(rows, _TREE, empty="")


def read_payload(text: str) -> Any:
    """Return the JSON that an option gives: as it is, in @FILE, or with - on standard input.

    Raises:
        InvalidRequest: it is none.
    """
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"The payload is no JSON: {error}.") from error


def _follow(server: str | None, run_id: str, *, as_json: bool) -> None:
    """Print what changes until a run is over; end with 1 unless it is finished."""
    path = f"/runs/{segment(run_id)}"
    known: dict[str, str] = {}
    while True:
        # The run is read first: what its steps are then is not older.
        found = fetch(server, "GET", path)
        steps = fetch(server, "GET", f"{path}/steps")["steps"]
        for each in steps:
            if known.get(each["name"]) != each["status"]:
                known[each["name"]] = each["status"]
                if as_json:
                    emit_json(each, one_line=True)
                else:
                    out(f"{printable(each['name'])}: {each['status']} ({printable(each['why'])})")
        if found["state"] in _OVER and found["finished"]:
            break
        time.sleep(_LOOK_S)
    if as_json:
        emit_json(found, one_line=True)
    else:
        note(f"run {run_id}: {found['state']} ({found['why']})")
    if found["state"] != "finished":
        raise typer.Exit(int(ExitCode.FAILED))


def _done(steps: dict[str, int]) -> dict[str, Any]:
    over = sum(steps.get(state, 0) for state in ("finished", "skipped"))
    return {"done": f"{over}/{sum(steps.values())}", "failed": steps.get("failed", 0)}

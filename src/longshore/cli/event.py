"""`longshore event`: send events to workflows, and see what became of them."""

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
from longshore.errors import InvalidRequest, WaitTimeout

app = typer.Typer(
    help="Send events to workflows, and see what became of them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_EVENTS: Final = (
    Column("eventName", "EVENT"),
    Column("workflow", "WORKFLOW"),
    Column("parallel", "PARALLEL", "number"),
    Column("priority", "PRIORITY", "number"),
    Column("on_error", "ON ERROR"),
    Column("pending", "PENDING", "number"),
    Column("running", "RUNNING", "number"),
    Column("finished", "FINISHED", "number"),
    Column("failed", "FAILED", "number"),
    Column("cancelled", "CANCELLED", "number"),
)
_STEPS: Final = (
    Column("stepname", "STEP"),
    Column("status", "STATUS"),
    Column("area", "AREA"),
    Column("host", "HOST"),
    Column("exitCode", "EXIT", "number"),
    Column("startedAt", "STARTED", "time"),
    Column("finishedAt", "FINISHED", "time"),
    Column("why", "WHY"),
)
_OVER: Final = frozenset({"finished", "failed", "cancelled"})
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ActionArgument = Annotated[
    str, typer.Argument(metavar="ACTION", help="Id of a run, as `event post` prints it.")
]


@app.command("post")
def post(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the event, in any case.")],
    payload: Annotated[
        str | None,
        typer.Option(
            "--payload",
            metavar="JSON|@FILE",
            help="What every step of the run can read: JSON, or @ and a file with JSON (@- for "
            "standard input).",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="Idempotency key: the same event with the same key starts one run, however often "
            "it is sent.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Where the event comes from.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the run is over; exit with 1 if it failed.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest wait; exit with 1 then."),
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Send an event; it starts a run of the workflow that is defined for its name."""
    body: dict[str, Any] = {"eventName": name, "payload": _payload(payload)}
    if source is not None:
        body["eventSource"] = source
    if key is not None:
        body["idempotencyKey"] = key
    # Without a key of the user's the request carries one of its own, so it may be sent again.
    posted = fetch(server, "POST", "/rtevent", body, repeatable=True if key is not None else None)
    if not wait:
        if as_json:
            emit_json(posted)
        else:
            out(f"run {posted['actionId']}: event {posted['eventId']} at {posted['createdAt']}")
        return
    if not as_json:
        note(f"run {posted['actionId']} (Ctrl-C stops the waiting, not the run)")
    told = _waited(server, posted["actionId"], timeout)
    _show(told, as_json=as_json)
    if told["status"] != "finished":
        raise typer.Exit(int(ExitCode.FAILED))


@app.command("list")
def list_events(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the events that start something, with the numbers of their runs."""
    found = fetch(server, "GET", "/rtevent/list")["events"]
    if as_json:
        emit_json(found)
        return
    rows = [
        {
            **each,
            **each["counts"],
            "on_error": "stop" if each["errormode"] else "go on",
        }
        for each in found
    ]
    listing(
        rows,
        _EVENTS,
        as_json=False,
        empty="No event starts anything; workflows name theirs under triggers.",
    )


@app.command("show")
def show(
    action: ActionArgument,
    payload: Annotated[
        bool, typer.Option("--payload", help="Print the event's payload, and nothing else.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show how far the run of an event is, and each of its steps."""
    if payload:
        emit_json(fetch(server, "GET", f"/rtevent/{segment(action)}")["payload"])
        return
    _show(fetch(server, "GET", f"/rtevent/status/{segment(action)}"), as_json=as_json)


def _payload(text: str | None) -> Any:
    """Return the payload that the option gives.

    Raises:
        InvalidRequest: it is no JSON.
    """
    if text is None:
        return None
    if text == "@-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{text[1:]} is not UTF-8 text.") from error
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"The payload is no JSON: {error}. Put quotes around text as well, such as "
            "--payload '\"text\"'."
        ) from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return value


def _waited(server: str | None, run_id: int, timeout_s: float | None) -> dict[str, Any]:
    """Return the status of a run once it is over.

    Raises:
        WaitTimeout: it is not over in time.
    """
    until_s = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        told: dict[str, Any] = fetch(server, "GET", f"/rtevent/status/{run_id}")
        if told["status"] in _OVER:
            return told
        rest_s = _LONGEST_PAUSE_S if until_s is None else until_s - time.monotonic()
        if rest_s <= 0:
            raise WaitTimeout(
                f"Run {run_id} is {told['status']} and not over within {timeout_s:g} s: "
                f"{told['why']}. It goes on; `longshore event show {run_id}` shows how far it is."
            )
        time.sleep(min(pause_s, rest_s))
        pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)


def _show(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(told)
        return
    of = f" by event {told['eventName']}" if told["eventName"] else ""
    out(
        f"run {told['actionId']} of {printable(told['workflow'])} {told['version']}{printable(of)}: "
        f"{told['status']} ({printable(told['why'])})"
    )
    table(told["steps"], _STEPS, empty="It has no steps.")

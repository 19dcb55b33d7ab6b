"""`longshore buckets`: look at works in buckets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from longshore.cli import buckets_acting, buckets_deposit, buckets_settings
from longshore.cli.buckets_filters import (
    Choice,
    EventOption,
    JsonOption,
    ParentOption,
    QueryOption,
    SiteOption,
    StatusOption,
    TagOption,
    UserOption,
)
from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, emphasised, listing, note, out, printable
from longshore.clock import SECOND_US, SystemClock, iso
from longshore.errors import NotFound

app = typer.Typer(
    help="Deposit works into buckets, look at them and act on many at once.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COUNTS: Final = ("total", "queued", "running", "success", "failure")
_BUCKET_COLUMNS = (
    Column("bucket", "BUCKET"),
    *(Column(name, name.upper(), "number") for name in _COUNTS),
)
_WORK_COLUMNS = (
    Column("id", "WORK"),
    Column("pipeline", "BUCKET"),
    Column("state", "STATE"),
    Column("reason", "REASON"),
    Column("attempts", "ATTEMPT", "number"),
    Column("priority", "PRIORITY", "number"),
    Column("age", "AGE", "number"),
    Column("site", "SITE"),
    Column("user", "USER"),
    Column("runs", "RUNS"),
    Column("holder", "HOLDER"),
)
_SHOWN: Final = (
    *("id", "pipeline", "status", "attempt", "retries", "priority", "creation", "site", "user"),
    *("function", "command", "tags", "event", "longshore"),
)
_DETAILS: Final = "longshore"
_LINE_CHARACTERS: Final = 500


@app.command("ls")
def list_buckets(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the buckets with the counts of their works."""
    with open_client(server) as client:
        rows = [
            {"bucket": name, **client.buckets.status(name)} for name in client.buckets.pipelines()
        ]
    empty = "There are no buckets. The first work makes one: longshore buckets deposit --help"
    listing(rows, _BUCKET_COLUMNS, as_json=as_json, empty=empty)


@app.command("ps")
def list_works(
    bucket: Annotated[
        list[str] | None, typer.Argument(metavar="BUCKET", help="Buckets; default is all.")
    ] = None,
    status: StatusOption = None,
    site: SiteOption = None,
    user: UserOption = None,
    event: EventOption = None,
    tag: TagOption = None,
    parent: ParentOption = None,
    query: QueryOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List works, the newest first."""
    chosen = Choice(status, site, user, event, tag, parent, query).of(bucket or [])
    shown = dict.fromkeys(_SHOWN, True)
    with open_client(server) as client:
        found = client.buckets.view(chosen, shown, limit=limit, sort={"id": -1})
        more = len(found) == limit and client.buckets.count(chosen) - limit
    if as_json:
        emit_json(found)
        return
    now_s = SystemClock().now_us() / SECOND_US
    listing(
        [_row(work, now_s) for work in found],
        _WORK_COLUMNS,
        as_json=False,
        empty="No work matches.",
    )
    if more and more > 0:
        note(f"{more} more match; see them with --limit, or count them with longshore buckets ls.")


@app.command("view")
def view(
    work_id: Annotated[str, typer.Argument(metavar="WORK", help="Id of the work (wk_...).")],
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show a work with all that is known of it, the error of its last attempt too."""
    chosen = {"id": work_id}
    with open_client(server) as client:
        found = client.buckets.view(chosen, limit=1)
        details = client.buckets.view(chosen, {_DETAILS: True}, limit=1)
        files = client.buckets.artifacts(work_id) if found else []
    if not found or not details:
        raise NotFound(
            f"There is no work {work_id!r} in any bucket. It was deleted, or has moved to the results."
        )
    work = {
        **found[0],
        _DETAILS: details[0].get(_DETAILS, {}),
        "artifacts": [file.model_dump(mode="json") for file in files],
    }
    if as_json:
        emit_json(work)
    else:
        _show(work)


@app.command("audit")
def audit(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Retry failed works with attempts left, fail those past their time, count the stale.

    The server does the first two by itself; this does them now.
    """
    with open_client(server) as client:
        counts = client.buckets.audit()
    if as_json:
        emit_json(counts)
        return
    out(f"retried after a failure   {counts['failed']}")
    out(f"failed for their time     {counts['expired']}")
    out(f"older than 7 days         {counts['stale']}")


def _row(work: Mapping[str, Any], now_s: float) -> dict[str, Any]:
    details = work.get(_DETAILS) or {}
    command = work.get("command")
    return {
        **work,
        "state": details.get("state") or work.get("status"),
        "reason": details.get("reason"),
        "attempts": f"{work.get('attempt')}/{work.get('retries')}",
        "age": age(now_s - float(work.get("creation") or now_s)),
        "runs": work.get("function") or (" ".join(map(str, command)) if command else None),
        "holder": details.get("holder") if work.get("status") == "running" else None,
    }


def age(seconds: float) -> str:
    """Return a length of time as a person reads it, such as 5m or 3d."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def _show(work: Mapping[str, Any]) -> None:
    """Write a work as lines of name and value; what is not set is left out."""
    details = dict(work[_DETAILS])
    error = details.pop("error", None) or {}
    shown = {name: value for name, value in work.items() if name != _DETAILS}
    for name, value in details.items():
        # The time fields of the server count microseconds; a person reads a date.
        is_time = name.endswith("_us")
        shown.setdefault(name.removesuffix("_us"), iso(value) if is_time else value)
    for name, value in shown.items():
        set_part = _set_part(value)
        if set_part not in (None, [], {}):
            _line(name, set_part)
    if error:
        first, *rest = str(error.get("message") or "").splitlines() or [""]
        _line("error", f"{error.get('type')}: {first}")
        for line in rest:
            out(f"    {printable(line)}")
        for line in str(error.get("traceback") or "").splitlines():
            out(f"    {printable(line)}")


def _set_part(value: Any) -> Any:
    """Return what is set of a value: an object without the names that hold nothing."""
    if not isinstance(value, Mapping):
        return value
    parts = {name: _set_part(part) for name, part in value.items()}
    return {name: part for name, part in parts.items() if part not in (None, {})}


def _line(name: str, value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) > _LINE_CHARACTERS:
        text = f"{text[:_LINE_CHARACTERS]} ... ({len(text):,} characters; --json shows all)"
    out(f"{emphasised(f'{name:<12}')} {printable(text)}")


app.command("deposit")(buckets_deposit.deposit)
app.command("rm")(buckets_acting.remove)
app.command("retry")(buckets_acting.retry)
app.command("cancel")(buckets_acting.cancel)
app.command("settings")(buckets_settings.settings)
app.add_typer(buckets_settings.webhooks, name="webhooks")

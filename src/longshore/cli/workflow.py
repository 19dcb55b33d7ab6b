"""`longshore workflow`: check, apply, compare and list definitions of workflows, and what starts them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from longshore.cli import (
    workflow_operations,
    workflow_planning,
    workflow_runs,
    workflow_starts,
)
from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, note, out, printable
from longshore.cli.exit_codes import ExitCode
from longshore.cli.scripts_calls import fetch, segment
from longshore.cli.workflow_files import (
    STANDARD_INPUT,
    problems_at,
    problems_in,
    problems_of,
    read_file,
    tell,
)
from longshore.errors import InvalidRequest

app = typer.Typer(
    help="Define workflows of scripts, and see what starts them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_WORKFLOWS: Final = (
    Column("name", "WORKFLOW"),
    Column("version", "VERSION", "number"),
    Column("mark", ""),
    Column("created_at", "SINCE", "time"),
)
_SHOWN_CHARACTERS: Final = 60

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="YAML file of a workflow; - for standard input.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of a workflow.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _workflow() -> None:
    """Define workflows of scripts, and see what starts them."""


@app.command("validate")
def validate(
    file: FileArgument,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server, even if there is one.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Say everything that is wrong with a file; exit with 1 if anything is.

    No server is needed. One that can be reached also looks for the hosts, and for event names
    that belong to other workflows.
    """
    text = read_file(file)
    problems = problems_of(text)
    unasked: str | None = "not asked (--offline)"
    if not problems and not offline:
        problems, unasked = problems_at(server, text)
    if as_json:
        emit_json({"valid": not problems, "problems": problems})
    elif problems:
        tell(file, problems)
    else:
        out(f"{printable(file)}: no fault found")
        if unasked is not None:
            note(f"Hosts and events of other workflows were not looked up: {printable(unasked)}")
    if problems:
        raise typer.Exit(int(ExitCode.FAILED))


@app.command("apply")
def apply(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="YAML files of workflows; - for standard input."),
    ],
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Make workflows of files, or new versions of them; runs keep the version they began with."""
    applied = []
    for name in files:
        text = read_file(name)
        try:
            applied.append(fetch(server, "POST", "/workflows", {"text": text}))
        except InvalidRequest as error:
            problems = problems_in(error)
            if not problems:
                raise
            tell(name, problems)
            raise InvalidRequest(f"{name} was not applied, see above.") from error
        if not as_json:
            out(_applied(applied[-1]))
    if as_json:
        emit_json(applied)


@app.command("show")
def show(
    name: NameArgument,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", help="Default is the newest.")
    ] = None,
    as_file: Annotated[
        bool, typer.Option("--file", help="Print the file as it was applied, and nothing else.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show a workflow: what starts it, and its steps; or a run, by its id."""
    if name.isdecimal() and version is None and not as_file:
        workflow_runs.status(name, as_json=as_json, server=server)
        return
    query = {"version": version}
    found = fetch(server, "GET", f"/workflows/{segment(name)}", query=query)
    if as_json:
        emit_json(found)
    elif as_file:
        out(found["text"], end="" if found["text"].endswith("\n") else "\n")
    else:
        _print_outline(found)


@app.command("diff")
def diff(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME",
            help="A file, to compare with what is applied; or a workflow, to compare versions.",
        ),
    ],
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", help="Default is the version before.")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--after", metavar="N", help="Default is the newest version.")
    ] = None,
    as_text: Annotated[
        bool, typer.Option("--text", help="Compare the files line by line, not what they say.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Say what a file would change, or what has changed between two versions."""
    if what == STANDARD_INPUT or Path(what).is_file():
        text = read_file(what)
        found = fetch(
            server,
            "POST",
            f"/workflows/{segment(_name_in(text, what))}/diff",
            {"text": text},
            repeatable=True,
        )
    else:
        query = {"before": before, "after": after}
        found = fetch(server, "GET", f"/workflows/{segment(what)}/diff", query=query)
    if as_json:
        emit_json(found)
    elif as_text:
        out(found["text"], end="")
    elif not found["changes"]:
        note("They say the same.")
    for change in [] if as_json or as_text else found["changes"]:
        out(_change(change))


@app.command("list")
def list_workflows(
    retired: Annotated[
        bool, typer.Option("--retired", help="Also those that were retired.")
    ] = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List workflows."""
    found = fetch(server, "GET", "/workflows", query={"retired": retired})
    if as_json:
        emit_json(found)
        return
    rows = [{**each, "mark": _mark(each)} for each in found]
    empty = "There are no workflows yet: apply a file with `longshore workflow apply`."
    listing(rows, _WORKFLOWS, as_json=False, empty=empty)


@app.command("retire")
def retire(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")] = "",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Let nothing start a workflow any more; its runs go on, and to apply its file revives it."""
    found = fetch(server, "POST", f"/workflows/{segment(name)}/retire", {"reason": reason})
    if as_json:
        emit_json(found)
    else:
        out(f"workflow {printable(found['name'])}: retired")


def _name_in(text: str, file: str) -> str:
    """Return the name of the workflow in a file; a file with faults is refused with all of them."""
    from longshore.surfaces.scripts.definition.reading import examine

    reading = examine(text)
    if reading.workflow is None:
        tell(file, problems_of(text))
        raise InvalidRequest(f"{file} cannot be compared, see above.")
    return reading.workflow.workflow


def _applied(found: dict[str, Any]) -> str:
    done = {
        "created": f"created, version {found['version']}",
        "changed": f"changed, now version {found['version']}",
        "revived": f"brought back, version {found['version']}",
        "unchanged": f"says the same as version {found['version']}",
    }[found["change"]]
    return f"workflow {printable(found['name'])}: {done}"


def _print_outline(found: dict[str, Any]) -> None:
    import msgspec

    from longshore.surfaces.scripts.definition.model import Workflow
    from longshore.surfaces.scripts.definition.rendering import outline

    newest = found["newest_version"]
    of = "" if found["version"] == newest else f" of {newest}"
    mark = _mark(found)
    out(f"{printable(found['name'])}, version {found['version']}{of}{', ' + mark if mark else ''}")
    for line in outline(msgspec.convert(found["definition"], Workflow)):
        out(printable(line))


def _mark(found: dict[str, Any]) -> str:
    if found["retired_at"] is not None:
        return "retired"
    return f"on hold: {found['held']['why']}" if found["held"] else ""


def _change(change: dict[str, Any]) -> str:
    path = printable(change["path"])
    if change["change"] == "added":
        return f"+ {path}: {_short(change['after'])}"
    if change["change"] == "removed":
        return f"- {path}: {_short(change['before'])}"
    return f"~ {path}: {_short(change['before'])} -> {_short(change['after'])}"


def _short(value: Any) -> str:
    import json

    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


workflow_starts.register(app)
workflow_runs.register(app)
workflow_operations.register(app)
workflow_planning.register(app)

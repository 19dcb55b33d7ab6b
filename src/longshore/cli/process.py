"""`longshore process`: run workers over the elements of a corpus, and see how far they are."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from longshore.cli.connecting import ServerOption
from longshore.cli.console import Column, emit_json, listing, note, out, printable
from longshore.cli.exit_codes import ExitCode
from longshore.errors import InvalidRequest

if TYPE_CHECKING:
    from longshore.cli.process_remote import ProcessRemote

app = typer.Typer(
    help="Run workers over the elements of a corpus, and see how far they are.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS: Final = (
    Column("name", "PROCESS"),
    Column("state", "STATE"),
    Column("mode", "MODE"),
    Column("started", "STARTED", "time"),
    Column("id", "ID"),
)
_TASKS: Final = (
    Column("slug", "TASK"),
    Column("state", "STATE"),
    Column("attempt", "ATTEMPT", "number"),
    Column("exit_code", "EXIT", "number"),
    Column("work_id", "WORK"),
)
_ACTIVITIES: Final = (
    Column("name", "ELEMENT"),
    Column("state", "STATE"),
    Column("attempt", "ATTEMPT", "number"),
    Column("told", "ERROR"),
    Column("id", "ID"),
)
_OVER: Final = frozenset({"unscheduled", "completed", "failed", "error", "stopped", "cancelled"})
_BAD: Final = frozenset({"failed", "error", "cancelled", "stopped"})
_LOOK_S: Final = 1.0

ProcessArgument = Annotated[str, typer.Argument(metavar="PROCESS", help="Id of a process.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FollowOption = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on until it is over; exit with 1 if it failed.")
]

WorkersOption = Annotated[
    list[str],
    typer.Option(
        "--worker",
        metavar="SLUG[:VERSION]",
        help="A worker; several run one after the other. The newest version unless given.",
        show_default=False,
    ),
]
ParentOption = Annotated[
    str | None,
    typer.Option("--parent", metavar="ID", help="Elements below this one, at any depth."),
]
SetsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="DATASET:SET", help="A set of a dataset, in place of elements."),
]
QueueOption = Annotated[
    bool,
    typer.Option("--queue", help="Let tasks ask for the next element, not give each a list."),
]
ConfigurationOption = Annotated[
    list[str] | None,
    typer.Option("--config", metavar="KEY=VALUE", help="What the first worker is configured with."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="ID", help="Version of a model for the first worker."),
]


@app.command("create")
def create(
    corpus: Annotated[str, typer.Argument(metavar="CORPUS", help="Name or id of a corpus.")],
    workers: WorkersOption,
    element_type: Annotated[
        str | None, typer.Option("--type", metavar="SLUG", help="Elements of this type.")
    ] = None,
    elements: Annotated[
        list[str] | None, typer.Option("--element", metavar="ID", help="This element.")
    ] = None,
    parent: ParentOption = None,
    sets: SetsOption = None,
    name: Annotated[str, typer.Option("--name", help="For people.")] = "",
    chunks: Annotated[
        int, typer.Option("--chunks", min=1, help="Into how many tasks the elements are split.")
    ] = 1,
    queue: QueueOption = False,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Give the first tasks their elements in a database."),
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="Make no tasks: programs are started by hand.")
    ] = False,
    no_activity: Annotated[
        bool,
        typer.Option("--no-activity", help="Keep no states of elements; all run each time."),
    ] = False,
    configuration: ConfigurationOption = None,
    model: ModelOption = None,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only make it.")] = False,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Make a process and start it: its workers run over elements, each element once."""
    with _open(server) as remote:
        corpus_id = remote.corpus(corpus)["id"]
        body: dict[str, Any] = {
            "corpus": corpus_id,
            "name": name,
            "mode": "dataset" if sets else "local" if local else "workers",
            "element_type": element_type,
            "elements": elements or None,
            "parent": parent,
            "sets": remote.set_ids(corpus_id, sets or ()),
            "chunks": chunks,
            "queue": queue,
            "use_cache": cache,
            "activity": not no_activity,
            "workers": _runs(workers, _configuration(configuration or ()), model),
        }
        made = remote.create_process(body)
        if not no_start:
            made = remote.change(made["id"], "start")
        if follow:
            made = _watch(remote, made, quiet=as_json)
    _tell(made, as_json)
    if follow:
        _end(made)


@app.command("list")
def list_processes(
    corpus: Annotated[
        str | None, typer.Option("--corpus", metavar="CORPUS", help="Only those of this corpus.")
    ] = None,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List processes, the newest first."""
    with _open(server) as remote:
        corpus_id = None if corpus is None else remote.corpus(corpus)["id"]
        found = list(remote.processes(corpus_id))
    empty = "There are no processes yet; `longshore process create` makes one."
    listing(found, _COLUMNS, as_json=as_json, empty=empty)


@app.command("show")
def show(
    process: ProcessArgument,
    follow: FollowOption = False,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Show a process: its tasks, how far it is, and when it will be done."""
    with _open(server) as remote:
        found = remote.process(process)
        if follow:
            found = _watch(remote, found, quiet=as_json)
    _tell(found, as_json)
    if follow:
        _end(found)


@app.command("activities")
def activities(
    process: ProcessArgument,
    state: Annotated[
        str | None,
        typer.Option("--state", help="queued, started, processed, error or cancelled."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 100,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """List where each element of a process is, with the errors of those that failed."""
    with _open(server) as remote:
        found = remote.activities(process, state=state, limit=limit)
    if as_json:
        emit_json(found)
        return
    rows = [
        {
            **each,
            "name": each["element"]["name"],
            "id": each["element"]["id"],
            "told": _error(each["error"]) if each["error"] else "",
        }
        for each in found
    ]
    listing(rows, _ACTIVITIES, as_json=False, empty="There are none.")


@app.command("start")
def start_process(
    process: ProcessArgument, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Start a process that was made with --no-start."""
    _change(process, "start", as_json, server)


@app.command("stop")
def stop(
    process: ProcessArgument, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Stop a process: what waits is cancelled, what runs is told to stop."""
    _change(process, "stop", as_json, server)


@app.command("retry")
def retry(
    process: ProcessArgument, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Let what of a process did not succeed run again."""
    _change(process, "retry", as_json, server)


@app.command("delete")
def delete(
    process: ProcessArgument, as_json: JsonOption = False, server: ServerOption = None
) -> None:
    """Delete a process that is over; what its workers found stays on the elements."""
    with _open(server) as remote:
        remote.delete(process)
    if as_json:
        emit_json({"id": process, "deleted": True})
    else:
        out(f"{printable(process)}: deleted")


def _change(process: str, verb: str, as_json: bool, server: str | None) -> None:
    with _open(server) as remote:
        changed = remote.change(process, verb)
    _tell(changed, as_json)


def _open(server: str | None) -> ProcessRemote:
    from longshore.cli.process_remote import ProcessRemote

    return ProcessRemote.open(server)


def _runs(
    workers: Sequence[str], configuration: dict[str, Any], model: str | None
) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for place, text in enumerate(workers):
        slug, _, version = text.partition(":")
        runs.append(
            {"worker": slug, "version": version or None, "parents": [place - 1] if place else []}
        )
    runs[0]["configuration"] = configuration or None
    runs[0]["model_version"] = model
    return runs


def _configuration(given: Sequence[str]) -> dict[str, Any]:
    """Read KEY=VALUE; a value that is JSON is taken as that, anything else as text."""
    made: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InvalidRequest(f"--config {text!r} has no '='; write it as KEY=VALUE.")
        try:
            made[key] = json.loads(value)
        except ValueError:
            made[key] = value
    return made


def _tell(process: dict[str, Any], as_json: bool) -> None:
    if as_json:
        emit_json(process)
        return
    out(f"{printable(process['name'])}: {process['state']}, {process['id']}")
    for run in process["workers"]:
        counts = {name: count for name, count in run["activities"].items() if count}
        total = counts.pop("total", 0)
        states = ", ".join(f"{count} {name}" for name, count in counts.items())
        out(f"  {printable(run['summary'])}  {run['id']}")
        if total:
            out(f"    {total} elements: {states}")
    out(f"  {_line(process)}")
    listing(process["tasks"], _TASKS, as_json=False, empty="It has no tasks.")
    for task in process["tasks"]:
        if task["error"]:
            out(f"{printable(task['slug'])}: {printable(_error(task['error']))}")


def _error(error: dict[str, Any]) -> str:
    return "{type}: {message}".format(**error)


def _line(process: dict[str, Any]) -> str:
    progress = process["progress"]
    done = progress["processed"] + progress["error"] + progress["cancelled"]
    if not progress["total"]:
        return str(process["state"])
    text = f"{done} of {progress['total']} ({done / progress['total']:.0%})"
    if progress["error"]:
        text += f", {progress['error']} with errors"
    if progress["rate_per_s"]:
        text += f", {progress['rate_per_s']:.1f} a second"
    if progress["finish"]:
        text += f", done at about {progress['finish'][11:19]}Z"
    return text


def _watch(remote: ProcessRemote, process: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Look at a process until it is over, and tell each change."""
    told = ""
    while True:
        line = f"{process['state']}: {_line(process)}"
        if line != told and not quiet:
            note(line)
            told = line
        if process["state"] in _OVER:
            return process
        time.sleep(_LOOK_S)
        process = remote.process(process["id"])


def _end(process: dict[str, Any]) -> None:
    if process["state"] in _BAD:
        raise typer.Exit(int(ExitCode.FAILED))

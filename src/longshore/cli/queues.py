"""`longshore queue`: look at queues, hold them and let them go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import Column, emit_json, listing, out, printable
from longshore.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from longshore.sdk.operations import Queue

app = typer.Typer(
    help="Look at queues, hold them and let them go.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLUMNS = (
    Column("id", "QUEUE", "number"),
    Column("surface", "SURFACE"),
    Column("name", "NAME"),
    Column("pending", "PENDING", "number"),
    Column("done", "DONE", "number"),
    Column("failed", "FAILED", "number"),
    Column("workers_online", "WORKERS", "number"),
    Column("oldest_at", "OLDEST WAITING", "time"),
    Column("held", "HELD"),
)

QueueName = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Number of the queue, or its name.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("ls")
def list_queues(as_json: JsonOption = False, server: ServerOption = None) -> None:
    """List the queues with what waits in them."""
    with open_client(server) as client:
        found = client.queues.list()
    if as_json:
        emit_json([queue.model_dump(mode="json") for queue in found])
        return
    rows = [
        {
            **queue.model_dump(mode="json"),
            **(queue.counts.model_dump() if queue.counts else {}),
            "held": queue.held.why if queue.held else None,
        }
        for queue in found
    ]
    listing(
        rows, _COLUMNS, as_json=False, empty="There are no queues yet; the first app makes one."
    )


@app.command("hold")
def hold(
    queue: QueueName,
    why: Annotated[
        str, typer.Option("--why", help="Reason, shown to whoever asks why work is waiting.")
    ] = "held from the command line",
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Let nothing more be claimed from a queue until it is released; what runs goes on."""
    with open_client(server) as client:
        changed = client.queues.hold(_find(client.queues.list(), queue).id, why)
    _print_changed(changed, "held", as_json=as_json)


@app.command("release")
def release(queue: QueueName, as_json: JsonOption = False, server: ServerOption = None) -> None:
    """Let work be claimed from a queue again."""
    with open_client(server) as client:
        changed = client.queues.release(_find(client.queues.list(), queue).id)
    _print_changed(changed, "released", as_json=as_json)


def _print_changed(queue: Queue, verb: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(queue.model_dump(mode="json"))
    else:
        out(f"queue {queue.id} {printable(queue.name)}: {verb}")


def _find(queues: list[Queue], wanted: str) -> Queue:
    """Return the queue with this number, name or app's name, or the only one that contains it."""
    folded = wanted.casefold()
    exact = [queue for queue in queues if folded in (str(queue.id), queue.name.casefold())]
    app = [
        queue
        for queue in queues
        if folded == queue.name.casefold().rpartition("/")[2].partition("@")[0]
    ]
    near = [queue for queue in queues if folded in queue.name.casefold()]
    for fitting in (exact, app, near):
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            names = ", ".join(f"{queue.id} ({queue.name})" for queue in fitting[:5])
            raise InvalidRequest(f"{wanted!r} fits several queues: {names}. Give the number.")
    raise NotFound(f"There is no queue {wanted!r}. `longshore queue ls` lists them.")

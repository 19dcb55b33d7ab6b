"""`longshore why` and `longshore logs`: where something is, and what it printed."""

from __future__ import annotations

from typing import Annotated

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import dimmed, emit_json, note, out, printable

Id = Annotated[
    str, typer.Argument(metavar="ID", help="Id of a run (rn_...) or of a work (wk_...).")
]


def why(
    id: Id,  # noqa: A002 - the name that the help shows
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it with the facts, as JSON.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Say why a run or a work is where it is."""
    with open_client(server) as client:
        answer = client.works.why(id)
    if as_json:
        emit_json(answer.model_dump(mode="json"))
        return
    for line in answer.text.splitlines():
        out(printable(line))


def logs(
    id: Id,  # noqa: A002 - the name that the help shows
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the work, or the run, has ended.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Print what the code wrote to its standard output and error, all attempts."""
    seen = False
    with open_client(server) as client:
        for line in client.works.logs(id, follow=follow):
            seen = True
            if as_json:
                emit_json(line.model_dump(mode="json"), one_line=True)
            else:
                head = f"{line.at:%H:%M:%S} {line.work_id} #{line.attempt} {line.stream:<6}"
                out(f"{dimmed(head)} {printable(line.text)}")
    if not seen:
        note("Nothing was printed." if follow else "Nothing was printed so far.")

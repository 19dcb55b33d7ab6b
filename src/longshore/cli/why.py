"""`longshore why` and `longshore logs`: where something is, and what it printed."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import dimmed, emit_json, note, out, printable
from longshore.cli.scripts_calls import fetch, segment

Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Id of a run (rn_...) or a work (wk_...); of a workflow's run (a number), or a step "
        "of it (RUN/STEP).",
    ),
]
_WORKFLOW_RUN: Final = re.compile(r"([0-9]{1,19})(?:/(.+))?")
_WAIT_S: Final = 20


def why(
    id: Id,  # noqa: A002 - the name that the help shows
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it with the facts, as JSON.")
    ] = False,
    server: ServerOption = None,
) -> None:
    """Say why a run, a step or a work is where it is."""
    match = _WORKFLOW_RUN.fullmatch(id)
    if match is not None:
        _why_of_workflow(server, match[1], match[2], as_json=as_json)
        return
    with open_client(server) as client:
        answer = client.works.why(id)
    if as_json:
        emit_json(answer.model_dump(mode="json"))
        return
    for line in answer.text.splitlines():
        out(printable(line))
    # What has not begun has printed nothing, and waits for somebody.
    waiting = answer.state in ("waiting", "queued")
    out(dimmed("next: longshore workers" if waiting else f"next: longshore logs {printable(id)}"))


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
    match = _WORKFLOW_RUN.fullmatch(id)
    if match is not None:
        _logs_of_workflow(server, match[1], match[2], follow=follow, as_json=as_json)
        return
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


def _why_of_workflow(server: str | None, run: str, step: str | None, *, as_json: bool) -> None:
    of_step = "" if step is None else f"/steps/{segment(step)}"
    answer = fetch(server, "GET", f"/runs/{run}{of_step}/why")
    if as_json:
        emit_json(answer)
        return
    for line in answer["text"].splitlines():
        out(printable(line))


def _logs_of_workflow(
    server: str | None, run: str, step: str | None, *, follow: bool, as_json: bool
) -> None:
    """Print what the steps of a run, or one of them, wrote."""
    after, seen = 0, False
    while True:
        query = {"after": after, "step": step, "wait": _WAIT_S if follow else 0}
        found = fetch(server, "GET", f"/runs/{run}/logs", query=query)
        for line in found["lines"]:
            seen = True
            if as_json:
                emit_json(line, one_line=True)
            else:
                head = f"{line['at'][11:19]} {line['step']} #{line['attempt']} {line['stream']:<6}"
                out(f"{dimmed(printable(head))} {printable(line['text'])}")
        if found["ended"] or not (follow or found["lines"]):
            break
        after = found["next"]
    if not seen:
        note("Nothing was printed." if follow else "Nothing was printed so far.")

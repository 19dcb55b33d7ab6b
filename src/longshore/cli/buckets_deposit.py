"""`longshore buckets deposit`: works from a file, from standard input, or from options."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from longshore.cli.buckets_filters import JsonOption
from longshore.cli.connecting import ServerOption, open_client
from longshore.cli.console import emit_json, note, out
from longshore.errors import InvalidRequest

_STDIN: Final = "-"


Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE|COMMAND",
        help="File with works as JSON (a list, one object, or one object a line; - is standard "
        "input); with --pipeline instead a command and its arguments.",
    ),
]
PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", help="Bucket for one work made of the options.")
]
SiteOption = Annotated[str, typer.Option("--site", help="Site that the work is for.")]
UserOption = Annotated[str | None, typer.Option("--user", help="Whose work it is; default is you.")]
FunctionOption = Annotated[
    str | None, typer.Option("--function", help="Dotted path of the function to call.")
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        metavar="NAME=VALUE",
        help="Parameter of the function; a value that is JSON is read as such. Repeatable.",
    ),
]
TagOption = Annotated[list[str] | None, typer.Option("--tag", "-t", help="Tag; repeatable.")]
EventOption = Annotated[
    list[int] | None, typer.Option("--event", "-e", help="What it is about; repeatable.")
]
ParentOption = Annotated[str | None, typer.Option("--parent", "-p", help="Parent pipeline.")]
PriorityOption = Annotated[
    int, typer.Option("--priority", min=1, max=5, help="5 is withdrawn first.")
]
TimeoutOption = Annotated[
    int, typer.Option("--timeout", min=1, help="Time limit of one attempt, in seconds.")
]
RetriesOption = Annotated[int, typer.Option("--retries", max=5, help="Attempts in all.")]


def deposit(
    words: Words = None,
    pipeline: PipelineOption = None,
    site: SiteOption = "local",
    user: UserOption = None,
    function: FunctionOption = None,
    parameter: ParameterOption = None,
    tag: TagOption = None,
    event: EventOption = None,
    parent: ParentOption = None,
    priority: PriorityOption = 3,
    timeout: TimeoutOption = 3600,
    retries: RetriesOption = 2,
    as_json: JsonOption = False,
    server: ServerOption = None,
) -> None:
    """Put works into their buckets and print their ids.

    All of them are checked before the first is deposited.
    """
    if pipeline is None:
        works = _from_file(words)
    else:
        one = {
            "pipeline": pipeline,
            "site": site,
            "user": user or getpass.getuser(),
            "function": function,
            "parameters": _parameters(parameter),
            "command": words or None,
            "tags": tag or None,
            "event": event or None,
            "priority": priority,
            "timeout": timeout,
            "retries": retries,
            "config": {"parent": parent},
        }
        works = [one]
    with open_client(server) as client:
        ids = client.buckets.deposit(works, return_ids=True) if works else []
    if as_json:
        emit_json(ids)
        return
    for work_id in ids:
        out(work_id)
    note(f"{len(ids)} {'work' if len(ids) == 1 else 'works'} deposited")


def _from_file(words: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """Return the works of the one file that is named.

    Raises:
        InvalidRequest: no file, or several, or its content is not JSON in UTF-8.
        OSError: it cannot be read.
    """
    if not words or len(words) > 1:
        raise InvalidRequest(
            "Give one file with works (or - for standard input), or --pipeline and what to run."
        )
    (name,) = words
    label = "standard input" if name == _STDIN else name
    try:
        # Some programs put a byte order mark in front.
        text = sys.stdin.read() if name == _STDIN else Path(name).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"{label} is not text in UTF-8: {error.reason} at byte {error.start}. Nothing was "
            "deposited; write it as JSON in UTF-8."
        ) from error
    return parse(text, label)


def parse(text: str, name: str) -> list[Mapping[str, Any]]:
    """Return the works in a text: a JSON list, one object, or one object a line.

    Raises:
        InvalidRequest: it is none of these; the message names the line.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        return _lines(text, name, error)
    return _objects(value if isinstance(value, list) else [value], name)


def _lines(text: str, name: str, whole: ValueError) -> list[Mapping[str, Any]]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except ValueError as error:
            # A text that begins on several lines is one value with a mistake in it.
            reason = whole if number == 1 else f"line {number}: {error}"
            raise InvalidRequest(
                f"{name} is neither JSON nor one JSON object a line: {reason}. Nothing was deposited."
            ) from error
    return _objects(found, name)


def _objects(values: Sequence[Any], name: str) -> list[Mapping[str, Any]]:
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise InvalidRequest(
                f"{name}: work {number} is not a JSON object. Nothing was deposited."
            )
    # What MongoDB exports has a key of its own besides the work's id.
    return [{name: value for name, value in work.items() if name != "_id"} for work in values]


def _parameters(pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """Return the parameters that NAME=VALUE pairs stand for.

    Raises:
        InvalidRequest: one has no name.
    """
    found = {}
    for pair in pairs or ():
        name, equals, text = pair.partition("=")
        if not (name and equals):
            raise InvalidRequest(f"--parameter {pair!r} is not NAME=VALUE, such as dm=56.7.")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found or None

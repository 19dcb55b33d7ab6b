"""Files of workflows on the command line: read, checked, and told of line by line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from longshore import limits
from longshore.cli.console import note, printable
from longshore.cli.scripts_calls import fetch
from longshore.errors import (
    ConfigurationError,
    InvalidRequest,
    LongshoreError,
    PermissionDenied,
    ServerUnreachable,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

STANDARD_INPUT: Final = "-"
_NO_SERVER: Final = (
    ConfigurationError,
    PermissionDenied,
    ServerUnreachable,
    Unauthenticated,
    Unavailable,
)


def read_file(name: str) -> str:
    """Return the text of a file, or of standard input for "-".

    Raises:
        InvalidRequest: it is not UTF-8 text.
        TooLarge: no workflow is that long.
    """
    if name == STANDARD_INPUT:
        data = sys.stdin.buffer.read(limits.WORKFLOW_BYTES + 1)
    else:
        with Path(name).open("rb") as file:
            data = file.read(limits.WORKFLOW_BYTES + 1)
    if len(data) > limits.WORKFLOW_BYTES:
        raise TooLarge(
            f"{name} is larger than a workflow may be, {limits.WORKFLOW_BYTES} bytes. Is it the "
            "right file?"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8 text (byte {error.start}).") from error


def problems_of(text: str) -> list[dict[str, Any]]:
    """Return what is wrong with a file, as far as that is known without a server."""
    from longshore.surfaces.scripts.definition.problems import as_json
    from longshore.surfaces.scripts.definition.reading import examine

    return as_json(examine(text).problems)


def problems_at(server: str | None, text: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return what a server finds wrong with a file, or why none could be asked."""
    try:
        found = fetch(
            server, "POST", "/workflows/validate", {"text": text}, repeatable=True, retries=0
        )
    except _NO_SERVER as error:
        return [], error.message
    return found["problems"], None


def tell(name: str, problems: Sequence[Mapping[str, Any]]) -> None:
    """Write each problem on a line of its own, in the form in which editors jump to it."""
    for each in problems:
        place = f"{name}:{each['line']}" if each["line"] else name
        note(f"{printable(place)}: {printable(each['message'])}")


def problems_in(error: LongshoreError) -> list[dict[str, Any]]:
    """Return the problems that a refusal of the server lists; empty if it is about another thing."""
    found = error.details.get("problems")
    return found if isinstance(found, list) else []

"""`longshore doctor`: whether this installation, and the server that it finds, are in order."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from longshore import __version__
from longshore.cli.connecting import ServerOption
from longshore.cli.console import bytes_text, emit_json, out, printable
from longshore.cli.exit_codes import ExitCode
from longshore.errors import ConfigurationError, LongshoreError, PermissionDenied

if TYPE_CHECKING:
    from longshore import Client

_EXTRAS: Final = {
    "postgres": ("psycopg", "a PostgreSQL database"),
    "ocr": ("rapidocr", "the receipts app"),
    "corpus": ("zstandard", "images and archives of corpora"),
}


class Verdict(StrEnum):
    """What a check found."""

    ok = "ok"
    note = "note"
    fault = "FAULT"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    text: str


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: ServerOption = None,
) -> None:
    """Check this installation and the server that it finds; exit code 1 when something is wrong."""
    checks = [*_installation(), *_server(server)]
    if as_json:
        emit_json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            out(f"{check.verdict.value:<5}  {check.name:<{width}}  {printable(check.text)}")
    if any(check.verdict is Verdict.fault for check in checks):
        raise typer.Exit(int(ExitCode.FAILED))


def _installation() -> Iterator[Check]:
    where = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Check("longshore", Verdict.ok, f"{__version__}, {where}, {sys.prefix}")
    for extra, (module, use) in _EXTRAS.items():
        if importlib.util.find_spec(module) is not None:
            yield Check(f"[{extra}]", Verdict.ok, "installed")
        else:
            yield Check(
                f"[{extra}]",
                Verdict.note,
                f"not installed; needed for {use}: pip install 'longshore[{extra}]'",
            )


def _server(address: str | None) -> Iterator[Check]:
    from longshore.sdk import Client, find_connection

    try:
        connection = find_connection(address)
    except ConfigurationError as error:
        yield Check("server", Verdict.note if address is None else Verdict.fault, error.message)
        return
    yield Check("address", Verdict.ok, f"{connection.url} ({connection.origin})")
    with Client(connection.url, connection.key, retries=0, timeout_s=10) as client:
        try:
            who = client.whoami()
            yield Check("key", Verdict.ok, f"{who.role} of {who.organisation}")
        except LongshoreError as error:
            yield Check("key", Verdict.fault, str(error))
            return
        try:
            yield from _findings(client)
        except PermissionDenied:
            yield Check("server", Verdict.note, "its own report needs an admin's key")
        except LongshoreError as error:
            yield Check("server", Verdict.fault, str(error))


def _findings(client: Client) -> Iterator[Check]:
    report = client.doctor()
    for name, value in report.facts.items():
        yield Check(name, Verdict.ok, _text(name, value))
    for problem in report.problems:
        yield Check("problem", Verdict.fault, str(problem))


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(key, item)}" for key, item in value.items()) or "none"
    if name.endswith("_bytes") and isinstance(value, int | float):
        return bytes_text(value)
    return "none" if value is None else str(value)

"""`longshore doctor`: whether this installation, and the server that it finds, are in order."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from longshore import __version__
from longshore.cli.connecting import ServerOption
from longshore.cli.console import bytes_text, emit_json, out, printable
from longshore.cli.doctor_extras import extras
from longshore.cli.exit_codes import ExitCode
from longshore.clock import SECOND_US, SystemClock
from longshore.errors import ConfigurationError, LongshoreError, PermissionDenied
from longshore.server.diagnosis.finding import Finding, Verdict, fault, note, ok, warning

if TYPE_CHECKING:
    from longshore import Client
    from longshore.sdk.operations import Diagnosis

SKEW_S: Final = 2.0
"""A difference between the clocks of client and server that times on both sides show."""

FACTS: Final = ("version", "python", "database", "blobs", "time", "stored_blobs", "works")
"""What the server says of itself that no finding says better."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    server: ServerOption = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data directory to look at where no server answers."),
    ] = None,
) -> None:
    """Check this installation and the server that it finds; exit code 1 when something is wrong.

    Warnings and notes alone end with 0. Where no server answers, the data directory is looked at
    without it.
    """
    findings = [*_installation(), *_server(server, data)]
    if as_json:
        emit_json([asdict(each) for each in findings])
    else:
        _show(findings)
    if any(each.verdict is Verdict.FAULT for each in findings):
        raise typer.Exit(int(ExitCode.FAILED))


def _show(findings: list[Finding]) -> None:
    width = max(len(each.name) for each in findings)
    for each in findings:
        out(f"{each.verdict.value:<7}  {each.name:<{width}}  {printable(each.text)}")
        if each.next:
            out(f"{'':<7}  {'':<{width}}  -> {printable(each.next)}")


def _installation() -> Iterator[Finding]:
    where = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield ok("longshore", f"{__version__}, {where}, {sys.prefix}")
    yield from extras()


def _server(address: str | None, data: Path | None) -> Iterator[Finding]:
    from longshore.sdk import Client, find_connection

    try:
        connection = find_connection(address, data=data)
    except ConfigurationError as error:
        if address is not None:
            yield fault("server", error.message, "longshore up, or name another one by --server")
        else:
            yield note("server", error.message)
            yield from _directory(data)
        return
    yield ok("address", f"{connection.url} ({connection.origin})")
    with Client(connection.url, connection.key, retries=0, timeout_s=30) as client:
        try:
            who = client.whoami()
        except LongshoreError as error:
            yield fault("key", str(error), "start the server with longshore up, or check the key")
            yield from _directory(data or _beside(connection.origin))
            return
        yield ok("key", f"{who.role} of {who.organisation}")
        try:
            yield from _findings(client)
        except PermissionDenied:
            yield note("server", "its own report needs an admin's key", "longshore key create")
        except LongshoreError as error:
            yield fault("server", str(error), "look into the server's log")


def _beside(origin: str) -> Path | None:
    """Return the data directory that a key was found in, if it was in one."""
    path = Path(origin)
    return path.parent if path.is_file() else None


def _directory(data: Path | None) -> Iterator[Finding]:
    """Look at a data directory without its server."""
    if data is None or not data.is_dir():
        return
    from longshore.server.diagnosis import directory
    from longshore.settings import Settings

    yield note("data directory", f"{data}, looked at without a server")
    yield from directory.examine(Settings(data=data))


def _findings(client: Client) -> Iterator[Finding]:
    begun_s = time.monotonic()
    sent_us = SystemClock().now_us()
    report = client.doctor()
    length_s = time.monotonic() - begun_s
    yield _clock(report, sent_us / SECOND_US, length_s)
    for name in FACTS:
        yield ok(name, _text(name, report.facts.get(name)))
    for each in report.findings:
        yield Finding(each.name, Verdict(each.verdict), each.text, each.next)


def _clock(report: Diagnosis, sent_s: float, length_s: float) -> Finding:
    """Compare our clock with the server's, which said its time somewhere in between."""
    theirs_s = datetime.fromisoformat(report.facts["time"]).timestamp()
    skew_s = theirs_s - (sent_s + length_s / 2)
    text = (
        f"the server's is {skew_s:+.3f} s against this machine's, give or take {length_s / 2:.3f} s"
    )
    if abs(skew_s) <= SKEW_S + length_s / 2:
        return ok("clock", text)
    return warning(
        "clock",
        f"{text}: times on both sides do not fit together",
        "set both clocks by NTP: timedatectl",
    )


def _text(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(key, item)}" for key, item in value.items()) or "none"
    if name.endswith("_bytes") and isinstance(value, int | float):
        return bytes_text(value)
    return "none" if value is None else str(value)

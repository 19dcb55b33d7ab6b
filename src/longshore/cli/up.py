"""`longshore up`: the server, with a worker beside it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longshore.cli.configuring import settings_of
from longshore.cli.console import dimmed, emit_json, out
from longshore.errors import ConfigurationError

if TYPE_CHECKING:
    from longshore.server.companion import ServedHost
    from longshore.server.run import ReadyInfo


NoWorkerOption = Annotated[
    bool, typer.Option("--no-worker", help="Start no worker beside the server.")
]
AppsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--app",
        metavar="MODULE_OR_FILE",
        help="What the worker beside the server serves; repeatable.",
    ),
]
SlotsOption = Annotated[
    int | None,
    typer.Option("--slots", min=1, help="Slots of that worker; default is one per processor."),
]
WorkerHostOption = Annotated[
    str | None,
    typer.Option(
        "--worker-host",
        metavar="NAME",
        help="The host whose steps of workflows that worker runs; --host is the address to listen on.",
    ),
]
ScriptsOption = Annotated[
    Path | None,
    typer.Option("--scripts", metavar="DIR", help="Where the scripts of that host lie."),
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Directory of all local state [.longshore]."),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="postgresql://... or sqlite:///PATH [longshore.db in the data directory].",
    ),
]
BlobsOption = Annotated[
    str | None,
    typer.Option(
        "--blobs",
        metavar="PLACE",
        help="A directory or s3://bucket/prefix [blobs/ in the data directory].",
    ),
]


def up(
    data: DataOption = None,
    database: DatabaseOption = None,
    blobs: BlobsOption = None,
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes any [8400]."),
    ] = None,
    no_worker: NoWorkerOption = False,
    apps: AppsOption = None,
    slots: SlotsOption = None,
    worker_host: WorkerHostOption = None,
    scripts: ScriptsOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print address and stores as one line of JSON.")
    ] = False,
) -> None:
    """Start a server, with a worker beside it, and run until Ctrl-C or SIGTERM.

    Everything is kept in the data directory, where client and command line find address and key.
    Each option is also an environment variable, such as LONGSHORE_PORT; the option wins.
    Requests are logged to standard error as JSON, on a terminal only with LONGSHORE_LOG_LEVEL=info.
    """
    _check_apps(apps or [])
    served = _served_host(worker_host, scripts)
    settings = settings_of(data=data, database=database, blobs=blobs, host=host, port=port)
    if "log_level" not in settings.model_fields_set and sys.stderr.isatty():
        # A line for each request would bury what a person at the terminal needs to see.
        settings = settings.model_copy(update={"log_level": "warning"})
    from longshore.server import memory

    with memory.kept():
        from longshore.server.run import serve

    def announce(info: ReadyInfo) -> None:
        _print_json(info) if as_json else _print(info, no_worker=no_worker)
        sys.stdout.flush()

    code = serve(
        settings,
        apps=apps or [],
        worker=not no_worker,
        on_ready=announce,
        slots=slots,
        host=served,
        begun_s=_begun_s(),
    )
    raise typer.Exit(code)


def _begun_s() -> float:
    """Return when this process began, by time.monotonic: a person waits from there on.

    Most of a start is the loading of modules, which is over before the server can look at a clock.
    Where the system does not tell (only Linux does, in /proc), it is now.
    """
    try:
        # The second field is a name in parentheses, which may hold spaces; proc(5) counts from 1.
        ticks = int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[22 - 3])
        began_s = ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - began_s)
    except (AttributeError, OSError, ValueError):
        return time.monotonic()


def _check_apps(apps: list[str]) -> None:
    """Refuse a file that is not there before anything is started."""
    for app in apps:
        if app.endswith(".py") and not Path(app).is_file():
            raise ConfigurationError(
                f"There is no file {app}. Give --app the path of a Python file, or the dotted "
                "name of a module."
            )


def _served_host(name: str | None, scripts: Path | None) -> ServedHost | None:
    """Return the host for the worker, looked at before anything is started."""
    from longshore.server.companion import ServedHost
    from longshore.worker.steps_host import read_host

    text = None if scripts is None else str(scripts)
    host = read_host(name, text, option="--worker-host")
    return None if host is None else ServedHost(host.name, host.scripts)


def _print(info: ReadyInfo, *, no_worker: bool) -> None:
    lines = [
        ("dashboard", f"{info.dashboard_url}  (one-time, 10 min)"),
        ("API", info.docs_url),
        ("store", info.database),
        ("files", info.blobs),
        ("worker", _worker_text(info, no_worker=no_worker)),
        ("data", str(info.data)),
    ]
    if info.key_is_new:
        lines.append(("key", f"{info.key}  (admin; also in {info.credentials})"))
    for label, text in lines:
        out(f"  {label:<10} {text}")
    out(dimmed(f"  ready in {info.start_s:.2f} s; Ctrl-C stops it"))


def _worker_text(info: ReadyInfo, *, no_worker: bool) -> str:
    if info.slots:
        served = [*info.apps, *([f"host {info.host}"] if info.host else [])]
        return f"{info.slots} slots for {', '.join(served)}"
    if no_worker:
        return "none beside this server (--no-worker)"
    return "none: start with --app MODULE_OR_FILE, or run `longshore worker MODULE_OR_FILE`"


def _print_json(info: ReadyInfo) -> None:
    answer = {
        "url": info.url,
        "docs_url": info.docs_url,
        "dashboard_url": info.dashboard_url,
        "database": info.database,
        "blobs": info.blobs,
        "data": str(info.data),
        "credentials": str(info.credentials),
        "organisation": info.organisation,
        "apps": list(info.apps),
        "host": info.host,
        "slots": info.slots,
        "pid": info.pid,
        "start_s": info.start_s,
    }
    emit_json(answer, one_line=True)

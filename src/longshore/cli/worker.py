"""`longshore worker`: serve apps, buckets, services, workers of corpora and hosts from this machine."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from longshore.errors import ConfigurationError

_UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


class Executor(StrEnum):
    """What runs the user's code."""

    process = "process"
    thread = "thread"
    dask = "dask"
    ray = "ray"


Modules = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODULE",
        help="Modules or files with the apps, functions, services and elements workers to serve, such as "
        "acme.receipts or ./receipts.py; none for works of buckets that name what runs them, for "
        "services that are workbooks, for --task, and for --host.",
    ),
]
Buckets = Annotated[
    list[str] | None,
    typer.Option(
        "--bucket",
        metavar="NAME",
        help="Serve a bucket whose works name their own function or command; may be repeated.",
    ),
]
Sites = Annotated[
    list[str] | None,
    typer.Option(
        "--site", metavar="SITE", help="Only works of buckets for this site; may be repeated."
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="TAG", help="Only works of buckets with this tag; may be repeated."
    ),
]
Events = Annotated[
    list[int] | None,
    typer.Option(
        "--event", metavar="NUMBER", help="Only works of buckets about this event; may be repeated."
    ),
]
Parents = Annotated[
    list[str] | None,
    typer.Option(
        "--parent", metavar="PARENT", help="Only works of buckets of this parent; may be repeated."
    ),
]
Shell = Annotated[
    bool,
    typer.Option(
        "--shell",
        help="Give a command of one element to a shell. Whoever can deposit work can then run "
        "any shell line here.",
    ),
]

Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="SLUG[:VERSION]=COMMAND",
        help="Run tasks of a worker of corpora with a program, such as one of another virtual "
        "environment; no shell runs it; may be repeated.",
    ),
]
TaskKinds = Annotated[
    list[str] | None,
    typer.Option(
        "--task-kind",
        metavar="[SLUG=]KIND",
        help="What such a worker works on: elements (default) or dataset; may be repeated.",
    ),
]
TaskConfigurations = Annotated[
    list[str] | None,
    typer.Option(
        "--task-configuration",
        metavar="SLUG=FILE",
        help="What such a worker is configured with: a file in YAML or JSON with any of "
        "configuration, user_configuration and secrets; may be repeated.",
    ),
]
TasksDirectory = Annotated[
    Path | None,
    typer.Option(
        "--tasks-dir",
        metavar="DIR",
        help="Where tasks and steps get their directories; default is the system's temporary directory.",
    ),
]
KeepTasks = Annotated[
    bool,
    typer.Option(
        "--keep-tasks", help="Keep the directories of tasks and steps there when they have ended."
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="NAME", help="Run the steps of workflows that are of this host."
    ),
]
Scripts = Annotated[
    Path | None,
    typer.Option("--scripts", metavar="DIR", help="Where the scripts of that host lie."),
]
PassedVariables = Annotated[
    list[str] | None,
    typer.Option(
        "--pass-env",
        metavar="VARIABLE",
        help="Give the steps this variable of the worker, too; may be repeated.",
    ),
]

Server = Annotated[
    str | None,
    typer.Option(
        "--server", metavar="URL", help="Address of the server; found on its own machine."
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory of a server on this machine."),
]
Slots = Annotated[
    int | None,
    typer.Option("--slots", min=1, help="Works run at once; default is one per processor."),
]
ExecutorOption = Annotated[
    Executor,
    typer.Option(
        "--executor",
        help="Run the code in child processes or in threads, or services on a Dask or Ray cluster.",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Where the cluster is, such as tcp://host:8786 (Dask) or host:6379 (Ray).",
    ),
]
Lives = Annotated[
    int | None,
    typer.Option("--lives", min=1, help="Stop after this many works; default is never."),
]
Name = Annotated[
    str | None,
    typer.Option("--name", help="Name shown in listings; default is host and process id."),
]
DrainS = Annotated[
    float,
    typer.Option("--drain-s", min=0, help="Seconds that a stop lets running work go on."),
]
ParentPid = Annotated[
    int | None,
    typer.Option("--parent-pid", hidden=True, help="Stop when this parent process is gone."),
]

MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Most memory of one child process, such as 2GB; 0 for no limit. "
        "Default is 80 % of the machine's, divided by the slots.",
    ),
]


def worker(
    modules: Modules = None,
    server: Server = None,
    data: Data = None,
    slots: Slots = None,
    executor: ExecutorOption = Executor.process,
    address: Address = None,
    name: Name = None,
    memory_limit: MemoryOption = None,
    buckets: Buckets = None,
    sites: Sites = None,
    tags: Tags = None,
    events: Events = None,
    parents: Parents = None,
    shell: Shell = False,
    tasks: Tasks = None,
    task_kinds: TaskKinds = None,
    task_configurations: TaskConfigurations = None,
    tasks_directory: TasksDirectory = None,
    keep_tasks: KeepTasks = False,
    host: Host = None,
    scripts: Scripts = None,
    pass_env: PassedVariables = None,
    lives: Lives = None,
    drain_s: DrainS = 20.0,
    parent_pid: ParentPid = None,
) -> None:
    """Claim work of the given apps, buckets, services, workers and host and run it, until stopped.

    The API key comes from LONGSHORE_KEY, or from the data directory of a server on this machine.
    On Ctrl-C or SIGTERM it takes nothing new, lets running work end, and hands back the rest.
    """
    from longshore.sdk import find_connection
    from longshore.worker.options import WorkerOptions, default_name, default_slots
    from longshore.worker.runtime import run

    connection = find_connection(server, data=data, role="worker_key")
    options = WorkerOptions(
        modules=modules or (),
        url=connection.url,
        key=connection.key,
        slots=slots or default_slots(),
        executor=executor.value,
        address=address,
        name=name or default_name(),
        drain_s=drain_s,
        memory_limit_bytes=None if memory_limit is None else size_bytes(memory_limit),
        parent_pid=parent_pid,
        buckets=buckets or (),
        where=bucket_filter(sites, tags, events, parents),
        shell=shell,
        lives=lives,
        **_of_tasks(tasks, task_kinds, task_configurations, tasks_directory, keep=keep_tasks),
        host=host,
        scripts=None if scripts is None else str(scripts),
        pass_env=pass_env or (),
        # A worker of a host alone keeps no processes ready for anything.
        workbooks=bool(host is None or modules or buckets) and _computes_workbooks(executor),
    )
    raise typer.Exit(run(options))


def _of_tasks(
    tasks: list[str] | None,
    kinds: list[str] | None,
    configurations: list[str] | None,
    directory: Path | None,
    *,
    keep: bool,
) -> dict[str, Any]:
    """Return what the worker's options say of tasks."""
    return {
        "tasks": tasks or (),
        "task_kinds": kinds or (),
        "task_configurations": configurations or (),
        "tasks_directory": None if directory is None else str(directory.absolute()),
        "keep_tasks": keep,
    }


def _computes_workbooks(executor: Executor) -> bool:
    from longshore.workbooks import installed

    return executor in (Executor.process, Executor.thread) and installed()


def bucket_filter(
    sites: list[str] | None,
    tags: list[str] | None,
    events: list[int] | None,
    parents: list[str] | None,
) -> dict[str, Any] | None:
    """Return the filter for works of buckets: of each kind that is given, any one must match."""
    wanted = {"site": sites, "tags": tags, "event": events, "config.parent": parents}
    return {name: {"$in": list(values)} for name, values in wanted.items() if values} or None


def size_bytes(text: str) -> int:
    """Return the bytes in a size such as 512MB, 1.5GiB or 0.

    Raises:
        ConfigurationError: the text is not a size.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?i?)b?", text.strip().casefold())
    if match is None or match[2] not in _UNITS:
        raise ConfigurationError(f"{text!r} is not a size; write it as 512MB, 2GB or 1.5GiB.")
    return round(float(match[1]) * _UNITS[match[2]])

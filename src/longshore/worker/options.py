"""What a worker is told when it starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from longshore.errors import ConfigurationError
from longshore.limits import CLAIM_WORKS, NAME_CHARACTERS
from longshore.worker.executors import check_address
from longshore.worker.registry import check_bucket
from longshore.worker.steps_host import Host, read_host
from longshore.worker.tasks_programs import Program, read_commands

Executor = Literal["process", "thread", "dask", "ray"]
LogLevel = Literal["debug", "info", "warning", "error"]


def default_name() -> str:
    """Return host name and process id, which a person can find again."""
    return f"{socket.gethostname()}-{os.getpid()}"


def default_slots() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker runs.

    Attributes:
        modules: the user's modules, as dotted names or as paths of files; none are needed to
            serve buckets whose works name what runs them.
        url: address of the server, such as `http://127.0.0.1:8400`.
        key: API key of role worker; never logged.
        slots: how many works run at the same time.
        executor: `process` runs each slot in a supervised child process; `thread` runs them in
            threads of the worker, where a time limit, a cancellation and a memory limit cannot
            stop the user's code, and a crash ends the worker. `dask` and `ray` run chunks of
            services on the cluster at `address`.
        address: where the cluster is.
        name: what people know the worker by.
        drain_s: how long a stop waits for running works before it hands them back, in seconds.
        memory_limit_bytes: data that one child process may allocate; None means 80 % of the
            machine's memory divided by the slots, 0 means no limit.
        grace_s: time between asking a child process to end and killing it, in seconds.
        log_level: least severe line that the worker writes to stderr about itself.
        parent_pid: the process beside which the worker runs; when that is gone it drains.
        buckets: buckets to serve, beside those that the modules register a function for.
        where: filter that works of buckets must match, in the language of /buckets/view.
        shell: whether a command of one element is given to a shell.
        lives: how many works to run before the worker stops; None for no end.
        workbooks: whether to compute services that are workbooks.
        tasks: programs of other environments that run tasks, as SLUG[:VERSION]=COMMAND.
        task_kinds: what those work on, as KIND or SLUG=KIND: `elements` (default) or `dataset`.
        task_configurations: files in YAML or JSON with their configuration, as SLUG=FILE.
        tasks_directory: where the directories of tasks and steps are made; the system's temporary
            directory unless given.
        keep_tasks: whether the directory of a task or step stays there when it has ended.
        host: name of the host whose steps of workflows run here.
        scripts: directory of the scripts of that host.
        pass_env: variables of this machine that the steps are given as well.
    """

    modules: Sequence[str]
    url: str
    key: str = field(repr=False)
    slots: int = field(default_factory=default_slots)
    executor: Executor = "process"
    address: str | None = None
    name: str = field(default_factory=default_name)
    drain_s: float = 20.0
    memory_limit_bytes: int | None = None
    grace_s: float = 5.0
    log_level: LogLevel = "info"
    parent_pid: int | None = None
    buckets: Sequence[str] = ()
    where: Mapping[str, Any] | None = None
    shell: bool = False
    lives: int | None = None
    workbooks: bool = False
    tasks: Sequence[str] = ()
    task_kinds: Sequence[str] = ()
    task_configurations: Sequence[str] = ()
    tasks_directory: str | None = None
    keep_tasks: bool = False
    host: str | None = None
    scripts: str | None = None
    pass_env: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: nothing to serve, an address that is not http(s), a bad number or
                name.
        """
        self._check_host()
        if not (self.modules or self.buckets or self.workbooks or self.tasks or self.host):
            raise ConfigurationError(
                "A worker needs something to serve: give a module that registers something to run, "
                "by its dotted name or the path of its file, a bucket with --bucket NAME, a program "
                "with --task SLUG=COMMAND, or a host with --host NAME --scripts DIR."
            )
        for name in self.buckets:
            check_bucket("--bucket", name)
        if self.lives is not None and self.lives < 1:
            raise ConfigurationError(f"lives is {self.lives}; give 1 or more, or none at all.")
        if not self.url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"The server address {self.url!r} must start with http:// or https://."
            )
        if not 1 <= self.slots <= CLAIM_WORKS:
            raise ConfigurationError(f"slots is {self.slots}; give 1 to {CLAIM_WORKS}.")
        self._check_executor()
        self._check_tasks()
        if not 1 <= len(self.name) <= NAME_CHARACTERS:
            raise ConfigurationError(
                f"The worker's name must have 1 to {NAME_CHARACTERS} characters."
            )
        if self.drain_s < 0 or self.grace_s < 0 or (self.memory_limit_bytes or 0) < 0:
            raise ConfigurationError(
                "drain_s, grace_s and memory_limit_bytes must not be negative."
            )

    def commands(self) -> list[Program]:
        """Return the programs of `tasks`.

        Raises:
            ConfigurationError: one of them cannot be read, or its program is not there.
        """
        return read_commands(self.tasks, self.task_kinds, self.task_configurations)

    def served_host(self) -> Host | None:
        """Return the host whose steps run here, if any.

        Raises:
            ConfigurationError: its name, its directory or a variable cannot be used.
        """
        return read_host(self.host, self.scripts, self.pass_env)

    @property
    def loads_code(self) -> bool:
        """Whether slots need processes that have loaded something, ready for works to come."""
        return bool(self.modules or self.buckets or self.workbooks or not self.host)

    def _check_host(self) -> None:
        self.served_host()
        if self.host and self.executor != "process":
            raise ConfigurationError(
                f"Steps run in processes of their own, not with --executor {self.executor}. Serve "
                "--host with another worker, with --executor process."
            )

    def _check_tasks(self) -> None:
        self.commands()
        if self.tasks and self.executor != "process":
            raise ConfigurationError(
                f"Tasks run in processes of their own, not with --executor {self.executor}. Serve "
                "--task with another worker, with --executor process."
            )
        if self.keep_tasks and self.tasks_directory is None:
            raise ConfigurationError(
                "--keep-tasks needs --tasks-dir: the temporary directory is removed at the end."
            )
        if self.tasks_directory is not None and not Path(self.tasks_directory).is_dir():
            raise ConfigurationError(
                f"--tasks-dir {self.tasks_directory!r} is no directory. Make it first."
            )

    def _check_executor(self) -> None:
        if self.executor not in get_args(Executor):
            raise ConfigurationError(
                f"executor is {self.executor!r}; give {', '.join(get_args(Executor))}."
            )
        if self.executor not in ("dask", "ray"):
            if self.address is not None:
                raise ConfigurationError(
                    f"--address names a cluster, and the executor is {self.executor}. Give "
                    "--executor dask or --executor ray as well."
                )
            return
        check_address(self.executor, self.address)
        if self.buckets or self.workbooks or not self.modules:
            raise ConfigurationError(
                f"Only services in Python run with --executor {self.executor}: give a module that "
                "registers some, and serve buckets and workbooks with another worker."
            )

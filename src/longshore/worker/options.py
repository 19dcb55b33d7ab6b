"""What a worker is told when it starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from longshore.errors import ConfigurationError
from longshore.limits import CLAIM_WORKS, NAME_CHARACTERS
from longshore.worker.executors import check_address
from longshore.worker.registry import check_bucket

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

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: nothing to serve, an address that is not http(s), a bad number or
                name.
        """
        if not (self.modules or self.buckets or self.workbooks):
            raise ConfigurationError(
                "A worker needs something to serve: give a module that registers something to run, "
                "by its dotted name or the path of its file, or a bucket with --bucket NAME."
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
        if not 1 <= len(self.name) <= NAME_CHARACTERS:
            raise ConfigurationError(
                f"The worker's name must have 1 to {NAME_CHARACTERS} characters."
            )
        if self.drain_s < 0 or self.grace_s < 0 or (self.memory_limit_bytes or 0) < 0:
            raise ConfigurationError(
                "drain_s, grace_s and memory_limit_bytes must not be negative."
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

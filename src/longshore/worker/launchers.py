"""What starts programs beside the slots' processes: commands of buckets, and tasks of corpora."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from longshore.worker import memory
from longshore.worker.commands import Commands
from longshore.worker.options import WorkerOptions
from longshore.worker.tasks import Tasks
from longshore.worker.tasks_programs import Programs
from longshore.worker.transport import Transport


@dataclass(frozen=True, slots=True)
class Launchers:
    """Both of them."""

    commands: Commands
    tasks: Tasks

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is stopped from now on at most `grace_s` to end by itself."""
        self.commands.limit_grace(grace_s)
        self.tasks.limit_grace(grace_s)


def memory_limit_bytes(options: WorkerOptions) -> int:
    """Return the data that each process may allocate; 0 means no limit."""
    if options.memory_limit_bytes is None:
        return memory.default_limit_bytes(options.slots)
    return options.memory_limit_bytes


def make_launchers(
    options: WorkerOptions,
    programs: Programs,
    transport: Transport,
    *,
    directory: Path,
    on_group: Callable[[int, bool], None],
) -> Launchers:
    """Return both, as the worker's options say.

    Args:
        options: of the worker.
        programs: what runs tasks.
        transport: to the server.
        directory: of the worker, private and removed with it.
        on_group: called with a process group's id and whether it begins or is gone.
    """
    limit_bytes = memory_limit_bytes(options)
    commands = Commands(
        shell=options.shell,
        grace_s=options.grace_s,
        memory_limit_bytes=limit_bytes,
        on_group=on_group,
    )
    tasks = Tasks(
        programs,
        transport,
        directory=directory,
        kept=Path(options.tasks_directory or "") if options.keep_tasks else None,
        grace_s=options.grace_s,
        memory_limit_bytes=limit_bytes,
        on_group=on_group,
    )
    return Launchers(commands, tasks)

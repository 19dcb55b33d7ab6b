"""What starts programs beside the slots' processes: commands, tasks of corpora, steps of a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from longshore.worker import memory
from longshore.worker.attempt_directories import AttemptDirectories
from longshore.worker.commands import Commands
from longshore.worker.leases import Leases
from longshore.worker.options import WorkerOptions
from longshore.worker.running import Runner
from longshore.worker.steps import Steps
from longshore.worker.tasks import Tasks
from longshore.worker.tasks_programs import Programs
from longshore.worker.transport import Transport


@dataclass(frozen=True, slots=True)
class Launchers:
    """All of them; `steps` is None where no host is served."""

    commands: Commands
    tasks: Tasks
    steps: Steps | None
    runner: Runner

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is stopped from now on at most `grace_s` to end by itself."""
        self.runner.limit_grace(grace_s)


def memory_limit_bytes(options: WorkerOptions) -> int:
    """Return the data that each process may allocate; 0 means no limit."""
    if options.memory_limit_bytes is None:
        return memory.default_limit_bytes(options.slots)
    return options.memory_limit_bytes


def make_launchers(
    options: WorkerOptions,
    programs: Programs,
    transport: Transport,
    leases: Leases,
    *,
    directory: Path,
    worker_id: Callable[[], str],
) -> Launchers:
    """Return all of them, as the worker's options say.

    Args:
        options: of the worker.
        programs: what runs tasks.
        transport: to the server.
        leases: guards the process groups, and knows how old a claim is.
        directory: of the worker, private and removed with it.
        worker_id: returns the id that the server knows this worker by.
    """
    runner = Runner(
        grace_s=options.grace_s,
        memory_limit_bytes=memory_limit_bytes(options),
        on_group=leases.guard,
    )
    kept = Path(options.tasks_directory or "") if options.keep_tasks else None
    directories = AttemptDirectories(directory, kept)
    host = options.served_host()
    return Launchers(
        Commands(runner, shell=options.shell),
        Tasks(programs, transport, runner, directories),
        None
        if host is None
        else Steps(host, transport, runner, directories, age_s=leases.age_s, worker_id=worker_id),
        runner,
    )

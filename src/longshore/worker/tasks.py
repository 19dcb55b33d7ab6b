"""Works of surface "corpus": run a worker program in a directory of its own, keep what it leaves.

    prepare: directory, parents' files, model    run: the program    store: its files as blobs

Each attempt has a new directory and a new process, which leads a process group of its own. The
slot whose work it is stays idle meanwhile.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from longshore.errors import ConfigurationError, CorruptData, TooLarge
from longshore.limits import ERROR_CHARACTERS
from longshore.wire.tasks import TaskFile, TaskPayload, TaskResult
from longshore.wire.worker import AttemptError, Claimed, Outcome
from longshore.worker import memory, tasks_files
from longshore.worker.channel import Finished, Run
from longshore.worker.slots import Attempt, Stop, first_of, last_lines, stopped, unless_stopped
from longshore.worker.supervision import Exit, OwnedProcess
from longshore.worker.tasks_directory import TaskDirectory, remove
from longshore.worker.tasks_programs import Program, Programs
from longshore.worker.texts import attempt_error, clean_tail
from longshore.worker.transport import Transport

_DECODER: Final = msgspec.json.Decoder(TaskPayload)
# A shell says so that a signal killed what it ran.
_SHELL_SIGNAL: Final = 128
_SIGNALS: Final = 64


class Tasks:
    """Runs tasks beside the slots' processes."""

    def __init__(
        self,
        programs: Programs,
        transport: Transport,
        *,
        directory: Path,
        kept: Path | None,
        grace_s: float,
        memory_limit_bytes: int,
        on_group: Callable[[int, bool], None],
    ) -> None:
        """Run nothing yet.

        Args:
            programs: what runs the tasks.
            transport: to the server.
            directory: gets the directories of the attempts.
            kept: where they are moved to at their ends; None removes them.
            grace_s: time between SIGTERM and SIGKILL.
            memory_limit_bytes: data that each process may allocate; 0 means no limit.
            on_group: called with a process group's id and whether it begins or is gone.
        """
        self._programs = programs
        self._transport = transport
        self._directory = directory
        self._kept = kept
        self._grace_s = grace_s
        self._memory_limit_bytes = memory_limit_bytes
        self._on_group = on_group

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is stopped from now on at most `grace_s` to end by itself."""
        self._grace_s = min(self._grace_s, grace_s)

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run a task to its end, which may be a stop.

        Raises:
            Stopped: the attempt was stopped while the worker itself was busy with it.
            ConfigurationError: its program is not served here, or cannot be started.
            LongshoreError, OSError: its files cannot be fetched or stored.
            msgspec.MsgspecError: the payload is not that of a task.
        """
        task = _DECODER.decode(run.payload)
        program = self._programs.find(task)
        attempt.work = _limited(attempt.work, task)
        note = partial(attempt.output.line, "worker")
        root = Path(tempfile.mkdtemp(prefix="task-", dir=self._directory))
        try:
            place = TaskDirectory(root, task)
            await unless_stopped(attempt, place.fill(self._transport, note))
            return await self._run(run, attempt, program, place)
        except (CorruptData, TooLarge) as error:
            # The same files are there for every other attempt.
            return _failed(run, Outcome.REJECTED, attempt_error(error))
        finally:
            await asyncio.to_thread(self._put_away, root, run, task, note)

    async def _run(
        self, run: Run, attempt: Attempt, program: Program, place: TaskDirectory
    ) -> Finished:
        end = await self._run_program(attempt, program, place)
        attempt.output.flush()
        tail = attempt.output.tail()
        if end is None:
            why = attempt.stopped.result() if attempt.stopped.done() else Stop.TIME_LIMIT
            return stopped(run, why, attempt.work.timeout_s, tail)
        name = f"{program.offer.slug} {program.offer.version}"
        if _killed(end):
            used = memory.describe(self._memory_limit_bytes, end.peak_rss_bytes)
            error = _error("ProgramKilled", f"Worker {name} {end} ({used}).", tail)
            return _failed(run, Outcome.FAILURE, error)
        note = partial(attempt.output.line, "worker")
        storing = tasks_files.store(self._transport, place.path, note)
        files = await unless_stopped(attempt, storing)
        if end.code == 0:
            return Finished(run.work_id, run.attempt, Outcome.SUCCESS, result=_result(end, files))
        error = _error("ProgramFailed", f"Worker {name} {end}.", tail)
        return _failed(run, Outcome.REJECTED, error, result=_result(end, files))

    async def _run_program(
        self, attempt: Attempt, program: Program, place: TaskDirectory
    ) -> Exit | None:
        """Run the program; None where it had to be stopped."""
        try:
            process = OwnedProcess(
                program.argv,
                on_output=attempt.output.feed,
                environment=place.environment(self._transport.url),
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The program {program.argv[0]!r} of worker {program.offer.slug} cannot be started "
                f"on this machine: {error}. Install it there, or correct --task."
            ) from None
        self._begin(process)
        timeout_s = attempt.work.timeout_s
        await first_of(process.exited, attempt.stopped, timeout_s=timeout_s)
        if process.exited.done():
            return process.exited.result()
        await process.stop(self._grace_s)
        return None

    def _begin(self, process: OwnedProcess) -> None:
        self._on_group(process.pid, True)
        process.exited.add_done_callback(lambda _: self._on_group(process.pid, False))
        memory.limit_process(process.pid, self._memory_limit_bytes)

    def _put_away(
        self, root: Path, run: Run, task: TaskPayload, note: Callable[[str], Any]
    ) -> None:
        if self._kept is None:
            remove(root)
            return
        prefix = f"{task.task_id}-{run.attempt}-"
        try:
            target = root.rename(tempfile.mkdtemp(prefix=prefix, dir=self._kept))
        except OSError as error:
            note(f"The directory of the task cannot be kept: {error}.")
            remove(root)
        else:
            note(f"The directory of the task is kept: {target}")


def _limited(work: Claimed, task: TaskPayload) -> Claimed:
    """Return the work with the task's time limit, where that is shorter."""
    limits_s = [limit_s for limit_s in (work.timeout_s, task.timeout_s) if limit_s is not None]
    return msgspec.structs.replace(work, timeout_s=min(limits_s, default=None))


def _killed(end: Exit) -> bool:
    """Whether a signal ended the program, or what a shell ran for it."""
    return end.code < 0 or _SHELL_SIGNAL < end.code <= _SHELL_SIGNAL + _SIGNALS


def _result(end: Exit, files: list[TaskFile]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(TaskResult(exit_code=end.code, files=files)))


def _error(kind: str, what: str, tail: str) -> AttemptError:
    lines = clean_tail(tail, ERROR_CHARACTERS - len(what) - 100)
    return AttemptError(type=kind, message=f"{what}{last_lines(lines)}")


def _failed(
    run: Run, outcome: Outcome, error: AttemptError, *, result: msgspec.Raw | None = None
) -> Finished:
    if result is None:
        return Finished(run.work_id, run.attempt, outcome, error=error)
    return Finished(run.work_id, run.attempt, outcome, error=error, result=result)

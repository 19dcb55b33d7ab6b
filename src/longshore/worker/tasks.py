"""Works of surface "corpus": run a worker program in a directory of its own, keep what it leaves.

    prepare: directory, parents' files, model    run: the program    store: its files as blobs

Each attempt has a new directory and a new process, which leads a process group of its own. The
slot whose work it is stays idle meanwhile.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from longshore.errors import ConfigurationError, CorruptData, TooLarge
from longshore.limits import ERROR_CHARACTERS
from longshore.wire.tasks import TaskFile, TaskPayload, TaskResult
from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import memory, tasks_files
from longshore.worker.attempt_directories import AttemptDirectories
from longshore.worker.channel import Finished, Run
from longshore.worker.running import Ended, Runner, limited
from longshore.worker.slots import Attempt, last_lines, stopped, unless_stopped
from longshore.worker.supervision import Exit
from longshore.worker.tasks_directory import TaskDirectory
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
        runner: Runner,
        directories: AttemptDirectories,
    ) -> None:
        """Run nothing yet.

        Args:
            programs: what runs the tasks.
            transport: to the server.
            runner: starts and stops them.
            directories: makes those of the attempts.
        """
        self._programs = programs
        self._transport = transport
        self._runner = runner
        self._directories = directories

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
        attempt.work = limited(attempt.work, task.timeout_s)
        note = partial(attempt.output.line, "worker")
        root = self._directories.make("task")
        try:
            place = TaskDirectory(root, task)
            await unless_stopped(attempt, place.fill(self._transport, note))
            return await self._run(run, attempt, program, place)
        except (CorruptData, TooLarge) as error:
            # The same files are there for every other attempt.
            return _failed(run, Outcome.REJECTED, attempt_error(error))
        finally:
            prefix = f"{task.task_id}-{run.attempt}"
            await self._directories.put_away(root, kind="task", prefix=prefix, note=note)

    async def _run(
        self, run: Run, attempt: Attempt, program: Program, place: TaskDirectory
    ) -> Finished:
        ended = await self._run_program(attempt, program, place)
        attempt.output.flush()
        tail = attempt.output.tail()
        if ended.why is not None:
            return stopped(run, ended.why, attempt.work.timeout_s, tail)
        end = ended.exit
        name = f"{program.offer.slug} {program.offer.version}"
        if _killed(end):
            used = memory.describe(self._runner.memory_limit_bytes, end.peak_rss_bytes)
            error = _error("ProgramKilled", f"Worker {name} {end} ({used}).", tail)
            return _failed(run, Outcome.FAILURE, error)
        note = partial(attempt.output.line, "worker")
        storing = tasks_files.store(self._transport, place.path, note)
        files = await unless_stopped(attempt, storing)
        if end.code == 0:
            return Finished(run.work_id, run.attempt, Outcome.SUCCESS, result=_result(end, files))
        error = _error("ProgramFailed", f"Worker {name} {end}.", tail)
        return _failed(run, Outcome.REJECTED, error, result=_result(end, files))

    async def _run_program(self, attempt: Attempt, program: Program, place: TaskDirectory) -> Ended:
        try:
            environment = place.environment(self._transport.url)
            return await self._runner.run(program.argv, attempt, environment=environment)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The program {program.argv[0]!r} of worker {program.offer.slug} cannot be started "
                f"on this machine: {error}. Install it there, or correct --task."
            ) from None


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

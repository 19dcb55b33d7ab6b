"""A slot that runs user code in a supervised child process (`--executor process`)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from longshore.wire.worker import AttemptError, Outcome
from longshore.worker import memory
from longshore.worker.channel import (
    Begin,
    Broken,
    Finished,
    FromChild,
    Loaded,
    Note,
    Quit,
    Ready,
    Run,
)
from longshore.worker.child_process import Exit, SupervisedProcess
from longshore.worker.poison import SharedCells, Suspects, Watch
from longshore.worker.progress import NONE, OUT_OF_MEMORY_STATUS
from longshore.worker.slots import (
    Attempt,
    OnLoaded,
    SetUpFailed,
    Stop,
    first_of,
    last_lines,
    stopped,
)
from longshore.worker.texts import clean_tail
from longshore.worker.troubles import MESSAGE_CHARACTERS, Category, RecordError

_QUIT_S = 2.0
# Code of a record that is stopped for good has nothing to put away.
_RECORD_GRACE_S = 0.5


class ProcessSlot:
    """One slot and its process, which lives until something kills it."""

    def __init__(
        self,
        begin: Begin,
        *,
        grace_s: float,
        on_loaded: OnLoaded,
        on_group: Callable[[int, bool], None],
    ) -> None:
        """Prepare; `start` makes the process.

        Args:
            begin: what each process is told first.
            grace_s: time between SIGTERM and SIGKILL.
            on_loaded: called with what the modules offer, each time a process has loaded them.
            on_group: called with a process group's id and whether it begins or is gone.
        """
        self._grace_s = grace_s
        self._on_loaded = on_loaded
        self._on_group = on_group
        self._progress = SharedCells()
        self._begin = msgspec.structs.replace(begin, progress=self._progress.descriptor)
        self._overran = False
        self._child: SupervisedProcess | None = None
        self._ready: asyncio.Future[None] | None = None
        self._finished: asyncio.Future[Finished | None] | None = None
        self._attempt: Attempt | None = None
        self._set_up_output: deque[bytes] = deque(maxlen=64)

    @property
    def ready(self) -> bool:
        """Whether its process is there and set up."""
        child = self._child
        return (
            child is not None
            and not child.exited.done()
            and self._ready is not None
            and self._ready.done()
        )

    async def start(self) -> None:
        """Make a process and wait for its set-up, unless one is ready."""
        if self._child is not None and not self._child.exited.done():
            return
        self._set_up_output.clear()
        self._ready = asyncio.get_running_loop().create_future()
        try:
            child = SupervisedProcess(
                "longshore.worker.child",
                receives=FromChild,
                on_message=self._on_message,
                on_output=self._on_output,
                descriptors=(self._progress.descriptor,),
            )
        except OSError as error:
            raise SetUpFailed(f"No process could be started: {error}.") from error
        self._child = child
        self._on_group(child.pid, True)
        child.exited.add_done_callback(lambda _: self._on_group(child.pid, False))
        await child.send(self._begin)
        await first_of(self._ready, child.exited)
        if self._ready.done():
            if self._ready.exception() is not None:
                await child.stop(0)
            self._ready.result()
            return
        output = b"".join(self._set_up_output).decode("utf-8", "replace")
        raise SetUpFailed(
            f"The process {child.exited.result()} while it loaded "
            f"{', '.join(self._begin.modules)}.{last_lines(output)}"
        )

    def ended(self) -> asyncio.Future[Exit]:
        """Return what is done when the process has ended."""
        assert self._child is not None
        return self._child.exited

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run one work in the process; kill its group when it is stopped or takes too long.

        A chunk of records goes on in a new process when one dies at a record, until that record
        is known and left out.
        """
        timeout_s = attempt.work.timeout_s
        timer: asyncio.TimerHandle | None = None
        if timeout_s is not None:
            loop = asyncio.get_running_loop()
            timer = loop.call_later(timeout_s, attempt.stop, Stop.TIME_LIMIT)
        try:
            finished = await self._run_once(run, attempt)
            return finished or await self._go_on(run, attempt)
        finally:
            if timer is not None:
                timer.cancel()

    async def _go_on(self, run: Run, attempt: Attempt) -> Finished:
        """Run a chunk again and again, until no process dies at it."""
        suspects, cells = Suspects(), self._progress.cells
        while True:
            position, count = cells[0], cells[1]
            error = self._record_error(run, attempt)
            suspects.note(position, count, error)
            records = f"Record {position}" if count == 1 else f"{count} records from {position} on"
            attempt.output.line("worker", f"{records}: {error.message}")
            attempt.output.forget()
            run = msgspec.structs.replace(run, order=suspects.order())
            finished = await self._start_again(run, attempt) or await self._run_once(run, attempt)
            if finished is not None:
                return finished

    async def _run_once(self, run: Run, attempt: Attempt) -> Finished | None:
        """Run a work; None when its process has ended, or was stopped, at a record of it."""
        child = self._child
        assert child is not None
        sending: asyncio.Task[None] | None = None
        watch: Watch | None = None
        self._progress.clear()
        self._overran = False
        self._attempt = attempt
        # One future for all that can end the attempt: short works come by the thousand a second,
        # and a task and a wait for each cause would cost more than they do.
        self._finished = asyncio.get_running_loop().create_future()
        wake = partial(_settle, self._finished)
        child.exited.add_done_callback(wake)
        attempt.stopped.add_done_callback(wake)
        if run.record_timeout_s is not None:
            watch = Watch(self._progress.cells, run.record_timeout_s, self._overrun)
        try:
            if not child.send_now(run):
                sending = asyncio.create_task(child.send(run))
            finished = await self._finished
            if finished is not None:
                child.drain_output()
                if finished.error is not None and finished.error.type == MemoryError.__name__:
                    # What filled the memory may still be there, and the next work is innocent.
                    await child.stop(0)
                return finished
            return await self._unfinished(run, attempt, child, sending)
        finally:
            child.exited.remove_done_callback(wake)
            if watch is not None:
                watch.stop()
            self._attempt = self._finished = None

    async def _unfinished(
        self,
        run: Run,
        attempt: Attempt,
        child: SupervisedProcess,
        sending: asyncio.Task[None] | None,
    ) -> Finished | None:
        """Sort out why there is no result; None where it is for a record."""
        if not attempt.stopped.done():
            at_record = self._progress.cells[0] != NONE
            end = await child.stop(min(self._grace_s, _RECORD_GRACE_S))
            attempt.output.flush()
            return None if at_record else self._crashed(run, end, attempt)
        if child.exited.done():
            return self._crashed(run, child.exited.result(), attempt)
        why = attempt.stopped.result()
        await child.stop(self._grace_s)
        if sending is not None:
            await sending
        attempt.output.flush()
        return stopped(run, why, attempt.work.timeout_s, attempt.output.tail())

    def _overrun(self, _position: int) -> None:
        if self._finished is not None and not self._finished.done():
            self._overran = True
            self._finished.set_result(None)

    async def _start_again(self, run: Run, attempt: Attempt) -> Finished | None:
        """Make another process; return how the attempt ends where there is none."""
        starting = asyncio.create_task(self.start())
        await first_of(starting, attempt.stopped)
        try:
            if starting.done():
                starting.result()
                return None
            return stopped(run, attempt.stopped.result(), attempt.work.timeout_s, "")
        except SetUpFailed as error:
            failure = AttemptError(type="SetUpFailed", message=str(error))
            return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=failure)
        finally:
            if starting.cancel():
                await asyncio.wait([starting])
                await self.close()

    async def close(self) -> None:
        """Let an idle process end by itself; kill a busy one."""
        child = self._child
        if child is None or child.exited.done():
            return
        if self._attempt is None and self._ready is not None and self._ready.done():
            await child.send(Quit())
            await asyncio.wait([child.exited], timeout=_QUIT_S)
        await child.stop(0)

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is stopped from now on at most `grace_s` to end by itself."""
        self._grace_s = min(self._grace_s, grace_s)

    def _record_error(self, run: Run, attempt: Attempt) -> RecordError:
        assert self._child is not None
        end, tail = self._child.exited.result(), attempt.output.tail()
        if self._overran:
            return RecordError(
                error_category=Category.TIME_LIMIT,
                error_type="TimeLimit",
                additional_details=clean_tail(tail, MESSAGE_CHARACTERS),
                message=f"Stopped at the time limit of {run.record_timeout_s:g} s for a record.",
            )
        used = memory.describe(self._begin.memory_limit_bytes, end.peak_rss_bytes)
        if end.code == OUT_OF_MEMORY_STATUS:
            return RecordError(
                error_category=Category.EXECUTION,
                error_type="MemoryError",
                additional_details=clean_tail(tail, MESSAGE_CHARACTERS),
                message=f"Out of memory at this record ({used}).",
            )
        return RecordError(
            error_category=Category.PROCESS_ENDED,
            error_type="ProcessEnded",
            additional_details=clean_tail(tail, MESSAGE_CHARACTERS),
            message=f"The process {end} at this record ({used}).",
        )

    def _crashed(self, run: Run, end: Exit, attempt: Attempt) -> Finished:
        used = memory.describe(self._begin.memory_limit_bytes, end.peak_rss_bytes)
        attempt.output.flush()
        error = AttemptError(
            type="ProcessEnded",
            message=f"The process {end} before the code returned ({used})."
            f"{last_lines(attempt.output.tail())}",
        )
        return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=error)

    def _on_message(self, message: FromChild) -> None:
        match message:
            case Loaded():
                self._on_loaded(message)
            case Ready():
                assert self._ready is not None
                self._ready.set_result(None)
            case Broken(message=text, traceback=trace):
                assert self._ready is not None
                self._ready.set_exception(SetUpFailed(f"{text}\n{trace}".rstrip()))
            case Note(text=text):
                if self._attempt is not None:
                    self._attempt.output.line("worker", text)
            case Finished():
                if self._finished is not None and not self._finished.done():
                    self._finished.set_result(message)

    def _on_output(self, stream: str, data: bytes) -> None:
        if self._attempt is not None:
            self._attempt.output.feed(stream, data)
        elif self._ready is not None and not self._ready.done():
            self._set_up_output.append(data)


def _settle(finished: asyncio.Future[Finished | None], _: asyncio.Future[object]) -> None:
    """End the wait for the code: its process has ended, or it is to be stopped."""
    if not finished.done():
        finished.set_result(None)

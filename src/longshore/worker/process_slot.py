"""A slot that runs user code in a supervised child process (`--executor process`)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

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
from longshore.worker.slots import (
    Attempt,
    OnLoaded,
    SetUpFailed,
    Stop,
    first_of,
    last_lines,
    stopped,
)

_QUIT_S = 2.0


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
        self._begin = begin
        self._grace_s = grace_s
        self._on_loaded = on_loaded
        self._on_group = on_group
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
        """Run one work in the process; kill its group when it is stopped or takes too long."""
        child = self._child
        assert child is not None
        loop = asyncio.get_running_loop()
        timeout_s = attempt.work.timeout_s
        sending: asyncio.Task[None] | None = None
        timer: asyncio.TimerHandle | None = None
        self._attempt = attempt
        # One future for all that can end the attempt: short works come by the thousand a second,
        # and a task and a wait for each cause would cost more than they do.
        self._finished = loop.create_future()
        wake = partial(_settle, self._finished)
        child.exited.add_done_callback(wake)
        attempt.stopped.add_done_callback(wake)
        if timeout_s is not None:
            timer = loop.call_later(timeout_s, attempt.stop, Stop.TIME_LIMIT)
        try:
            if not child.send_now(run):
                sending = asyncio.create_task(child.send(run))
            finished = await self._finished
            if finished is not None:
                child.drain_output()
                return finished
            if child.exited.done():
                return self._crashed(run, child.exited.result(), attempt)
            why = attempt.stopped.result()
            await child.stop(self._grace_s)
            if sending is not None:
                await sending
            attempt.output.flush()
            return stopped(run, why, timeout_s, attempt.output.tail())
        finally:
            child.exited.remove_done_callback(wake)
            if timer is not None:
                timer.cancel()
            self._attempt = self._finished = None

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

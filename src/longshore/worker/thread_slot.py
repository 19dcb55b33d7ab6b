"""A slot that runs user code in a thread of the worker (`--executor thread`).

Python cannot stop a thread. So a time limit, a cancellation or a lost lease ends the attempt
for the server at once, and what the code returns later is dropped, but the slot stays busy until
it does return. Memory limits do not apply, and a crash takes the whole worker along.

A record of a service that takes too long has an exception raised in its thread, which ends code
in Python, but not a call into a library that waits or computes.
"""

from __future__ import annotations

import asyncio
import ctypes
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TextIO

from longshore.errors import ConfigurationError
from longshore.wire.preparing import prepare
from longshore.wire.worker import Outcome
from longshore.worker import apps, buckets, services, tasks_registry
from longshore.worker.channel import Begin, Finished, Loaded, Run
from longshore.worker.execution import execute
from longshore.worker.loading import load, setups
from longshore.worker.output import AttemptOutput
from longshore.worker.poison import Watch
from longshore.worker.progress import Position, cells_of
from longshore.worker.registry import Registry
from longshore.worker.slots import Attempt, OnLoaded, SetUpFailed, Stop, first_of, stopped
from longshore.worker.texts import attempt_error, clean_line
from longshore.worker.troubles import RecordTimeLimit


class _Job:
    """A work for the thread, and how to interrupt it."""

    def __init__(self, run: Run, output: AttemptOutput, done: asyncio.Future[Finished]) -> None:
        self.run = run
        self.output = output
        self.done = done
        self.cells = cells_of()
        self._thread: int | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        self._thread = threading.get_ident()

    def end(self) -> None:
        # What was interrupted before this is so by now, and nothing is after it.
        with self._lock:
            self._thread = None

    def interrupt(self, position: int) -> None:
        """Raise RecordTimeLimit in the thread, if it is still at the record."""
        with self._lock:
            if self._thread is not None and self.cells[0] == position:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(RecordTimeLimit)
                )


class SharedCode:
    """The user's modules and their set-up, once for all threads."""

    def __init__(self, begin: Begin, on_loaded: OnLoaded) -> None:
        """Load nothing yet; `on_loaded` is called with what the modules offer."""
        self._begin = begin
        self._on_loaded = on_loaded
        self._lock = asyncio.Lock()
        self._registry: Registry | None = None

    async def get(self) -> Registry:
        """Return the registry, after the set-up.

        Raises:
            SetUpFailed: the modules do not load or their set-up fails.
        """
        async with self._lock:
            if self._registry is None:
                registry = self._registry = await asyncio.to_thread(_set_up, self._begin)
                self._on_loaded(
                    Loaded(
                        apps.offers(registry),
                        buckets.offers(registry),
                        services.offers(registry),
                        tasks_registry.offers(registry),
                    )
                )
            return self._registry


def _set_up(begin: Begin) -> Registry:
    try:
        registry = load(begin.modules, buckets=begin.buckets)
        for function in setups(registry, begin.buckets):
            function()
    except ConfigurationError as error:
        raise SetUpFailed(error.message) from error
    # Set-up is user code: whatever it raises is told to the one who starts the worker.
    except Exception as error:
        raise SetUpFailed(f"Set-up failed: {type(error).__name__}: {error}") from error
    return registry


class ThreadSlot:
    """One slot and its thread."""

    def __init__(self, code: SharedCode) -> None:
        """Prepare; `start` makes the thread."""
        self._code = code
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy: asyncio.Future[Finished] | None = None

    @property
    def ready(self) -> bool:
        """Whether the thread is there and idle."""
        return self._thread is not None and (self._busy is None or self._busy.done())

    async def start(self) -> None:
        """Set up, and wait for code that outlived its attempt."""
        registry = await self._code.get()
        if self._thread is None:
            prepare()
            # A daemon, so that code which never returns does not keep the worker from ending.
            self._thread = threading.Thread(
                target=_work, args=(registry, self._jobs), name="slot", daemon=True
            )
            self._thread.start()
        if self._busy is not None:
            await asyncio.shield(self._busy)

    def ended(self) -> asyncio.Future[None]:
        """Return what is never done: an idle thread does not end."""
        return asyncio.get_running_loop().create_future()

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run one work in the thread; leave it behind when it is stopped or takes too long."""
        done: asyncio.Future[Finished] = asyncio.get_running_loop().create_future()
        self._busy = done
        job = _Job(run, attempt.output, done)
        self._jobs.put(job)
        timeout_s = attempt.work.timeout_s
        watch = None
        if run.record_timeout_s is not None:
            watch = Watch(job.cells, run.record_timeout_s, job.interrupt)
        try:
            await first_of(done, attempt.stopped, timeout_s=timeout_s)
        finally:
            if watch is not None:
                watch.stop()
        if done.done():
            return done.result()
        why = attempt.stopped.result() if attempt.stopped.done() else Stop.TIME_LIMIT
        return stopped(run, why, timeout_s, attempt.output.tail())

    async def close(self) -> None:
        """Let the thread end after what it runs now."""
        self._jobs.put(None)

    def limit_grace(self, grace_s: float) -> None:
        """Do nothing: a thread cannot be killed."""


def _work(registry: Registry, jobs: queue.SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        loop = job.done.get_loop()
        line = _sender(loop, job.output)
        _printing.line = line
        finished = _execute(registry, job, partial(line, "worker"))
        _printing.line = None
        try:
            loop.call_soon_threadsafe(_settle, job.done, finished)
        except RuntimeError:
            # The worker has ended meanwhile; nobody waits for the result.
            return


def _execute(registry: Registry, job: _Job, note: Callable[[str], None]) -> Finished:
    try:
        job.begin()
        finished = execute(registry, job.run, note, position=Position(job.cells))
        job.end()
    except RecordTimeLimit as error:
        # It came between two records, or after the last one.
        job.end()
        run = job.run
        return Finished(run.work_id, run.attempt, Outcome.FAILURE, error=attempt_error(error))
    return finished


def _settle(done: asyncio.Future[Finished], finished: Finished) -> None:
    if not done.done():
        done.set_result(finished)


def _sender(loop: asyncio.AbstractEventLoop, output: AttemptOutput) -> Callable[[str, str], None]:
    def send(stream: str, text: str) -> None:
        loop.call_soon_threadsafe(output.line, stream, text)

    return send


class _Printing(threading.local):
    """Where the lines go that this thread prints; None outside of attempts."""

    line: Callable[[str, str], None] | None = None


_printing = _Printing()


class ThreadOutput:
    """Takes the place of sys.stdout or sys.stderr and gives each thread's lines to its work."""

    def __init__(self, name: str, original: TextIO) -> None:
        """Stand in for `original`, which gets what is printed outside of attempts."""
        self._name = name
        self._original = original
        self._rest = threading.local()

    def write(self, text: str) -> int:
        """Take text; each whole line is passed on."""
        line = _printing.line
        if line is None:
            return self._original.write(text)
        *lines, self._rest.text = (getattr(self._rest, "text", "") + text).split("\n")
        for whole in lines:
            line(self._name, clean_line(whole))
        return len(text)

    def flush(self) -> None:
        """Pass on what is left of a line."""
        line, rest = _printing.line, getattr(self._rest, "text", "")
        if line is None:
            self._original.flush()
        elif rest:
            self._rest.text = ""
            line(self._name, clean_line(rest))

    def isatty(self) -> bool:
        """Say no: this is a log."""
        return False

    @property
    def encoding(self) -> str:
        """The encoding that bytes would be written in."""
        return "utf-8"

    def __getattr__(self, name: str) -> object:
        """Give everything else as the original has it."""
        return getattr(self._original, name)


def capture_prints() -> Callable[[], None]:
    """Give what each thread prints to its work's log; return the function that undoes it."""
    before = sys.stdout, sys.stderr
    sys.stdout = ThreadOutput("stdout", before[0])
    sys.stderr = ThreadOutput("stderr", before[1])

    def restore() -> None:
        sys.stdout, sys.stderr = before

    return restore

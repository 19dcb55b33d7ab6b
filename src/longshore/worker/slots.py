"""What runs one work at a time: the interface that processes and threads share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from longshore.wire.worker import AttemptError, Claimed, Outcome
from longshore.worker.channel import Finished, Loaded, Run
from longshore.worker.output import AttemptOutput

T = TypeVar("T")


class Stop(StrEnum):
    """Why an attempt is to end before its code returns."""

    CANCELLED = "cancelled"
    """The server asked for it."""
    LOST = "lost"
    """Somebody else holds the lease, or nobody."""
    TIME_LIMIT = "time_limit"
    DRAIN = "drain"
    """The worker stops and gives the work back."""


class Attempt:
    """One attempt that runs now."""

    def __init__(self, work: Claimed, output: AttemptOutput) -> None:
        """Begin; nothing asks for it to stop yet."""
        self.work = work
        self.output = output
        self.stopped: asyncio.Future[Stop] = asyncio.get_running_loop().create_future()

    def stop(self, why: Stop) -> None:
        """Ask for the attempt to end; the first reason counts."""
        if not self.stopped.done():
            self.stopped.set_result(why)


class Stopped(Exception):
    """The attempt was stopped while the worker itself was busy with it."""


class SetUpFailed(Exception):
    """A slot cannot be used: the modules do not load, or set-up failed."""


OnLoaded = Callable[[Loaded], None]


class Slot(Protocol):
    """Runs one work at a time."""

    @property
    def ready(self) -> bool:
        """Whether it can run a work now, without `start`."""
        ...

    async def start(self) -> None:
        """Get ready to run; quick when it is ready already.

        Raises:
            SetUpFailed: the user's modules or their set-up do not work.
        """
        ...

    def ended(self) -> asyncio.Future[Any]:
        """Return what is done when the slot, idle, stops being ready."""
        ...

    async def run(self, run: Run, attempt: Attempt) -> Finished:
        """Run one work to its end, which may be a stop or a crash."""
        ...

    async def close(self) -> None:
        """Free everything; what still runs is killed."""
        ...

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is stopped from now on at most `grace_s` to end by itself."""
        ...


async def first_of(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Return when one of the futures is done, or after `timeout_s`; cancels none of them."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def unless_stopped(attempt: Attempt, coroutine: Coroutine[Any, Any, T]) -> T:
    """Do what the worker itself has to do for an attempt, until the attempt is stopped.

    Raises:
        Stopped: it was.
    """
    task = asyncio.create_task(coroutine)
    try:
        await first_of(task, attempt.stopped)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        if task.cancel():
            await asyncio.wait([task])


def stopped(run: Run, why: Stop, timeout_s: float | None, tail: str) -> Finished:
    """Return the end of an attempt that was stopped."""
    if why is Stop.TIME_LIMIT:
        message = f"Stopped at its time limit of {timeout_s:g} s.{last_lines(tail)}"
        error = AttemptError(type="TimeLimit", message=message)
        return Finished(run.work_id, run.attempt, Outcome.TIMED_OUT, error=error)
    outcome = Outcome.HANDED_BACK if why is Stop.DRAIN else Outcome.CANCELLED
    return Finished(run.work_id, run.attempt, outcome)


def last_lines(tail: str) -> str:
    """Return the end of a message that shows what the code printed last."""
    return f" Last output:\n{tail}" if tail else " It printed nothing."

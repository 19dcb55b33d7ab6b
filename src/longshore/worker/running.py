"""Programs that run beside the slots' processes: start one, guard and limit it, stop it."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from longshore import tracing
from longshore.wire.worker import Claimed
from longshore.worker.process_limits import ProcessLimits
from longshore.worker.slots import Attempt, Stop, first_of
from longshore.worker.supervision import Exit, OnOutput, OwnedProcess, user_environment


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended, and why it was stopped; None where it ended by itself."""

    exit: Exit
    why: Stop | None


class Runner:
    """Runs programs, each in a process group of its own, which dies with the worker."""

    def __init__(
        self, *, grace_s: float, memory_limit_bytes: int, on_group: Callable[[int, bool], None]
    ) -> None:
        """Run nothing yet.

        Args:
            grace_s: time between SIGTERM and SIGKILL.
            memory_limit_bytes: data that each process may allocate; 0 means no limit.
            on_group: called with a process group's id and whether it begins or is gone.
        """
        self.memory_limit_bytes = memory_limit_bytes
        self._grace_s = grace_s
        self._longest_grace_s = math.inf
        self._on_group = on_group
        self._stopping: set[OwnedProcess] = set()

    def limit_grace(self, grace_s: float) -> None:
        """Allow what is being stopped, and what is from now on, at most `grace_s` to end itself."""
        self._longest_grace_s = min(self._longest_grace_s, grace_s)
        loop = asyncio.get_running_loop()
        for process in self._stopping:
            loop.call_later(grace_s, process.signal_group, signal.SIGKILL)

    async def run(
        self,
        argv: Sequence[str],
        attempt: Attempt,
        *,
        on_output: OnOutput | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        grace_s: float | None = None,
        limits: ProcessLimits | None = None,
    ) -> Ended:
        """Run a program to its end, or until the attempt is stopped or over its time limit.

        Args:
            argv: the program and its arguments.
            attempt: whose time limit counts.
            on_output: takes what it writes; the attempt's output unless given.
            environment: its variables; the worker's own without its key unless given.
            directory: where it starts; the worker's own working directory unless given.
            grace_s: its time between SIGTERM and SIGKILL; the worker's unless given.
            limits: of each of its processes; the worker's for memory unless given.

        Raises:
            OSError, ValueError: it cannot be started.
        """
        if (traceparent := tracing.carried()) is not None:
            # The name by which OpenTelemetry hands a trace to programs.
            environment = {**(environment or user_environment()), "TRACEPARENT": traceparent}
        process = OwnedProcess(
            argv,
            on_output=on_output or attempt.output.feed,
            environment=environment,
            directory=directory,
        )
        # At once: nothing else may come between a process and its guard and limits.
        self._on_group(process.pid, True)
        process.exited.add_done_callback(lambda _: self._on_group(process.pid, False))
        (limits or ProcessLimits(memory_bytes=self.memory_limit_bytes)).apply(process.pid)
        await first_of(process.exited, attempt.stopped, timeout_s=attempt.work.timeout_s)
        if process.exited.done():
            return Ended(process.exited.result(), None)
        why = attempt.stopped.result() if attempt.stopped.done() else Stop.TIME_LIMIT
        return Ended(await self._stop(process, why, grace_s), why)

    async def _stop(self, process: OwnedProcess, why: Stop, grace_s: float | None) -> Exit:
        if grace_s is None:
            grace_s = self._grace_s
        if why is Stop.LOST:
            # Somebody else may have begun with it.
            grace_s = min(grace_s, self._grace_s)
        self._stopping.add(process)
        try:
            return await process.stop(min(grace_s, self._longest_grace_s))
        finally:
            self._stopping.discard(process)


def limited(work: Claimed, timeout_s: float | None) -> Claimed:
    """Return the work with this time limit, where that is shorter than its own."""
    if timeout_s is None or (work.timeout_s is not None and work.timeout_s <= timeout_s):
        return work
    return msgspec.structs.replace(work, timeout_s=timeout_s)

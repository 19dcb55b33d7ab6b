"""One attempt from its claim to its report: input, user code, PDF."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from longshore.errors import LongshoreError
from longshore.wire.worker import Claimed, Held, Lost, Outcome, Report
from longshore.worker.channel import Finished, Run
from longshore.worker.files import fetch_input, store_pdf
from longshore.worker.leases import Leases
from longshore.worker.livelogs import LiveLogs
from longshore.worker.output import AttemptOutput
from longshore.worker.reports import Reporter
from longshore.worker.slots import Attempt, Slot, Stop, first_of, stopped
from longshore.worker.texts import attempt_error
from longshore.worker.transport import Transport

T = TypeVar("T")


class _Stopped(Exception):
    """The attempt was stopped while the worker itself was busy with it."""


class Attempts:
    """The attempts that run now."""

    def __init__(
        self,
        transport: Transport,
        logs: LiveLogs,
        leases: Leases,
        reporter: Reporter,
        *,
        directory: Path,
        log: Any,
    ) -> None:
        """Run nothing yet; each attempt gets a private directory inside `directory`."""
        self._transport = transport
        self._logs = logs
        self._leases = leases
        self._reporter = reporter
        self._directory = directory
        self._log = log
        self._running: dict[tuple[str, int], Attempt] = {}

    def give_up(self, lost: Lost) -> None:
        """Stop an attempt whose lease is lost or that is to be cancelled."""
        attempt = self._running.get((lost.work_id, lost.attempt))
        if attempt is not None and not attempt.stopped.done():
            why = Stop.CANCELLED if lost.cancelled else Stop.LOST
            self._log.warning(f"stopping {lost.work_id}", attempt=lost.attempt, why=lost.reason)
            attempt.stop(why)

    def stop_all(self) -> None:
        """Stop everything, to hand it back."""
        for attempt in self._running.values():
            attempt.stop(Stop.DRAIN)

    def hand_back(self, work: Claimed) -> None:
        """Give a work back that was never begun."""
        self._reporter.add(
            Report(work_id=work.work_id, attempt=work.attempt, outcome=Outcome.HANDED_BACK)
        )

    async def run(self, work: Claimed, slot: Slot) -> None:
        """Run one work on a slot and queue its report."""
        sink = partial(self._logs.add, work.work_id, work.attempt)
        attempt = Attempt(work, AttemptOutput(sink))
        key = (work.work_id, work.attempt)
        self._running[key] = attempt
        self._log.debug(f"begins {work.work_id}", attempt=work.attempt)
        try:
            finished = await self._execute(attempt, slot)
        finally:
            del self._running[key]
        attempt.output.finish()
        if attempt.stopped.done() and attempt.stopped.result() is Stop.LOST:
            self._leases.release([Held(*key)])
            return
        self._tell(finished)
        self._reporter.add(
            Report(
                work_id=finished.work_id,
                attempt=finished.attempt,
                outcome=finished.outcome,
                result=finished.result,
                error=finished.error,
                retry_delay_s=finished.retry_delay_s,
            )
        )

    async def _execute(self, attempt: Attempt, slot: Slot) -> Finished:
        work = attempt.work
        nothing = Run(work.work_id, work.attempt, work.surface, work.payload, "", "")
        directory: Path | None = None
        try:
            directory = Path(tempfile.mkdtemp(dir=self._directory))
            run = await _unless_stopped(attempt, fetch_input(self._transport, work, directory))
            finished = await slot.run(run, attempt)
            return await _unless_stopped(attempt, store_pdf(self._transport, finished))
        except _Stopped:
            return stopped(nothing, attempt.stopped.result(), None, "")
        except (LongshoreError, msgspec.MsgspecError, OSError) as error:
            return Finished(work.work_id, work.attempt, Outcome.FAILURE, error=attempt_error(error))
        finally:
            if directory is not None:
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    def _tell(self, finished: Finished) -> None:
        tell = self._log.debug
        if finished.outcome not in (Outcome.SUCCESS, Outcome.HANDED_BACK):
            tell = self._log.warning
        why = {} if finished.error is None else {"why": finished.error.message.partition("\n")[0]}
        tell(f"ended {finished.work_id}", outcome=str(finished.outcome), **why)


async def _unless_stopped(attempt: Attempt, coroutine: Coroutine[Any, Any, T]) -> T:
    task = asyncio.create_task(coroutine)
    try:
        await first_of(task, attempt.stopped)
        if task.done():
            return task.result()
        raise _Stopped
    finally:
        if task.cancel():
            await asyncio.wait([task])

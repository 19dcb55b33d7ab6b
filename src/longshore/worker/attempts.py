"""One attempt from its claim to its report, in the way of its surface."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from longshore import tracing
from longshore.errors import ConfigurationError, LongshoreError
from longshore.wire.payloads import BucketJob, FunctionResult, WorkbookFile
from longshore.wire.worker import Claimed, Held, Lost, Outcome, Report
from longshore.worker import archiving, traces
from longshore.worker.buckets import read_job
from longshore.worker.channel import Finished, Run
from longshore.worker.files import fetch_input, store_pdf
from longshore.worker.launchers import Launchers
from longshore.worker.leases import Leases
from longshore.worker.livelogs import LiveLogs
from longshore.worker.output import AttemptOutput
from longshore.worker.reports import Reporter
from longshore.worker.slots import Attempt, Slot, Stop, Stopped, stopped, unless_stopped
from longshore.worker.texts import attempt_error
from longshore.worker.transport import Transport
from longshore.worker.workbooks import WorkbookFiles


class _Chunk(msgspec.Struct):
    """What the worker itself needs of the payload of a chunk; its process reads the rest."""

    timeout_s: float | None = None
    workbook: WorkbookFile | None = None


_CHUNKS = msgspec.json.Decoder(_Chunk)


class Attempts:
    """The attempts that run now."""

    def __init__(
        self,
        transport: Transport,
        logs: LiveLogs,
        leases: Leases,
        reporter: Reporter,
        launchers: Launchers,
        *,
        directory: Path,
        log: Any,
    ) -> None:
        """Run nothing yet; an attempt with files gets a private directory inside `directory`."""
        self._transport = transport
        self._logs = logs
        self._leases = leases
        self._reporter = reporter
        self._launchers = launchers
        self._directory = directory
        self._log = log
        self._running: dict[tuple[str, int], Attempt] = {}
        self._workbooks = WorkbookFiles(directory / "workbooks")
        self._time_limits: Mapping[str, float | None] = {}
        self._ways: dict[str, Callable[[Attempt, Slot], Awaitable[Finished]]] = {
            "apps": self._run_app,
            "buckets": self._run_bucket_work,
            "corpus": self._run_task,
            "pipelines": self._run_chunk,
            "scripts": self._run_step,
        }

    def know_functions(self, time_limits: Mapping[str, float | None]) -> None:
        """Take which buckets have a function here, and the function's time limit in seconds."""
        self._time_limits = time_limits

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
        self._end_unbegun(work, Outcome.HANDED_BACK)

    def drop(self, work: Claimed, lost: Lost) -> None:
        """Let go of a work that was never begun, and whose lease is lost or is to be cancelled."""
        if lost.cancelled:
            self._end_unbegun(work, Outcome.CANCELLED)
        else:
            self._leases.release([Held(work.work_id, work.attempt)])

    async def run(self, work: Claimed, slot: Slot) -> None:
        """Run one work on a slot and queue its report."""
        sink = partial(self._logs.add, work.work_id, work.attempt)
        attempt = Attempt(work, AttemptOutput(sink))
        key = (work.work_id, work.attempt)
        self._running[key] = attempt
        self._log.debug(f"begins {work.work_id}", attempt=work.attempt)
        traceparent = None
        try:
            if tracing.spans is None:
                finished = await self._execute(attempt, slot)
            else:
                with traces.attempt(tracing.spans, work) as span:
                    traceparent = tracing.spans.carried()
                    finished = await self._execute(attempt, slot)
                    traces.note_end(span, finished)
        finally:
            del self._running[key]
        attempt.output.finish()
        if attempt.stopped.done() and attempt.stopped.result() is Stop.LOST:
            self._leases.release([Held(*key)])
            return
        self._tell(finished)
        report = Report(
            work_id=finished.work_id,
            attempt=finished.attempt,
            outcome=finished.outcome,
            result=finished.result,
            error=finished.error,
            retry_delay_s=finished.retry_delay_s,
        )
        # A file is removed only when the server has the work's end, and with it the file.
        remove = partial(archiving.remove, finished.files) if finished.files else None
        self._reporter.add(report, on_accepted=remove, traceparent=traceparent)

    async def _execute(self, attempt: Attempt, slot: Slot) -> Finished:
        work = attempt.work
        way = self._ways.get(work.surface)
        try:
            if way is None:
                # The child says what it can run.
                return await slot.run(_run(work), attempt)
            return await way(attempt, slot)
        except Stopped:
            return stopped(_run(work), attempt.stopped.result(), None, "")
        except (LongshoreError, msgspec.MsgspecError, OSError, TypeError) as error:
            return Finished(work.work_id, work.attempt, Outcome.FAILURE, error=attempt_error(error))

    async def _run_app(self, attempt: Attempt, slot: Slot) -> Finished:
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        try:
            fetching = fetch_input(self._transport, attempt.work, directory)
            finished = await slot.run(await unless_stopped(attempt, fetching), attempt)
            if finished.pdf is None:
                return finished
            return await unless_stopped(attempt, store_pdf(self._transport, finished))
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def _run_bucket_work(self, attempt: Attempt, slot: Slot) -> Finished:
        work = attempt.work
        try:
            job = read_job(work.payload)
            self._check_runnable(job)
        except (ConfigurationError, msgspec.MsgspecError) as error:
            return _unrunnable(work, error)
        if job.command and not job.function:
            finished = await self._launchers.commands.run(_run(work), job, attempt)
        else:
            attempt.work = self._limited(work, job)
            finished = await slot.run(_run(work), attempt)
        if not finished.files:
            return finished
        note = partial(attempt.output.line, "worker")
        storing = archiving.store_files(self._transport, finished, note)
        return await unless_stopped(attempt, storing)

    async def _run_chunk(self, attempt: Attempt, slot: Slot) -> Finished:
        job = _read_chunk(attempt.work.payload)
        run = msgspec.structs.replace(_run(attempt.work), record_timeout_s=job.timeout_s)
        if job.workbook is not None:
            fetching = self._workbooks.fetch(self._transport, job.workbook)
            path = await unless_stopped(attempt, fetching)
            run = msgspec.structs.replace(run, path=str(path))
        return await slot.run(run, attempt)

    async def _run_task(self, attempt: Attempt, _: Slot) -> Finished:
        return await self._launchers.tasks.run(_run(attempt.work), attempt)

    async def _run_step(self, attempt: Attempt, _: Slot) -> Finished:
        steps = self._launchers.steps
        if steps is None:
            raise ConfigurationError(
                "This worker serves no host any more. Restart it with --host and --scripts."
            )
        return await steps.run(_run(attempt.work), attempt)

    def _check_runnable(self, job: BucketJob) -> None:
        if not (job.function or job.command or job.pipeline in self._time_limits):
            raise ConfigurationError(
                f"The work names neither function nor command, and this worker has no function for "
                f"bucket {job.pipeline}. Deposit it with one of them, or start a worker with a "
                "module that registers one with @longshore.function."
            )

    def _limited(self, work: Claimed, job: BucketJob) -> Claimed:
        """Return the work with the time limit of the bucket's function, where that is shorter."""
        limit_s = None if job.function else self._time_limits.get(job.pipeline)
        if limit_s is None or (work.timeout_s is not None and work.timeout_s <= limit_s):
            return work
        return msgspec.structs.replace(work, timeout_s=limit_s)

    def _end_unbegun(self, work: Claimed, outcome: Outcome) -> None:
        self._reporter.add(Report(work_id=work.work_id, attempt=work.attempt, outcome=outcome))

    def _tell(self, finished: Finished) -> None:
        tell = self._log.debug
        if finished.outcome not in (Outcome.SUCCESS, Outcome.HANDED_BACK):
            tell = self._log.warning
        why = {} if finished.error is None else {"why": finished.error.message.partition("\n")[0]}
        tell(f"ended {finished.work_id}", outcome=str(finished.outcome), **why)


def _read_chunk(payload: msgspec.Raw) -> _Chunk:
    """Read the head of a chunk, and not its records where they come last, as they do."""
    head, _, data = bytes(payload).partition(b'"data":')
    if data.startswith(b"{") and data.endswith(b"}}"):
        with contextlib.suppress(msgspec.MsgspecError):
            return _CHUNKS.decode(head + b'"data":null}')
    return _CHUNKS.decode(payload)


def _run(work: Claimed) -> Run:
    run = Run(work.work_id, work.attempt, work.surface, work.payload, "", "")
    traceparent = tracing.carried()
    return run if traceparent is None else msgspec.structs.replace(run, traceparent=traceparent)


def _unrunnable(work: Claimed, error: Exception) -> Finished:
    """Return the end of a work that nothing was begun for; its results say why, as the protocol has it."""
    results = msgspec.Raw(msgspec.json.encode({"error": str(error)}))
    result = msgspec.Raw(msgspec.json.encode(FunctionResult(results=results)))
    return Finished(
        work.work_id, work.attempt, Outcome.FAILURE, result=result, error=attempt_error(error)
    )

"""Telling the server how attempts ended, in bulk and until it answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from longshore import tracing
from longshore.errors import InvalidRequest, LongshoreError, NotFound
from longshore.limits import CLAIM_WORKS, REPORT_BODY_BYTES
from longshore.wire.payloads import NO_RESULT
from longshore.wire.worker import AttemptError, Held, Outcome, Report, ReportAnswer, ReportRequest
from longshore.worker import traces
from longshore.worker.backoff import Backoff
from longshore.worker.livelogs import LiveLogs
from longshore.worker.transport import Transport

_TIMEOUT_S = 60.0
_LOGS_FIRST_S = 2.0
# While more works wait here for a slot, a report waits so long for company: each request costs the
# server a transaction.
_LINGER_S = 0.02
# What a report takes beside its result and its error.
_ENVELOPE_BYTES = 1_000


class Reporter:
    """Sends whatever reports wait in one request; the fence makes repeats safe."""

    def __init__(
        self,
        transport: Transport,
        logs: LiveLogs,
        *,
        worker_id: Callable[[], str],
        on_answered: Callable[[list[Held]], None],
        on_unknown: Callable[[str], Awaitable[None]],
        more_to_come: Callable[[], bool],
        log: Any,
    ) -> None:
        """Report through `transport` as the worker that `worker_id` returns.

        Args:
            transport: to the server.
            logs: sent first, so that the lines of an attempt are there when it ends.
            worker_id: returns the present id.
            on_answered: called with the leases whose reports need no more renewals.
            on_unknown: awaited when the server does not know the worker's id.
            more_to_come: says whether works wait in this worker, so that reports come by the dozen.
            log: takes notice of refused reports.
        """
        self._transport = transport
        self._logs = logs
        self._worker_id = worker_id
        self._on_answered = on_answered
        self._on_unknown = on_unknown
        self._more_to_come = more_to_come
        self._log = log
        self._waiting: deque[Report] = deque()
        self._then: dict[tuple[str, int], Callable[[], None]] = {}
        self._traceparents: dict[tuple[str, int], str] = {}
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(
        self,
        report: Report,
        *,
        on_accepted: Callable[[], None] | None = None,
        traceparent: str | None = None,
    ) -> None:
        """Queue a report; `on_accepted` is called when the server has recorded it.

        `traceparent` is the span of the attempt, where one is recorded.
        """
        self._waiting.append(report)
        if traceparent is not None:
            self._traceparents[report.work_id, report.attempt] = traceparent
        if on_accepted is not None:
            self._then[report.work_id, report.attempt] = on_accepted
        self._none.clear()
        self._some.set()

    async def run(self) -> None:
        """Send reports for ever; ends by being cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                if self._more_to_come():
                    await asyncio.sleep(_LINGER_S)
                await self._logs.flush(_LOGS_FIRST_S)
                batch = self._next_batch()
                await self._deliver(batch)
            self._none.set()

    async def flushed(self, timeout_s: float) -> int:
        """Wait until all reports are answered; return how many are not after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._none.wait()
        except TimeoutError:
            return max(len(self._waiting), 1)
        return 0

    def _next_batch(self) -> list[Report]:
        batch: list[Report] = []
        size = 0
        while self._waiting and len(batch) < CLAIM_WORKS:
            size += _size(self._waiting[0])
            if batch and size > REPORT_BODY_BYTES // 2:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _deliver(self, batch: list[Report]) -> None:
        """Send until answered; a batch that is refused is sent one by one."""
        if tracing.spans is None:
            await self._send(batch)
            return
        above = [
            found
            for report in batch
            if (found := self._traceparents.pop((report.work_id, report.attempt), None))
        ]
        with traces.report(tracing.spans, above):
            await self._send(batch)

    async def _send(self, batch: list[Report]) -> None:
        backoff = Backoff()
        while True:
            worker_id = self._worker_id()
            request = ReportRequest(worker_id=worker_id, reports=batch)
            try:
                answer = await self._transport.post(
                    "worker/report", request, ReportAnswer, timeout_s=_TIMEOUT_S
                )
            except NotFound:
                await self._on_unknown(worker_id)
            except InvalidRequest as error:
                await self._refused(batch, error)
                return
            except LongshoreError as error:
                self._log.debug("reports are not answered", count=len(batch), why=str(error))
            else:
                self._note(batch, answer)
                return
            await backoff.wait()

    async def _refused(self, batch: list[Report], error: LongshoreError) -> None:
        if len(batch) > 1:
            for report in batch:
                await self._deliver([report])
            return
        report = batch[0]
        self._log.error("a report was refused", work=report.work_id, why=str(error))
        self._then.pop((report.work_id, report.attempt), None)
        if bytes(report.result) != bytes(NO_RESULT):
            # What the server cannot keep is a failure that it is told of; otherwise the work would
            # run for as long as this worker lives.
            await self._deliver([_without_result(report, error)])
            return
        self._on_answered([Held(report.work_id, report.attempt)])

    def _note(self, batch: list[Report], answer: ReportAnswer) -> None:
        outcomes = {(report.work_id, report.attempt): report.outcome for report in batch}
        refused = {(lost.work_id, lost.attempt) for lost in answer.lost}
        for report in batch:
            key = (report.work_id, report.attempt)
            then = self._then.pop(key, None) if self._then else None
            if then is not None and key not in refused:
                then()
        for lost in answer.lost:
            outcome = outcomes.get((lost.work_id, lost.attempt))
            if outcome is not Outcome.CANCELLED:
                self._log.warning(
                    "a report came too late and was dropped",
                    work=lost.work_id,
                    attempt=lost.attempt,
                    outcome=str(outcome),
                    why=lost.reason,
                )
        self._on_answered([Held(report.work_id, report.attempt) for report in batch])


def _without_result(report: Report, refusal: LongshoreError) -> Report:
    """Return the report of a failure in place of one whose result the server refuses."""
    return Report(
        work_id=report.work_id,
        attempt=report.attempt,
        outcome=Outcome.FAILURE,
        error=report.error
        or AttemptError(
            type="ResultRefused",
            message=f"The server does not take the result: {refusal.message}",
        ),
    )


def _size(report: Report) -> int:
    error = report.error
    texts = 0 if error is None else 4 * (len(error.message) + len(error.traceback))
    return len(bytes(report.result)) + texts + _ENVELOPE_BYTES

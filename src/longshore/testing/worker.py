"""A worker that runs works in the thread of the test, when it is told to."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from longshore.errors import ConfigurationError, LeaseLost, LongshoreError, WaitTimeout
from longshore.testing import scripts, tasks
from longshore.testing.calls import Calls
from longshore.testing.printing import Printed, capturing
from longshore.wire.payloads import ChunkPayload
from longshore.wire.scripts import HostOffer
from longshore.wire.worker import (
    BucketOffer,
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Goodbye,
    LogLine,
    LogRequest,
    Outcome,
    Registered,
    Registration,
    Report,
    ReportAnswer,
    ReportRequest,
)
from longshore.worker import apps, archiving, buckets, services
from longshore.worker.channel import Finished, Run
from longshore.worker.execution import execute
from longshore.worker.files import fetch_input, store_pdf
from longshore.worker.loading import load, setups
from longshore.worker.registry import REGISTRY
from longshore.worker.steps_host import Host
from longshore.worker.texts import attempt_error
from longshore.worker.workbooks import WorkbookFiles

_TIMEOUT_S: Final = 30.0
_MOST: Final = 10_000
T = TypeVar("T")


class _Accepted(msgspec.Struct):
    """An answer of which only the arrival counts."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A work that was claimed and not reported on: as one in the hands of a worker.

    Attributes:
        work_id: the work.
        attempt: number of this attempt.
        surface: the API that it belongs to, such as "apps".
    """

    work_id: str
    attempt: int
    surface: str
    claimed: Claimed


class InProcessWorker:
    """Runs apps, functions, services, elements workers and steps of workflows in this thread.

    `RunningServer.worker` makes one. It claims and reports as `longshore worker` does, over HTTP,
    with three differences: user code runs here, where a debugger and a monkeypatch reach it; nothing
    renews the leases, so that time ends them; and nothing stops code that takes too long.
    Commands of buckets, and steps that are no Python scripts, are refused.

    Attributes:
        id: what the server calls it.
        name: what people call it.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        modules: Sequence[str] = (),
        buckets: Sequence[str] = (),
        host: Host | None = None,
        name: str = "in-process",
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        """Load the modules, run their set-up, and register with the server.

        Args:
            url: address of the server.
            key: a key of the role worker.
            modules: see `RunningServer.worker`.
            buckets: buckets whose works name their own functions.
            host: the host whose steps it runs, and where its scripts lie.
            name: what it is called in listings.
            settle: called when nothing can be claimed, so that the server brings what is due.

        Raises:
            ConfigurationError: a module does not load, or there is nothing to serve.
        """
        self._url = url
        self._call = Calls(url, key)
        self._settle = settle
        self._host = host
        self._buckets = tuple(buckets)
        load(modules, buckets=bool(buckets))
        for function in setups(REGISTRY, bool(buckets)):
            function()
        self.name: Final = name
        registration = self._registration()
        registered = self._post("worker/register", registration, Registered)
        self.id: Final = registered.worker_id
        self._queues = registered.queues

    def work_until_idle(self, *, attempts_max: int = _MOST) -> int:
        """Run works until there are none to be had at this time; return how many attempts it took.

        What waits for its time, such as a retry, is left: let time pass and call this again.

        Raises:
            WaitTimeout: there is still work after `attempts_max` attempts, as in a workflow that
                starts itself.
        """
        for count in range(attempts_max):
            if self.work_once() is None:
                return count
        raise WaitTimeout(
            f"There is still work after {attempts_max} attempts. Does something start itself again?"
        )

    def work_once(self) -> Outcome | None:
        """Run one work; return how the attempt ended, or None where there was no work."""
        taken = self.take()
        return None if taken is None else self.finish(taken)

    def take(self) -> Taken | None:
        """Claim a work and do nothing with it, as a worker does that dies; None if there is none.

        Let its lease end with `server.advance`, or run it after all with `finish`.
        """
        for _ in range(2):
            request = ClaimRequest(worker_id=self.id, queues=self._queues, limit=1)
            answer = self._post("worker/claim", request, ClaimAnswer)
            for work in answer.works:
                return Taken(work.work_id, work.attempt, work.surface, work)
            self._settle()
        return None

    def finish(self, taken: Taken) -> Outcome:
        """Run a work that was taken, report on it, and return how the attempt ended.

        Raises:
            LeaseLost: the server does not count the attempt any more; nothing was recorded.
        """
        with capturing() as printed:
            finished = self._run(taken.claimed, printed)
        self._send_lines(taken, printed)
        report = Report(
            work_id=finished.work_id,
            attempt=finished.attempt,
            outcome=finished.outcome,
            result=finished.result,
            error=finished.error,
            retry_delay_s=finished.retry_delay_s,
        )
        request = ReportRequest(worker_id=self.id, reports=[report])
        answer = self._post("worker/report", request, ReportAnswer)
        for lost in answer.lost:
            raise LeaseLost(
                f"Attempt {taken.attempt} of {taken.work_id} does not count any more: {lost.reason}."
            )
        archiving.remove(finished.files)
        self._settle()
        return finished.outcome

    def leave(self) -> None:
        """Say goodbye; what it has taken is queued again at once."""
        goodbye = Goodbye(worker_id=self.id)
        self._post("worker/leave", goodbye, _Accepted)
        self._settle()

    def close(self) -> None:
        """Close the connections; `running_server` does so at its end."""
        self._call.close()

    def _registration(self) -> Registration:
        offered = {each.name: each for each in buckets.offers(REGISTRY)}
        for name in self._buckets:
            offered.setdefault(name, BucketOffer(name=name))
        made = Registration(
            name=self.name,
            slots=1,
            apps=apps.offers(REGISTRY),
            buckets=list(offered.values()),
            services=services.offers(REGISTRY),
            workers=[each.offer for each in REGISTRY.workers.values()],
            host=None if self._host is None else HostOffer(name=self._host.name),
            incarnation=secrets.token_hex(16),
        )
        if not (made.apps or made.buckets or made.services or made.workers or made.host):
            raise ConfigurationError(
                "There is nothing for this worker to serve. Name the module with what it should "
                "run, or import it in the test first."
            )
        return made

    def _run(self, work: Claimed, printed: Printed) -> Finished:
        try:
            if work.surface == "corpus":
                return tasks.run(self._call, self._url, work, printed)
            if work.surface == "scripts":
                return scripts.run(self._expect_host(), self._url, work, printed)
            return self._execute(work, printed)
        except (LongshoreError, msgspec.MsgspecError, OSError, TypeError) as error:
            return Finished(work.work_id, work.attempt, Outcome.FAILURE, error=attempt_error(error))

    def _execute(self, work: Claimed, printed: Printed) -> Finished:
        with tempfile.TemporaryDirectory(prefix="longshore-testing-") as name:
            run = self._order(work, Path(name))
            finished = execute(REGISTRY, run, printed.note)
            if finished.pdf is not None:
                finished = self._call(lambda it: store_pdf(it, finished))
            if finished.files:
                stored = finished
                finished = self._call(lambda it: archiving.store_files(it, stored, printed.note))
        return finished

    def _order(self, work: Claimed, directory: Path) -> Run:
        """Return what is to be run, with its input fetched."""
        if work.surface == "apps":
            fetched: Run = self._call(lambda it: fetch_input(it, work, directory))
            return fetched
        run = Run(work.work_id, work.attempt, work.surface, work.payload, "", "")
        if work.surface == "buckets":
            job = buckets.read_job(work.payload)
            if job.command and not job.function:
                raise ConfigurationError(
                    "A command is a program of its own, which an in-process worker does not start."
                )
        if work.surface == "pipelines":
            workbook = msgspec.json.decode(work.payload, type=ChunkPayload).workbook
            if workbook is not None:
                files = WorkbookFiles(directory)
                path = self._call(lambda it: files.fetch(it, workbook))
                run = msgspec.structs.replace(run, path=str(path))
        return run

    def _expect_host(self) -> Host:
        if self._host is None:
            raise ConfigurationError("This worker serves no host.")
        return self._host

    def _send_lines(self, taken: Taken, printed: Printed) -> None:
        lines = [
            LogLine(
                work_id=taken.work_id,
                attempt=taken.attempt,
                at_us=taken.claimed.lease_until_us,
                stream=stream,
                text=text,
            )
            for stream, text in printed.lines
        ]
        if lines:
            request = LogRequest(worker_id=self.id, lines=lines)
            self._post("worker/logs", request, _Accepted)

    def _post(self, path: str, body: msgspec.Struct, answer: type[T]) -> T:
        found: T = self._call(lambda it: it.post(path, body, answer, timeout_s=_TIMEOUT_S))
        return found

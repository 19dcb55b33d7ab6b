# Generated from _async/jobs.py by tools/unasync.py; edit that file instead.
"""Jobs: what the server does on its own after the answer, such as deleting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from longshore.errors import ServerFault
from longshore.sdk._calls import APPS, Call, segment
from longshore.sdk._sync.polling import wait_until
from longshore.sdk._sync.transport import Transport
from longshore.sdk.records import JobInfo, Removed
from longshore.wire.apps import JobState


class Job:
    """One job.

    Attributes:
        id: the job's id; it stays valid for days after what it deleted is gone.
        info: the record that was last read, or None before the first look.
    """

    def __init__(self, transport: Transport, id: str) -> None:  # noqa: A002
        """Refer to a job; nothing is sent."""
        self._transport = transport
        self.id: Final = id
        self.info: JobInfo | None = None

    def __repr__(self) -> str:
        """Show id and state."""
        state = self.info.state.value if self.info else "not looked at yet"
        return f"<{type(self).__name__} {self.id}: {state}>"

    @property
    def state(self) -> JobState:
        """Where the job stood at the last look; PENDING before the first."""
        return self.info.state if self.info else JobState.PENDING

    @property
    def message(self) -> str | None:
        """What there was to say about it at the last look."""
        return self.info.message if self.info else None

    @property
    def removed(self) -> Removed:
        """Rows, objects and bytes removed, as known at the last look; all 0 until it is complete."""
        info = self.info
        if info is None:
            return Removed()
        return Removed(
            rows=info.rows or 0, objects=info.objects or 0, size_bytes=info.size_bytes or 0
        )

    def refresh(self) -> Self:
        """Look at the job and return it.

        Raises:
            NotFound: the server knows no such job (any more).
        """
        call = Call("GET", f"{APPS}/jobs/{segment(self.id)}")
        self.info = self._transport.fetch(call, JobInfo)
        return self

    def wait(self, timeout_s: float | None = None) -> Self:
        """Wait until the job is complete, and return it.

        Args:
            timeout_s: give up after so many seconds; None waits for ever.

        Raises:
            WaitTimeout: the time is over; the job goes on.
            ServerFault: the job failed; `message` says why. Deleting again is harmless.
        """
        _wait_for_all([self], timeout_s, f"Job {self.id}")
        return self

    def raise_unless_complete(self) -> None:
        """Raise ServerFault when the job ended otherwise than well."""
        if self.state is not JobState.COMPLETE:
            raise ServerFault(
                f"Job {self.id} ended {self.state.value}: {self.message or 'no reason was given'}. "
                "Ask for the deletion again; what is already gone does no harm.",
                details={"job_id": self.id, "state": self.state.value},
            )


def _wait_for_all(jobs: Sequence[Job], timeout_s: float | None, what: str) -> None:
    """Wait until all jobs have ended, then raise for one that did not end well."""

    def finished() -> bool:
        for job in jobs:
            if job.info is None or not job.info.finished:
                job.refresh()
        return all(job.info is not None and job.info.finished for job in jobs)

    wait_until(finished, timeout_s=timeout_s, what=what)
    for job in jobs:
        job.raise_unless_complete()


class Jobs:
    """`client.jobs`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def get(self, id: str) -> Job:  # noqa: A002
        """Look at a job by its id.

        Raises:
            NotFound: the server knows no such job (any more).
        """
        return self.of(id).refresh()

    def of(self, id: str) -> Job:  # noqa: A002
        """Refer to a job by its id without asking the server."""
        return Job(self._transport, id)


class Deletion:
    """The deletion of a run: one job for each part that was asked for.

    Attributes:
        run_id: the run.
        input: job that deletes the input files and their batch, or None.
        output: job that deletes the result files, or None.
        logs: job that deletes the logs, or None.
    """

    def __init__(
        self,
        run_id: str,
        *,
        input: Job | None,  # noqa: A002
        output: Job | None,
        logs: Job | None,
    ) -> None:
        """Hold the jobs that the server named."""
        self.run_id: Final = run_id
        self.input: Final = input
        self.output: Final = output
        self.logs: Final = logs

    def __repr__(self) -> str:
        """Show the run and its jobs."""
        return f"<{type(self).__name__} of {self.run_id}: {list(self.jobs)}>"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs, without those that were not asked for."""
        return tuple(job for job in (self.input, self.output, self.logs) if job is not None)

    def wait(self, timeout_s: float | None = None) -> Removed:
        """Wait for all jobs and return what they removed together.

        Args:
            timeout_s: give up after so many seconds; None waits for ever.

        Raises:
            WaitTimeout: the time is over; the jobs go on.
            ServerFault: a job failed; deleting again is harmless.
        """
        _wait_for_all(self.jobs, timeout_s, f"The deletion of run {self.run_id}")
        parts = [job.removed for job in self.jobs]
        return Removed(
            rows=sum(part.rows for part in parts),
            objects=sum(part.objects for part in parts),
            size_bytes=sum(part.size_bytes for part in parts),
        )

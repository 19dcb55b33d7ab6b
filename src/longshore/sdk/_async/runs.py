"""Runs: an app over the files of a batch or folder."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Self, Unpack

from longshore.errors import InvalidRequest
from longshore.limits import PAGE_ROWS
from longshore.sdk._async.batches import AsyncBatch
from longshore.sdk._async.jobs import AsyncDeletion, AsyncJob
from longshore.sdk._async.polling import wait_until
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import APPS, Call, creating, segment, without_none
from longshore.sdk._pages import RunPage
from longshore.sdk._progress import Bar, bar
from longshore.sdk.options import RunFilters, RunOptions, run_body, run_query
from longshore.sdk.records import RunInfo, known
from longshore.sdk.results import RunResults, joined
from longshore.wire.apps import FileCounts, RunDeletion, RunStatus
from longshore.wire.results import Results


class AsyncRun:
    """A run on the server.

    Attributes:
        id: the run's id.
        info: the record that was last read, or None when it was never read.
    """

    def __init__(self, transport: AsyncTransport, id: str, info: RunInfo | None = None) -> None:  # noqa: A002
        """Refer to a run; nothing is sent."""
        self._transport = transport
        self._path = f"{APPS}/apps/runs/{segment(id)}"
        self.id: Final = id
        self.info = info

    def __repr__(self) -> str:
        """Show id and status."""
        status = self.info.status.value if self.info else "not looked at yet"
        return f"<{type(self).__name__} {self.id}: {status}>"

    @property
    def status(self) -> RunStatus:
        """Where it stood at the last look. Raises InvalidRequest before the first."""
        return known(self.info, self).status

    @property
    def message(self) -> str | None:
        """What it waited for, or how it ended. Raises InvalidRequest before the first look."""
        return known(self.info, self).message

    @property
    def finished(self) -> bool:
        """Whether it had ended at the last look. Raises InvalidRequest before the first."""
        return known(self.info, self).finished

    @property
    def started_at(self) -> datetime | None:
        """When it was created, in UTC. Raises InvalidRequest before the first look."""
        return known(self.info, self).started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it ended, in UTC, or None. Raises InvalidRequest before the first look."""
        return known(self.info, self).finished_at

    @property
    def counts(self) -> FileCounts | None:
        """How its files stood at the last look: submitted = done + failed + cancelled + pending."""
        return known(self.info, self).files

    async def refresh(self) -> Self:
        """Look at the run and return it.

        Raises:
            NotFound: there is no such run (any more).
        """
        self.info = await self._transport.fetch(Call("GET", self._path), RunInfo)
        return self

    async def wait(
        self,
        timeout_s: float | None = None,
        progress: bool | Callable[[RunInfo], object] = False,
    ) -> Self:
        """Wait until the run has ended, well or badly, and return it.

        Args:
            timeout_s: give up after so many seconds; None waits for ever.
            progress: True shows a bar where standard error is a terminal; a function is called
                with the run's record after each look.

        Raises:
            WaitTimeout: the time is over; the run goes on.
            NotFound: the run was deleted meanwhile.
        """
        with bar(f"Run {self.id}", shown=progress is True) as shown:

            async def finished() -> bool:
                await self.refresh()
                info = known(self.info, self)
                _show(info, shown)
                if callable(progress):
                    progress(info)
                return info.finished

            await wait_until(finished, timeout_s=timeout_s, what=f"Run {self.id}")
        return self

    async def results(
        self,
        *,
        confidence: bool = False,
        source: bool = False,
        validation: bool = False,
        review: bool = False,
    ) -> RunResults:
        """Return the results of all files, all pages of them.

        Args:
            confidence: with how sure app and text recognition are, 0 to 1.
            source: with page sizes and boxes that values were read from, in pixels.
            validation: with what validation rules found.
            review: with what reviewers changed.

        Raises:
            Conflict: the run is not finished; wait() for it.
            NotFound: there is no such run (any more).
        """
        pages: builtins.list[Results] = []
        offset = 0
        while True:
            query = {
                "include_review_results": review,
                "include_confidence_scores": confidence,
                "include_validation_results": validation,
                "include_source_info": source,
                "file_offset": offset,
            }
            call = Call("GET", f"{self._path}/results", query=query)
            page = await self._transport.fetch(call, Results)
            pages.append(page)
            offset += len(page.files)
            if not page.has_more or not page.files:
                return joined(pages)

    async def cancel(self) -> Self:
        """Stop the run: nothing more is begun, and what runs is stopped. Returns the run.

        Files that were done before keep their results. A run that has ended stays as it is.

        Raises:
            NotFound: there is no such run (any more).
        """
        self.info = await self._transport.fetch(creating(f"{self._path}/cancel"), RunInfo)
        return self

    async def delete(
        self,
        *,
        input: bool = True,  # noqa: A002
        output: bool = True,
        logs: bool = True,
        db_data: bool = True,
    ) -> AsyncDeletion:
        """Delete the run, or parts of it; deleting again is harmless.

        Args:
            input: delete the input files and their batch.
            output: delete the result files.
            logs: delete the logs.
            db_data: delete the run's record and results; this is done when the call returns.

        Returns:
            The jobs that do it; `.wait()` for their end and counts.

        Raises:
            Conflict: the run is not finished; cancel() it or wait() for it.
            NotFound: there never was such a run.
        """
        query = {
            "delete_db_data": db_data,
            "delete_input": input,
            "delete_output": output,
            "delete_logs": logs,
        }
        answer = await self._transport.fetch(Call("DELETE", self._path, query=query), RunDeletion)
        return AsyncDeletion(
            self.id,
            input=self._job(answer.delete_input_dir_job_id),
            output=self._job(answer.delete_output_dir_job_id),
            logs=self._job(answer.delete_log_dir_job_id),
        )

    def _job(self, id: str | None) -> AsyncJob | None:  # noqa: A002
        return AsyncJob(self._transport, id) if id else None


def _show(info: RunInfo, shown: Bar) -> None:
    counts = info.files
    if counts is not None:
        ended = counts.submitted - counts.pending
        shown.update(ended, total=counts.submitted, note=info.message or info.status.value)


class AsyncRuns:
    """`client.runs`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def create(
        self,
        app: str,
        *,
        batch: AsyncBatch | int | None = None,
        input_dir: str | None = None,
        owner: str | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncRun:
        """Start a run of an app over the files of a batch, or of a folder on the drive.

        Args:
            app: display name of the app, such as "Meal Receipt".
            batch: the batch, or its id.
            input_dir: the folder, instead of a batch.
            owner: account that published the app; default is the only one that has it.
            **options: see `RunOptions` (version, keys, tags, output_dir, ...).

        Raises:
            NotFound: there is no such app (the message lists near names) or batch.
            InvalidRequest: the batch has no files, or not exactly one input was given.
        """
        body = {
            **without_none(app_name=app, owner=owner, **input_body(batch, input_dir)),
            **run_body(options),
        }
        info = await self._transport.fetch(creating(f"{APPS}/apps/runs", body), RunInfo)
        return AsyncRun(self._transport, info.id, info)

    async def get(self, id: str) -> AsyncRun:  # noqa: A002
        """Read a run by its id.

        Raises:
            NotFound: there is no such run.
        """
        return await self.of(id).refresh()

    def of(self, id: str) -> AsyncRun:  # noqa: A002
        """Refer to a run by its id without asking the server."""
        return AsyncRun(self._transport, id)

    async def list(
        self, *, limit: int | None = None, offset: int = 0, **filters: Unpack[RunFilters]
    ) -> builtins.list[AsyncRun]:
        """Return runs, by default those of the last 24 hours, the newest first.

        Args:
            limit: at most so many; None for all.
            offset: leave out so many at the start.
            **filters: see `RunFilters` (app, deployment_id, status, since, until, order, ...).

        Raises:
            InvalidRequest: a filter cannot be used.
        """
        query = run_query(filters)
        found: builtins.list[AsyncRun] = []
        while limit is None or len(found) < limit:
            asked = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(found))
            page_query = {**query, "limit": asked, "offset": offset + len(found)}
            call = Call("GET", f"{APPS}/apps/runs", query=page_query)
            page = await self._transport.fetch(call, RunPage)
            found.extend(AsyncRun(self._transport, info.id, info) for info in page.runs)
            if len(page.runs) < asked:
                break
        return found


def input_body(batch: AsyncBatch | int | None, input_dir: str | None) -> dict[str, Any]:
    """Return the part of a run request that names its input.

    Raises:
        InvalidRequest: not exactly one of the two was given.
    """
    if (batch is None) == (input_dir is None):
        raise InvalidRequest("Give either batch= or input_dir=, so that the run has one input.")
    return {
        "batch_id": batch.id if isinstance(batch, AsyncBatch) else batch,
        "input_dir": input_dir,
    }

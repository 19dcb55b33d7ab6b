"""The client: one connection to one server, and everything that hangs on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self, Unpack

import httpx

from longshore.errors import ConfigurationError
from longshore.limits import PAGE_ROWS
from longshore.sdk._async.administration import AsyncKeys, AsyncQueues, AsyncWorkers
from longshore.sdk._async.apps import AsyncApps
from longshore.sdk._async.batches import AsyncBatch, AsyncBatches
from longshore.sdk._async.buckets import AsyncBuckets
from longshore.sdk._async.buckets_results import AsyncResults
from longshore.sdk._async.deployments import AsyncDeployments
from longshore.sdk._async.files import AsyncFiles
from longshore.sdk._async.inputs import check_one_input, new_batch
from longshore.sdk._async.jobs import AsyncJobs
from longshore.sdk._async.keystore import AsyncKeystore
from longshore.sdk._async.pipelines import AsyncPipelines
from longshore.sdk._async.pipelines_map import AsyncMapper
from longshore.sdk._async.reviews import AsyncReviews
from longshore.sdk._async.runs import AsyncRun, AsyncRuns
from longshore.sdk._async.services import AsyncServices
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._async.works import AsyncWorks
from longshore.sdk._calls import NATIVE, Call
from longshore.sdk._connection import find_connection
from longshore.sdk._pages import AuditPage, Limits
from longshore.sdk._pipelines import PipelineOptions
from longshore.sdk._sources import FilePaths
from longshore.sdk.operations import AuditEntry, Diagnosis, Identity, LogLine, Why
from longshore.sdk.options import RunOptions


class AsyncClient:
    """A connection to a Longshore server.

    On the machine of the server neither address nor key need be given: they are found in
    LONGSHORE_URL and LONGSHORE_KEY, in the data directory LONGSHORE_DATA, or in .longshore/ of
    the working directory or one above it.

        async with AsyncClient() as client:
            run = await client.run("Meal Receipt", files="*.jpg")
            await run.wait()
            rows = (await run.results()).to_rows()
            removed = await (await run.delete()).wait()

    Every method may raise the errors of `longshore.errors`, besides those that it names:
    Unauthenticated, PermissionDenied, ServerUnreachable and ServerFault. A request is sent again
    after a broken connection and after 408, 429, 502, 503 and 504 (waiting as long as the server
    asks), never after any other answer, and never where it could act twice.

    Attributes:
        url: address of the server.
        buckets: works that programs deposit and withdraw.
        results: the finished works that have left their buckets.
        apps: the catalogue of apps.
        batches: sets of input files.
        runs: runs of apps.
        reviews: results that wait for a person.
        deployments: configured instances of apps.
        jobs: what the server does on its own, such as deleting.
        files: the drive.
        pipelines: records that are computed in chunks.
        services: what records can be computed with, and workbooks that become services.
        works: what the engine runs.
        queues: where works wait.
        workers: who runs them.
        keys: API keys, for admins.
        keystore: what programs read by name, and nobody is shown.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        context: str | None = None,
        timeout_s: float = 30.0,
        retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Find the server; nothing is sent yet.

        Args:
            url: address, such as "http://127.0.0.1:8400".
            key: API key.
            context: organisation that the key must belong to, by id or name; not checked if None.
            timeout_s: how long to wait for a connection, and between two pieces of an answer.
            retries: how often a request is sent again; 0 for never.
            transport: stands in for the network, such as httpx.MockTransport in tests.

        Raises:
            ConfigurationError: no server or key was found, or a value cannot be used.
        """
        if retries < 0 or timeout_s <= 0:
            raise ConfigurationError(
                f"retries is {retries} and timeout_s is {timeout_s}; give 0 or more, and seconds "
                "above 0."
            )
        self._transport = AsyncTransport(
            find_connection(url, key),
            context=context,
            timeout_s=timeout_s,
            retries=retries,
            transport=transport,
        )
        self.url: Final = self._transport.url
        self.buckets: Final = AsyncBuckets(self._transport)
        self.results: Final = AsyncResults(self._transport)
        self.apps: Final = AsyncApps(self._transport)
        self.batches: Final = AsyncBatches(self._transport)
        self.runs: Final = AsyncRuns(self._transport)
        self.reviews: Final = AsyncReviews(self._transport)
        self.deployments: Final = AsyncDeployments(self._transport)
        self.jobs: Final = AsyncJobs(self._transport)
        self.files: Final = AsyncFiles(self._transport)
        self.pipelines: Final = AsyncPipelines(self._transport)
        self.services: Final = AsyncServices(self._transport)
        self.works: Final = AsyncWorks(self._transport)
        self.queues: Final = AsyncQueues(self._transport)
        self.workers: Final = AsyncWorkers(self._transport)
        self.keys: Final = AsyncKeys(self._transport)
        self.keystore: Final = AsyncKeystore(self._transport)

    def __repr__(self) -> str:
        """Show the server."""
        return f"<{type(self).__name__} of {self.url}>"

    async def aclose(self) -> None:
        """Close the connections; the client cannot be used any more."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def run(
        self,
        app: str,
        *,
        files: FilePaths | None = None,
        batch: AsyncBatch | int | None = None,
        input_dir: str | None = None,
        owner: str | None = None,
        progress: bool = True,
        **options: Unpack[RunOptions],
    ) -> AsyncRun:
        """Run an app over files; returns at once with the run, for which to `.wait()`.

        Args:
            app: display name of the app, such as "Meal Receipt".
            files: files to upload into a new batch: a path, a pattern such as "*.jpg", a
                directory, or a list of these.
            batch: a batch that is there already, or its id, instead of `files`.
            input_dir: a folder on the drive, instead of `files`.
            owner: account that published the app; default is the only one that has it.
            progress: show a bar for the upload where standard error is a terminal.
            **options: see `RunOptions` (version, keys, tags, output_dir, ...).

        Raises:
            NotFound: there is no such app (the message lists near names) or batch.
            InvalidRequest: not exactly one of the three inputs was given, or it has no files.
        """
        check_one_input(files, batch, input_dir)
        if files is None:
            return await self.runs.create(
                app, batch=batch, input_dir=input_dir, owner=owner, **options
            )
        async with new_batch(self._transport, files, progress=progress) as made:
            return await self.runs.create(app, batch=made, owner=owner, **options)

    def pipeline(self, uri: str, **options: Unpack[PipelineOptions]) -> AsyncMapper:
        """Return what maps a service over records; nothing is sent before its `map`.

        Args:
            uri: the service: folder/name, folder/name[1.4] (the highest version that begins so),
                service/ID or version/ID.
            **options: see `PipelineOptions` (selected_outputs, max_runners, accuracy, ...).
        """
        return AsyncMapper(self._transport, self.pipelines, uri, options)

    async def why(self, id: str) -> Why:  # noqa: A002
        """Say why a work or a run is where it is, and what to do about it.

        Args:
            id: a work's or a run's id.

        Raises:
            NotFound: there is no such work or run (any more).
        """
        return await self.works.why(id)

    def logs(self, id: str, *, follow: bool = False) -> AsyncIterator[LogLine]:  # noqa: A002
        """Go through what a work, or the works of a run, printed.

        Args:
            id: a work's or a run's id.
            follow: wait for further lines until it has ended.

        Raises:
            NotFound: there is no such work or run (any more).
        """
        return self.works.logs(id, follow=follow)

    async def whoami(self) -> Identity:
        """Return whom the client's key acts as."""
        return await self._transport.fetch(Call("GET", f"{NATIVE}/whoami"), Identity)

    async def limits(self) -> dict[str, int | float]:
        """Return the server's limits by name; the unit ends the name, such as `file_bytes`."""
        return (await self._transport.fetch(Call("GET", f"{NATIVE}/limits"), Limits)).limits

    async def doctor(self) -> Diagnosis:
        """Let the server examine itself; needs an admin's key."""
        return await self._transport.fetch(Call("GET", f"{NATIVE}/doctor"), Diagnosis)

    async def audit(
        self, *, limit: int = 100, action: str | None = None, target: str | None = None
    ) -> list[AuditEntry]:
        """Return what was changed through the API, the newest first; needs an admin's key.

        Args:
            limit: at most so many entries.
            action: only this action, such as "runs.delete".
            target: only what was done to this id.
        """
        found: list[AuditEntry] = []
        while len(found) < limit:
            asked = min(limit - len(found), PAGE_ROWS)
            query = {
                "action": action,
                "target": target,
                "limit": asked,
                "before": found[-1].id if found else None,
            }
            page = await self._transport.fetch(
                Call("GET", f"{NATIVE}/audit", query=query), AuditPage
            )
            found.extend(page.entries)
            if len(page.entries) < asked:
                break
        return found

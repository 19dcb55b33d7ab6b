"""Deployments: configured, long-lived instances of an app."""

from __future__ import annotations

import builtins
from typing import Final, Self, Unpack

from longshore.limits import PAGE_ROWS
from longshore.sdk._async.batches import AsyncBatch
from longshore.sdk._async.inputs import check_one_input, new_batch
from longshore.sdk._async.runs import AsyncRun, input_body
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import APPS, Call, creating, segment, without_none
from longshore.sdk._pages import DeploymentPage
from longshore.sdk._sources import FilePaths
from longshore.sdk.options import (
    DeploymentChanges,
    RunOptions,
    changes_body,
    retention_body,
    run_body,
)
from longshore.sdk.records import DeploymentInfo, RunInfo, known
from longshore.wire.deployments import Retention

_PATH: Final = f"{APPS}/apps/deployments"


class AsyncDeployment:
    """A deployment on the server.

    Attributes:
        id: the deployment's id.
        info: the record that was last read, or None when it was never read.
    """

    def __init__(
        self,
        transport: AsyncTransport,
        id: str,  # noqa: A002
        info: DeploymentInfo | None = None,
    ) -> None:
        """Refer to a deployment; nothing is sent."""
        self._transport = transport
        self._path = f"{_PATH}/{segment(id)}"
        self.id: Final = id
        self.info = info

    def __repr__(self) -> str:
        """Show id and, where known, the name."""
        return f"<{type(self).__name__} {self.id}{f' {self.info.name!r}' if self.info else ''}>"

    @property
    def name(self) -> str:
        """Its name. Raises InvalidRequest when the record was never read."""
        return known(self.info, self).name

    async def refresh(self) -> Self:
        """Read the deployment's record and return the deployment.

        Raises:
            NotFound: there is no such deployment (any more).
        """
        self.info = await self._transport.fetch(Call("GET", self._path), DeploymentInfo)
        return self

    async def update(self, **changes: Unpack[DeploymentChanges]) -> Self:
        """Change the deployment and return it; runs already started stay as they are.

        Args:
            **changes: see `DeploymentChanges` (name, version, keys, retention, ...).

        Raises:
            InvalidRequest: nothing was given, or a value cannot be used.
            NotFound: there is no such deployment (any more), or no such version of the app.
        """
        call = Call("PATCH", self._path, json=changes_body(changes))
        self.info = await self._transport.fetch(call, DeploymentInfo)
        return self

    async def delete(self) -> None:
        """Delete the deployment; its runs stay.

        Raises:
            NotFound: there is no such deployment (any more).
        """
        await self._transport.send(Call("DELETE", self._path))

    async def run(
        self,
        *,
        files: FilePaths | None = None,
        batch: AsyncBatch | int | None = None,
        input_dir: str | None = None,
        progress: bool = True,
        **options: Unpack[RunOptions],
    ) -> AsyncRun:
        """Start a run of the deployment's app with the deployment's settings.

        Args:
            files: files to upload into a new batch, as `Batch.add_files` takes them.
            batch: a batch that is there already, or its id, instead of `files`.
            input_dir: a folder on the drive, instead of `files`.
            progress: show a bar for the upload where standard error is a terminal.
            **options: see `RunOptions`; they win over the deployment's own, key by key.

        Raises:
            InvalidRequest: not exactly one of the three inputs was given, or it has no files.
            NotFound: the deployment or the batch does not exist (any more).
        """
        check_one_input(files, batch, input_dir)
        if files is None:
            return await self._run(batch, input_dir, options)
        async with new_batch(self._transport, files, progress=progress) as made:
            return await self._run(made, None, options)

    async def _run(
        self, batch: AsyncBatch | int | None, input_dir: str | None, options: RunOptions
    ) -> AsyncRun:
        body = {**without_none(**input_body(batch, input_dir)), **run_body(options)}
        info = await self._transport.fetch(creating(f"{self._path}/runs", body), RunInfo)
        return AsyncRun(self._transport, info.id, info)


class AsyncDeployments:
    """`client.deployments`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def create(
        self,
        name: str,
        app: str,
        *,
        owner: str | None = None,
        retention: Retention | None = None,
        **options: Unpack[RunOptions],
    ) -> AsyncDeployment:
        """Make a deployment of an app.

        Args:
            name: 1 to 255 characters.
            app: display name of the app, such as "Meal Receipt".
            owner: account that published the app; default is the only one that has it.
            retention: what to delete by itself after a run's end; default is nothing.
            **options: see `RunOptions`; what the deployment's runs get. Without `version` each
                run takes the highest production version of its day.

        Raises:
            NotFound: there is no such app or version (the message lists near names).
            InvalidRequest: a value cannot be used.
        """
        body = {
            **without_none(
                name=name, app_name=app, owner=owner, retention=retention_body(retention)
            ),
            **run_body(options),
        }
        info = await self._transport.fetch(creating(_PATH, body), DeploymentInfo)
        return AsyncDeployment(self._transport, info.id, info)

    async def get(self, id: str) -> AsyncDeployment:  # noqa: A002
        """Read a deployment by its id.

        Raises:
            NotFound: there is no such deployment.
        """
        return await self.of(id).refresh()

    def of(self, id: str) -> AsyncDeployment:  # noqa: A002
        """Refer to a deployment by its id without asking the server."""
        return AsyncDeployment(self._transport, id)

    async def list(self) -> builtins.list[AsyncDeployment]:
        """Return all deployments, the newest first."""
        found: builtins.list[AsyncDeployment] = []
        while True:
            query = {"limit": PAGE_ROWS, "offset": len(found)}
            page = await self._transport.fetch(Call("GET", _PATH, query=query), DeploymentPage)
            some = page.deployments
            found.extend(AsyncDeployment(self._transport, info.id, info) for info in some)
            if len(some) < PAGE_ROWS:
                return found

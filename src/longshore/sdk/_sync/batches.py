# Generated from _async/batches.py by tools/unasync.py; edit that file instead.
"""Batches: named sets of input files that any number of runs may read."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Final, Self

from longshore.limits import PAGE_ROWS
from longshore.sdk._calls import APPS, Call, creating, segment, without_none
from longshore.sdk._pages import BatchPage
from longshore.sdk._sources import FileContent, FilePaths, source_of, sources_of
from longshore.sdk._sync.files import all_nodes
from longshore.sdk._sync.jobs import Job
from longshore.sdk._sync.transport import Transport
from longshore.sdk._sync.uploads import upload, upload_all
from longshore.sdk.records import BatchInfo, Node, known
from longshore.wire.apps import Batch as CreatedBatch
from longshore.wire.apps import DeletionJob


class Batch:
    """A batch on the server.

    Attributes:
        id: the batch's id.
        info: the record that was last read, or None when it was never read.
    """

    def __init__(self, transport: Transport, id: int, info: BatchInfo | None = None) -> None:  # noqa: A002
        """Refer to a batch; nothing is sent."""
        self._transport = transport
        self._path = f"{APPS}/batches/{segment(id)}"
        self.id: Final = id
        self.info = info

    def __repr__(self) -> str:
        """Show id and, where known, the name."""
        return f"<{type(self).__name__} {self.id}{f' {self.info.name!r}' if self.info else ''}>"

    @property
    def name(self) -> str:
        """Its name. Raises InvalidRequest when the record was never read."""
        return known(self.info, self).name

    @property
    def workspace(self) -> str | None:
        """Workspace that it belongs to. Raises InvalidRequest when the record was never read."""
        return known(self.info, self).workspace

    @property
    def created_at(self) -> datetime | None:
        """When it was made, in UTC. Raises InvalidRequest when the record was never read."""
        return known(self.info, self).created_at

    def refresh(self) -> Self:
        """Read the batch's record and return the batch.

        Raises:
            NotFound: there is no such batch (any more).
        """
        self.info = self._transport.fetch(Call("GET", self._path), BatchInfo)
        return self

    def add_file(self, content: FileContent, name: str | None = None) -> Self:
        """Add one file, or replace the one of the same name, and return the batch.

        Args:
            content: a path (streamed from disk), bytes, or a file opened with mode "rb" (the
                rest of it from its present position; it is left open).
            name: name in the batch, at most 255 characters; by default the file's own name.

        Raises:
            InvalidRequest: there is no such file, or its name is missing or cannot be used.
            TooLarge: the file is above limits.MULTIPART_FILE_BYTES.
            NotFound: there is no such batch (any more).
        """
        source = source_of(content, name)
        upload(self._transport, self.id, source)
        return self

    def add_files(self, files: FilePaths, *, progress: bool = True) -> Self:
        """Add several files, up to four at once, and return the batch.

        All of them are checked before the first is sent; a file already there under the same
        name is replaced.

        Args:
            files: a path, a pattern such as "*.jpg" or "scans/**/*.pdf", a directory (the files
                directly in it), or a list of these.
            progress: show a bar where standard error is a terminal.

        Raises:
            InvalidRequest: a path does not exist, a pattern matches nothing, or two files have
                the same name.
            TooLarge: a file is above limits.MULTIPART_FILE_BYTES.
            NotFound: there is no such batch (any more).
        """
        sources = sources_of(files)
        upload_all(self._transport, self.id, sources, progress=progress)
        return self

    def files(self) -> builtins.list[Node]:
        """Return all files of the batch, by name.

        Raises:
            NotFound: there is no such batch (any more).
        """
        return all_nodes(self._transport, f"{self._path}/files", {})

    def delete_file(self, name: str) -> Job:
        """Delete one file of the batch; deleting it again gives the same job.

        Returns:
            The job that removes its content; the batch is without the file at once.

        Raises:
            NotFound: there is no such batch (any more), or it never had such a file.
        """
        call = Call("DELETE", f"{self._path}/files/{segment(name)}")
        answer = self._transport.fetch(call, DeletionJob)
        return Job(self._transport, answer.job_id)

    def delete(self) -> Job:
        """Delete the batch and its files; deleting it again gives the same job.

        Returns:
            The job that does it; `.wait()` for its end and counts.

        Raises:
            NotFound: there never was such a batch.
            Conflict: a run still reads it.
        """
        answer = self._transport.fetch(Call("DELETE", self._path), DeletionJob)
        return Job(self._transport, answer.job_id)


class Batches:
    """`client.batches`."""

    def __init__(self, transport: Transport) -> None:
        """Use the client's connection."""
        self._transport = transport

    def create(self, name: str, workspace: str | None = None) -> Batch:
        """Make an empty batch.

        Args:
            name: 1 to 255 characters; names need not be unique.
            workspace: name of the workspace, made on first use; default is the key's own.

        Raises:
            InvalidRequest: the name is empty or too long.
        """
        body = without_none(name=name, workspace=workspace)
        created = self._transport.fetch(creating(f"{APPS}/batches", body), CreatedBatch)
        info = BatchInfo(id=created.id, name=name, workspace=workspace)
        return Batch(self._transport, created.id, info)

    def get(self, id: int) -> Batch:  # noqa: A002
        """Read a batch by its id.

        Raises:
            NotFound: there is no such batch.
        """
        return self.of(id).refresh()

    def of(self, id: int) -> Batch:  # noqa: A002
        """Refer to a batch by its id without asking the server."""
        return Batch(self._transport, id)

    def list(
        self,
        *,
        workspace: str | None = None,
        created_by: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> builtins.list[Batch]:
        """Return batches, the newest first.

        Args:
            workspace: only those of this workspace.
            created_by: only those made with the key of this name.
            limit: at most so many; None for all.
            offset: leave out so many at the start.
        """
        found: builtins.list[Batch] = []
        while limit is None or len(found) < limit:
            asked = PAGE_ROWS if limit is None else min(PAGE_ROWS, limit - len(found))
            query = {
                "workspace": workspace,
                "username": created_by,
                "limit": asked,
                "offset": offset + len(found),
            }
            page = self._transport.fetch(Call("GET", f"{APPS}/batches", query=query), BatchPage)
            found.extend(Batch(self._transport, info.id, info) for info in page.batches)
            if len(page.batches) < asked:
                break
        return found

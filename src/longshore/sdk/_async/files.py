"""The drive: files by path, among them the results that runs write."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from pathlib import Path

from longshore.errors import InvalidRequest
from longshore.limits import PAGE_ROWS
from longshore.sdk._async.jobs import AsyncJob
from longshore.sdk._async.transport import AsyncTransport
from longshore.sdk._calls import APPS, Call, job_id_of, segment
from longshore.sdk._pages import NodePage
from longshore.sdk._sources import FileContent, FilePath, source_of
from longshore.sdk.records import FileMetadata, Node, file_metadata


class AsyncFiles:
    """`client.files`.

    A path is ORGANISATION/WORKSPACE/fs/DRIVE/FOLDER/...; `run.info.output_dir` and
    `batch.info.path` are such paths.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the client's connection."""
        self._transport = transport

    async def read(self, path: str, *, start: int = 0, end: int | None = None) -> bytes:
        """Return a file, or a part of it.

        Args:
            path: path on the drive.
            start: first byte.
            end: the byte after the last; None for the end of the file.

        Raises:
            NotFound: there is no such file.
            RangeNotSatisfiable: `start` lies at or behind the end of the file.
            InvalidRequest: the range is empty or negative.
        """
        headers = _range(start, end)
        query = {"expect-node-type": "file"}
        call = Call("GET", _path(path), query=query, headers=headers)
        return (await self._transport.send(call)).content

    async def download(self, path: str, target: FilePath) -> Path:
        """Write a file of any size to the local path `target` and return that path.

        An existing local file is replaced once the download is complete, never by half of it.

        Raises:
            NotFound: there is no such file.
        """
        final = Path(target)
        partial = final.with_name(f"{final.name}.part")
        call = Call("GET", _path(path), query={"expect-node-type": "file"})
        try:
            await self._transport.download(call, partial)
            partial.replace(final)
        finally:
            partial.unlink(missing_ok=True)
        return final

    async def write(self, path: str, content: FileContent, *, overwrite: bool = True) -> None:
        """Write a file; folders on the way are made.

        Args:
            path: path on the drive.
            content: a local path (streamed from disk), bytes, or a file opened with mode "rb".
            overwrite: False refuses to replace a file.

        Raises:
            PreconditionFailed: the file exists and `overwrite` is False.
            TooLarge: the content is above limits.FILE_BYTES.
            InvalidRequest: the path or the content cannot be used.
        """
        source = source_of(content, name=Path(path).name)
        headers = {} if overwrite else {"If-None-Match": "*"}
        call = Call("PUT", _path(path), content=source.whole(), headers=headers)
        await self._transport.send(call)

    async def delete(self, path: str) -> AsyncJob:
        """Delete a file or a folder with all that is in it; what is not there is no error.

        Returns:
            The job that does it; `.wait()` for its end and counts.
        """
        response = await self._transport.send(Call("DELETE", _path(path)))
        return AsyncJob(self._transport, job_id_of(response))

    async def metadata(self, path: str) -> FileMetadata:
        """Return kind, size and time of a file or folder without reading it.

        Raises:
            NotFound: there is no such file or folder.
        """
        response = await self._transport.send(Call("HEAD", _path(path)))
        return file_metadata(path, response.headers)

    async def list(self, path: str) -> builtins.list[Node]:
        """Return what lies directly in a folder, by name.

        Raises:
            NotFound: there is no such folder.
        """
        return await all_nodes(self._transport, _path(path), {"expect-node-type": "folder"})


async def all_nodes(
    transport: AsyncTransport, path: str, query: Mapping[str, str]
) -> builtins.list[Node]:
    """Return the files and folders of a listing, all pages of it."""
    nodes: builtins.list[Node] = []
    token: str | None = None
    while True:
        page_query = {**query, "page_size": PAGE_ROWS, "start_token": token}
        page = await transport.fetch(Call("GET", path, query=page_query), NodePage)
        nodes.extend(page.nodes)
        token = page.next_page_token
        if not page.has_more or token is None:
            return nodes


def _path(path: str) -> str:
    if not path.strip("/"):
        raise InvalidRequest("The path is empty; write it as ORGANISATION/WORKSPACE/fs/DRIVE/FILE.")
    return f"{APPS}/files/{segment(path.strip('/'))}"


def _range(start: int, end: int | None) -> Mapping[str, str]:
    if start < 0 or (end is not None and end <= start):
        raise InvalidRequest(f"There are no bytes from {start} to {end}; give 0 <= start < end.")
    if start == 0 and end is None:
        return {}
    return {"Range": f"bytes={start}-{'' if end is None else end - 1}"}

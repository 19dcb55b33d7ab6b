"""Files on their way in and out of the blob store."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from longshore.edge.context import Context
from longshore.engine import artifacts
from longshore.errors import RangeNotSatisfiable
from longshore.storage import Database
from longshore.storage.blobs import Blobs

OCTETS: Final = "application/octet-stream"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PIECE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes that are durable in the blob store, and not yet claimed by a row of a surface."""

    blob_id: str
    size_bytes: int
    sha256: str


class Artifact(Protocol):
    """What must be known of a blob to send it."""

    @property
    def id(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Stores(Protocol):
    """Database and blob store: a server's context, or that of one of its jobs."""

    @property
    def database(self) -> Database: ...
    @property
    def blobs(self) -> Blobs: ...


async def receive(
    context: Stores, organisation_id: str, chunks: AsyncIterable[bytes], limit_bytes: int
) -> StoredFile:
    """Take a file into the blob store: reserve an id, then write the bytes durably.

    The caller's service calls `artifacts.store(connection, blob_id, size_bytes, sha256)` in the
    transaction that writes its own row. A blob that nobody stores is swept away later, so that a
    crash in between leaves nothing behind.

    Raises:
        TooLarge: more than `limit_bytes` arrive.
        DiskFull: there is no space left.
        Unavailable: database or blob store cannot be used.
    """
    blob_id = await context.database.write(artifacts.reserve, organisation_id=organisation_id)
    try:
        stored = await context.blobs.put(blob_id, chunks, limit_bytes=limit_bytes)
    except Exception:
        # Without a stored row there is no file; the sweeper would find it, but only hours later.
        await context.database.write(artifacts.condemn, [blob_id])
        raise
    return StoredFile(blob_id, stored.size_bytes, stored.sha256)


async def send(
    context: Context,
    artifact: Artifact,
    *,
    media_type: str = OCTETS,
    headers: Mapping[str, str] | None = None,
    wanted_range: str | None = None,
) -> Response:
    """Answer with the bytes of a blob, checked against their checksum; a range if one is wanted.

    Args:
        context: the server's.
        artifact: id, size and checksum of the blob.
        media_type: the answer's Content-Type.
        headers: further headers.
        wanted_range: the request's Range header; more than one range gives the whole file.

    Raises:
        NotFound: the blob is gone.
        CorruptData: the bytes are damaged (a large file's connection is cut instead, since its
            answer has begun by then).
        RangeNotSatisfiable: the range lies outside the file.
    """
    span = parse_range(wanted_range, artifact.size_bytes)
    extra = {"Accept-Ranges": "bytes", **(headers or {})}
    if span is not None:
        start, end = span
        extra["Content-Range"] = f"bytes {start}-{end - 1}/{artifact.size_bytes}"
        extra["Content-Length"] = str(end - start)
        # The first piece is fetched before the answer begins, so that an error still gets its form.
        pieces = _pieces(context, artifact.id, start, end)
        return StreamingResponse(_rest(await anext(pieces), pieces), 206, extra, media_type)
    parts = context.blobs.get(artifact.id, sha256=artifact.sha256, size_bytes=artifact.size_bytes)
    first = await anext(parts, b"")
    if len(first) == artifact.size_bytes:
        return Response(first, 200, extra, media_type)
    extra["Content-Length"] = str(artifact.size_bytes)
    return StreamingResponse(_rest(first, parts), 200, extra, media_type)


def parse_range(wanted: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return start and end (exclusive) of a Range header, or None for the whole file.

    Raises:
        RangeNotSatisfiable: it lies outside the file.
    """
    match = _RANGE.fullmatch((wanted or "").strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(size_bytes - int(last), 0), size_bytes
    if start >= end:
        raise RangeNotSatisfiable(
            f"The range {wanted} lies outside the file, which has {size_bytes} bytes.",
            details={"size_bytes": size_bytes},
        )
    return start, end


def disposition(name: str) -> str:
    """Return the Content-Disposition header that offers a download under a user's file name."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


async def _rest(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part


async def _pieces(context: Context, blob_id: str, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        stop = min(start + _PIECE_BYTES, end)
        yield await context.blobs.get_range(blob_id, start, stop)
        start = stop

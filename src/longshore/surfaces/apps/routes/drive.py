"""Routes of the drive, /v2/files: read, write, delete and list by path."""

from __future__ import annotations

import asyncio
import re
from email.utils import formatdate
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.edge.call import Call
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.engine.artifacts import Artifact
from longshore.errors import InvalidRequest, NotFound
from longshore.surfaces.apps import drive
from longshore.surfaces.apps.drive import Folder
from longshore.surfaces.apps.files import DriveFile
from longshore.surfaces.apps.routes.shared import location

router = APIRouter(prefix="/v2", tags=["files"])
RetryConfig = Annotated[str | None, Header(alias="IB-Retry-Config")]


class _AsWritten(bytes):
    """The name of a header that goes out in the case in which it is written.

    Clients of this protocol look the headers of a HEAD up in a dictionary that minds the case,
    after samples that mix both. HTTP does not mind, and uvicorn writes `name.lower()`.
    """

    def lower(self) -> _AsWritten:
        """Return the name as it is."""
        return self


_RETRIES: Final = re.compile(r"retries\W*(\d{1,6})")
_BACKOFF: Final = re.compile(r"backoff-seconds\W*(\d{1,6}(?:\.\d{1,6})?)")


@router.get("/files/{path:path}")
async def read_file(
    path: str,
    call: Reader,
    node_type: Annotated[str, Query(alias="expect-node-type")] = "file",
    page_size: int | None = None,
    start_token: str | None = None,
    retry: RetryConfig = None,
) -> Response:
    """Read a file, whole or a range of it; with expect-node-type=folder list a folder."""
    if node_type not in ("file", "folder"):
        raise InvalidRequest(f"expect-node-type is {node_type[:40]!a}; it must be file or folder.")
    node = await _patient_stat(call, path, retry)
    if isinstance(node, Folder):
        if node_type == "file":
            raise NotFound(
                f"{node.path!r} is a folder. Ask with expect-node-type=folder to list it."
            )
        found = await call.read(
            drive.listing, call.principal, path, page_size=page_size, start_token=start_token
        )
        return json_response(found)
    if node_type == "folder":
        raise NotFound(f"{node.path!r} is a file. Ask with expect-node-type=file to read it.")
    headers = {
        "last-modified": _modified(node),
        "Content-Disposition": files.disposition(node.path.rpartition("/")[2]),
    }
    return await files.send(
        call.context,
        Artifact(node.blob_id, node.size_bytes, node.sha256, files.OCTETS),
        headers=headers,
        wanted_range=call.request.headers.get("range"),
    )


@router.head("/files/{path:path}")
async def file_metadata(path: str, call: Reader, retry: RetryConfig = None) -> Response:
    """Give type, size and time of change in the headers."""
    node = await _patient_stat(call, path, retry)
    response = Response()
    if isinstance(node, Folder):
        headers = {"Content-Type": "application/json"}
    else:
        headers = {
            "Content-Type": files.OCTETS,
            "Content-Length": str(node.size_bytes),
            "last-modified": _modified(node),
        }
    response.raw_headers = [
        (_AsWritten(name.encode()), value.encode()) for name, value in headers.items()
    ]
    return response


@router.put("/files/{path:path}", status_code=204)
async def write_file(path: str, request: Request, call: Operator) -> Response:
    """Write a file; folders are made as needed. With `If-None-Match: *` only if none is there."""
    drive.check_write(call.principal, path)
    only_new = request.headers.get("if-none-match", "").strip() == "*"
    stored = await files.receive(
        call.context,
        call.principal.organisation_id,
        body.stream(request, limit_bytes=limits.FILE_BYTES),
        limits.FILE_BYTES,
    )
    await call.write(
        "files.write",
        drive.write,
        call.principal,
        path,
        stored,
        only_new=only_new,
        target=lambda made: made,
        detail={"size_bytes": stored.size_bytes},
    )
    if only_new:
        address = str(call.request.url).partition("?")[0]
        return Response(status_code=201, headers={"Location": address})
    return Response(status_code=204)


@router.delete("/files/{path:path}", status_code=202)
async def delete_file(path: str, call: Operator) -> Response:
    """Delete a file, or all files of a folder, whether or not there is one."""
    job_id = await call.write(
        "files.delete", drive.delete, call.principal, path, target=path[: limits.PATH_BYTES]
    )
    headers = {"Location": location(call, f"/v2/jobs/{job_id}")}
    return json_response({"job_id": job_id}, 202, headers)


async def _patient_stat(call: Call, path: str, retry: str | None) -> DriveFile | Folder:
    """Look at a path again and again while nothing is there, as IB-Retry-Config asks for."""
    retries, pause_s = retry_config(retry)
    while True:
        try:
            return await call.read(drive.stat, call.principal, path)
        except NotFound:
            if retries <= 0:
                raise
        retries -= 1
        await asyncio.sleep(pause_s)


def retry_config(header: str | None) -> tuple[int, float]:
    """Return how often and with which pause (seconds) to look again for a missing file.

    The protocol's documents write the header in three ways (bare words, single quotes, JSON), so
    it is read by its two words. All looks together wait at most `limits.FILE_WAIT_S`.
    """
    retries = _RETRIES.search(header or "")
    if retries is None:
        return 0, 0.0
    backoff = _BACKOFF.search(header or "")
    pause_s = min(float(backoff.group(1)) if backoff else 1.0, limits.FILE_WAIT_S)
    pause_s = max(pause_s, 0.05)
    return min(int(retries.group(1)), int(limits.FILE_WAIT_S / pause_s)), pause_s


def _modified(file: DriveFile) -> str:
    return formatdate(file.modified_us / 1_000_000, usegmt=True)

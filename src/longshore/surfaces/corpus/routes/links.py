"""Addresses that need no key: they hold a secret instead, and only for a while."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final, cast
from urllib.parse import quote

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.edge.call import Call
from longshore.edge.context import Context
from longshore.engine import artifacts as blobs
from longshore.errors import InvalidRequest, LongshoreError
from longshore.surfaces.corpus import artifacts, links, model_versions, multipart
from longshore.surfaces.corpus.links import Kind, Upload
from longshore.surfaces.corpus.model_versions import Archive
from longshore.surfaces.corpus.routes.images import site_of

# Not in the document of the API: nobody calls them but by an address that they were given.
router = APIRouter(tags=["corpus"], include_in_schema=False)
_HEAD_BYTES: Final = 16


def root_of(call: Call) -> str:
    """Return the root of the server's addresses, as the caller reaches it; without a slash."""
    return site_of(call.request)


def upload_address(call: Call, secret: str) -> str:
    """Return the address that takes the bytes of an upload."""
    return f"{root_of(call)}{links.UPLOADS}/{secret}"


def part_address(call: Call, secret: str) -> str:
    """Return the address that takes the bytes of a part."""
    return f"{root_of(call)}{links.PARTS}/{secret}"


def download_address(call: Call, secret: str, name: str) -> str:
    """Return the address at which a file can be had."""
    return f"{root_of(call)}{links.DOWNLOADS}/{secret}/{quote(name, safe='')}"


class Digested:
    """Bytes on their way through, and what they add up to."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        """Pass `chunks` on."""
        self._chunks = chunks
        # Not for security: the published clients send MD5 to find out damage.
        self._digest = hashlib.md5(usedforsecurity=False)
        self.head = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes as they came."""
        async for chunk in self._chunks:
            if len(self.head) < _HEAD_BYTES:
                self.head += chunk[:_HEAD_BYTES]
            self._digest.update(chunk)
            yield chunk

    @property
    def md5(self) -> str:
        """The MD5 of all that was passed on, in hexadecimal."""
        return self._digest.hexdigest()


@router.put(f"{links.PARTS}/{{secret}}")
async def put_part(secret: str, request: Request) -> Response:
    """Take the bytes of a part of an archive."""
    context = cast("Context", request.app.state.context)
    upload, part = await context.database.read(multipart.part_of, secret)
    given = request.headers.get("content-md5")
    if given is not None and multipart.md5_of(given) != part.md5:
        raise InvalidRequest(
            f"The Content-MD5 of part {part.part_number} is not the one that it was announced with."
        )
    limit = limits.MODEL_PART_BYTES
    chunks = Digested(body.stream(request, limit_bytes=limit))
    stored = await files.receive(context, upload.organisation_id, chunks, limit)
    try:
        await context.database.write(multipart.arrive, secret, stored, chunks.md5)
    except LongshoreError:
        await context.database.write(blobs.condemn, [stored.blob_id])
        raise
    return Response(status_code=200, headers={"ETag": f'"{chunks.md5}"'})


@router.put(f"{links.UPLOADS}/{{secret}}")
async def put_bytes(secret: str, request: Request) -> Response:
    """Take the bytes that the address was made for, once."""
    context = cast("Context", request.app.state.context)
    upload = await context.database.read(links.upload, secret)
    content_type = _checked(request, upload)
    limit = limits.ARTIFACT_BYTES if upload.size_bytes is None else upload.size_bytes
    chunks = Digested(body.stream(request, limit_bytes=limit))
    stored = await files.receive(context, upload.organisation_id, chunks, limit)

    def arrive(connection: Connection) -> None:
        if upload.size_bytes is not None and stored.size_bytes != upload.size_bytes:
            raise _wrong_size(upload, stored.size_bytes)
        # Looked for again: of two requests at the same instant, one is too late.
        links.upload(connection, secret, alone=True)
        if upload.kind is Kind.ARTIFACT:
            artifacts.arrive(connection, upload, content_type, stored)
        else:
            kind = model_versions.kind_of(chunks.head, content_type)
            model_versions.arrive(connection, upload, Archive(stored, chunks.md5, kind))

    try:
        await context.database.write(arrive)
    except LongshoreError:
        # Not left for the sweeper: it would be hours until the bytes are gone.
        await context.database.write(blobs.condemn, [stored.blob_id])
        raise
    return Response(status_code=200, headers={"ETag": f'"{chunks.md5}"'})


@router.get(f"{links.DOWNLOADS}/{{secret}}/{{name}}")
async def download(secret: str, name: str, request: Request) -> Response:
    """Give the file of an address; its name at the end is for whoever stores it."""
    context = cast("Context", request.app.state.context)
    offered = await context.database.read(links.download, secret)
    blob = await context.database.read(blobs.get, offered.organisation_id, offered.blob_id)
    return await files.send(
        context,
        blob,
        media_type=offered.content_type,
        headers={"Content-Disposition": files.disposition(offered.name)},
        wanted_range=request.headers.get("range"),
    )


def _checked(request: Request, upload: Upload) -> str:
    """Return the type of what comes, where the request says what the address was made for."""
    given = request.headers.get("content-type", links.OCTETS)
    if upload.content_type is not None and _plain(given) != _plain(upload.content_type):
        raise InvalidRequest(
            f"The Content-Type is {given[:100]!a}, and the file was announced as "
            f"{upload.content_type!a}. Send it with that."
        )
    declared = request.headers.get("content-length", "")
    if (
        upload.size_bytes is not None
        and declared.isdecimal()
        and int(declared) != upload.size_bytes
    ):
        raise _wrong_size(upload, int(declared))
    return given


def _plain(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _wrong_size(upload: Upload, size_bytes: int) -> InvalidRequest:
    return InvalidRequest(
        f"The file has {size_bytes} bytes and was announced with {upload.size_bytes}. Send the "
        "whole file, or announce it anew."
    )

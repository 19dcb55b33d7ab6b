"""Routes of multipart uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.edge.callers import Operator
from longshore.edge.context import Context
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import uploads
from longshore.surfaces.apps.routes.shared import location
from longshore.surfaces.apps.uploads import Part
from longshore.wire import apps as wire

_ROOT = "/batches/multipart-upload"
router = APIRouter(prefix="/v2", tags=["batches"])


@router.post(_ROOT, status_code=201, openapi_extra=body.described(wire.UploadRequest))
async def create_session(request: Request, call: Operator) -> Response:
    """Open a multipart upload of one file."""
    wanted = body.parse(wire.UploadRequest, await body.json_body(request))
    return await call.change(
        "uploads.create",
        uploads.create,
        call.principal,
        wanted,
        target=lambda made: made.session_id,
        render=lambda made: made,
        status=201,
        headers=lambda made: {"Location": location(call, f"/v2{_ROOT}/sessions/{made.session_id}")},
    )


@router.put(f"{_ROOT}/sessions/{{session_id}}/parts/{{part_number}}", status_code=201)
async def add_part(session_id: str, part_number: int, request: Request, call: Operator) -> Response:
    """Add a part: the request's body is its bytes."""
    size = await call.read(uploads.expected_size, call.principal, session_id, part_number)
    declared = request.headers.get("content-length", str(size))
    if declared != str(size):
        raise InvalidRequest(
            f"Part {part_number} must have {size} bytes and the request has {declared[:20]}. Send "
            "each part with exactly part_size bytes, and the rest in the last one."
        )
    stored = await files.receive(
        call.context,
        call.principal.organisation_id,
        body.stream(request, limit_bytes=limits.PART_BYTES),
        limits.PART_BYTES,
    )
    part = await call.write(
        "uploads.add_part",
        uploads.add_part,
        call.principal,
        session_id,
        part_number,
        stored,
        target=session_id,
        detail={"part_num": part_number, "size_bytes": stored.size_bytes},
    )
    return json_response(part, 201)


@router.post(
    f"{_ROOT}/sessions/{{session_id}}",
    status_code=204,
    openapi_extra=body.described(wire.CommitRequest),
)
async def end_session(session_id: str, request: Request, call: Operator) -> Response:
    """Put the parts together as the file, or throw them away."""
    wanted = body.parse(wire.CommitRequest, await body.json_body(request))
    if wanted.action == "abort":
        await call.write(
            "uploads.abort", uploads.abort, call.principal, session_id, target=session_id
        )
        return Response(status_code=204)
    named = wanted.parts or []
    commit = await call.read(uploads.check_commit, call.principal, session_id, named)
    if commit.parts is not None:
        whole = await files.receive(
            call.context,
            call.principal.organisation_id,
            _joined(call.context, commit.parts),
            limits.MULTIPART_FILE_BYTES,
        )
        await call.write(
            "uploads.commit",
            uploads.commit,
            call.principal,
            session_id,
            named,
            whole,
            target=session_id,
            detail={"name": commit.session.name, "size_bytes": whole.size_bytes},
        )
    return Response(status_code=204)


async def _joined(context: Context, parts: Sequence[Part]) -> AsyncIterator[bytes]:
    for part in parts:
        chunks = context.blobs.get(part.blob_id, sha256=part.sha256, size_bytes=part.size_bytes)
        async for chunk in chunks:
            yield chunk

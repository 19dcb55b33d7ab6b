"""Routes of batches, their files, and jobs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import body, files
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.surfaces.apps import batches, deletions
from longshore.surfaces.apps.routes.shared import LongPage, location
from longshore.wire import apps as wire

router = APIRouter(prefix="/v2", tags=["batches"])


@router.post("/batches", openapi_extra=body.described(wire.BatchRequest))
async def create_batch(request: Request, call: Operator) -> Response:
    """Create an empty batch."""
    wanted = body.parse(wire.BatchRequest, await body.json_body(request))
    return await call.change(
        "batches.create",
        batches.create,
        call.principal,
        wanted,
        target=lambda made: f"batch:{made.id}",
        render=lambda made: made,
    )


@router.get("/batches")
async def list_batches(
    call: Reader, page: LongPage, workspace: str | None = None, username: str | None = None
) -> Response:
    """List batches, newest first."""
    found = await call.read(
        batches.listing, call.principal, page, workspace=workspace, username=username
    )
    return json_response(found)


@router.get("/batches/{batch_id}")
async def get_batch(batch_id: str, call: Reader) -> Response:
    """Show a batch."""
    return json_response(await call.read(batches.info, call.principal, batches.number(batch_id)))


@router.delete("/batches/{batch_id}", status_code=202)
async def delete_batch(batch_id: str, call: Operator) -> Response:
    """Have a batch and all its files deleted by a job."""
    number = batches.number(batch_id)
    job = await call.write(
        "batches.delete", batches.delete, call.principal, number, target=f"batch:{number}"
    )
    return json_response(job, 202, {"Location": location(call, f"/v2/jobs/{job.job_id}")})


@router.get("/batches/{batch_id}/files")
async def list_files(
    batch_id: str, call: Reader, page_size: int | None = None, start_token: str | None = None
) -> Response:
    """List one page of a batch's files, by name."""
    found = await call.read(
        batches.list_files,
        call.principal,
        batches.number(batch_id),
        page_size=page_size,
        start_token=start_token,
    )
    return json_response(found)


@router.put("/batches/{batch_id}/files/{name:path}", status_code=204)
async def add_file(batch_id: str, name: str, request: Request, call: Operator) -> Response:
    """Add a file to a batch, or replace it: the request's body is the file."""
    number = batches.number(batch_id)
    await call.read(batches.check_upload, call.principal, number, name)
    if request.headers.get("content-length") == "0":
        batches.refuse_empty(0, name)
    stored = await files.receive(
        call.context,
        call.principal.organisation_id,
        body.stream(request, limit_bytes=limits.FILE_BYTES),
        limits.FILE_BYTES,
    )
    await call.write(
        "batches.add_file",
        batches.add_file,
        call.principal,
        number,
        name,
        stored,
        target=f"batch:{number}",
        detail={"name": name, "size_bytes": stored.size_bytes},
    )
    return Response(status_code=204)


@router.delete("/batches/{batch_id}/files/{name:path}", status_code=202)
async def delete_file(batch_id: str, name: str, call: Operator) -> Response:
    """Delete a file of a batch; a job removes its bytes."""
    number = batches.number(batch_id)
    job_id = await call.write(
        "batches.delete_file",
        batches.delete_file,
        call.principal,
        number,
        name,
        target=f"batch:{number}",
        detail={"name": name},
    )
    headers = {"Location": location(call, f"/v2/jobs/{job_id}")}
    return json_response(wire.DeletionJob(job_id=job_id), 202, headers)


@router.get("/jobs/{job_id}")
@router.get("/batches/jobs/{job_id}")
async def get_job(job_id: str, call: Reader) -> Response:
    """Show the state of a deletion job, with its counts once it is complete."""
    return json_response(await call.read(deletions.status, call.principal.organisation_id, job_id))

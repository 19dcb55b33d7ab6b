"""Routes of models, their versions, and archives that come in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge import files
from longshore.edge.call import Call
from longshore.engine import artifacts as blobs
from longshore.errors import NotFound
from longshore.surfaces.corpus import model_versions, models, multipart
from longshore.surfaces.corpus.model_values import NewVersion
from longshore.surfaces.corpus.model_versions import Archive
from longshore.surfaces.corpus.models import NewModel
from longshore.surfaces.corpus.multipart import Abortion, Completion, NewPart, NewUpload
from longshore.surfaces.corpus.multipart_parts import Part
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import (
    Digested,
    download_address,
    part_address,
    upload_address,
)
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])


@router.get("/models/", **operation("ListModels"))
async def list_models(
    call: Reader,
    page: Numbered,
    name: Annotated[str | None, Query(description="Only models whose name contains this.")] = None,
) -> Response:
    """List the models."""
    return answer(await call.read(models.listing, call.principal.organisation_id, name, page))


@router.post("/models/", **operation("CreateModel", body=True))
async def create_model(request: Request, call: Writer) -> Response:
    """Make a model."""
    new = await body_of(request, NewModel)
    return await call.change(
        "models.create",
        models.create,
        call.principal,
        new,
        target=lambda made: made.id,
        render=lambda made: made.shown(),
        status=201,
    )


@router.get("/model/{id}/", **operation("RetrieveModel"))
async def retrieve_model(model_id: Id, call: Reader) -> Response:
    """Show a model."""
    found = await call.read(models.get, call.principal.organisation_id, model_id)
    return answer(found.shown())


@router.get("/model/{id}/versions/", **operation("ListModelVersions"))
async def list_versions(model_id: Id, call: Reader, page: Numbered) -> Response:
    """List the versions of a model, the newest first."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(model_versions.listing, organisation_id, model_id, page))


@router.post("/model/{id}/versions/", **operation("CreateModelVersion", body=True))
async def create_version(model_id: Id, request: Request, call: Writer) -> Response:
    """Make a version of a model; `s3_put_url` takes its archive, without a key."""
    new = await body_of(request, NewVersion)
    made: tuple[dict[str, Any], str] = await call.write(
        "models.create_version",
        model_versions.create,
        call.principal,
        model_id,
        new,
        target=lambda created: str(created[0]["id"]),
    )
    shown, secret = made
    return answer({**shown, "s3_put_url": upload_address(call, secret)}, 201)


@router.get("/modelversion/{id}/", **operation("RetrieveModelVersion"))
async def retrieve_version(version_id: Id, call: Reader) -> Response:
    """Show a version of a model; `s3_url` has its archive for a while, without a key."""
    shown, link = await call.context.database.write(
        model_versions.retrieve, call.principal.organisation_id, version_id
    )
    if link is not None:
        shown["s3_url"] = download_address(call, *link)
    return answer(shown)


@router.put("/modelversion/{id}/", **operation("UpdateModelVersion", body=True))
async def update_version(version_id: Id, request: Request, call: Writer) -> Response:
    """Change a version of a model."""
    return await _change(version_id, request, call)


@router.patch("/modelversion/{id}/", **operation("PartialUpdateModelVersion", body=True))
async def partial_update_version(version_id: Id, request: Request, call: Writer) -> Response:
    """Change a version of a model; `available` once its archive has come."""
    return await _change(version_id, request, call)


@router.delete("/modelversion/{id}/", **operation("DestroyModelVersion"))
async def destroy_version(version_id: Id, call: Writer) -> Response:
    """Delete a version of a model with its archive."""
    return await call.change(
        "models.delete_version",
        model_versions.remove,
        call.principal,
        version_id,
        target=version_id,
        render=lambda _: None,
        status=204,
    )


@router.post("/upload/multipart/", **operation("CreateMultipartUpload", body=True))
async def create_upload(request: Request, call: Writer) -> Response:
    """Begin to send an archive in parts."""
    new = await body_of(request, NewUpload)
    upload_id: str = await call.write(
        "models.create_upload", multipart.create, call.principal, new, target=new.object_id[:100]
    )
    return answer({"upload_id": upload_id}, 201)


@router.post("/upload/multipart/part/", **operation("CreateMultipartUploadPart", body=True))
async def create_part(request: Request, call: Writer) -> Response:
    """Announce a part; `url` takes its bytes, without a key."""
    new = await body_of(request, NewPart)
    secret = await call.context.database.write(multipart.announce, call.principal, new)
    shown = {"upload_id": new.upload_id, "part_number": new.part_number}
    return answer({**shown, "url": part_address(call, secret)}, 201)


@router.post("/upload/multipart/complete/", **operation("CompleteMultipartUpload", body=True))
async def complete_upload(request: Request, call: Writer) -> Response:
    """Put the parts together; the version of the model is available then."""
    wanted = await body_of(request, Completion)
    parts = await call.read(multipart.check, call.principal, wanted)
    if parts is not None:
        try:
            await _put_together(call, wanted, parts)
        except NotFound:
            # A repeat of this request was quicker, and the parts are gone.
            if await call.read(multipart.check, call.principal, wanted) is not None:
                raise
    return answer({"upload_id": wanted.upload_id, "object_id": wanted.object_id})


@router.post("/upload/multipart/abort/", **operation("AbortMultipartUpload", body=True))
async def abort_upload(request: Request, call: Writer) -> Response:
    """Give up what was sent in parts."""
    wanted = await body_of(request, Abortion)
    await call.write(
        "models.abort_upload",
        multipart.abort,
        call.principal,
        wanted,
        target=wanted.object_id[:100],
    )
    return answer(None)


async def _change(version_id: str, request: Request, call: Call) -> Response:
    changes = await body_of(request, NewVersion)
    shown, secret = await call.write(
        "models.update_version",
        model_versions.change,
        call.principal,
        version_id,
        changes,
        target=version_id,
    )
    if secret is not None:
        shown["s3_put_url"] = upload_address(call, secret)
    return answer(shown)


async def _put_together(call: Call, wanted: Completion, parts: Sequence[Part]) -> None:
    organisation_id = call.principal.organisation_id
    chunks = Digested(multipart.joined(call.context.blobs, parts))
    stored = await files.receive(call.context, organisation_id, chunks, limits.ARTIFACT_BYTES)
    archive = Archive(stored, chunks.md5, model_versions.kind_of(chunks.head))
    done = False
    try:
        done = await call.write(
            "models.complete_upload",
            multipart.complete,
            call.principal,
            wanted,
            archive,
            target=wanted.object_id[:100],
            detail={"size_bytes": stored.size_bytes},
        )
    finally:
        if not done:
            await call.context.database.write(blobs.condemn, [stored.blob_id])

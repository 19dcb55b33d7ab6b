"""Metadata of elements."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import metadata
from longshore.surfaces.corpus.metadata import NewMetadata, NewMetadataList
from longshore.surfaces.corpus.routes.shared import PREFIX, Reader, Writer, answer, operation
from longshore.surfaces.corpus.routes.storing import Id, store

router = APIRouter(prefix=PREFIX, tags=["corpus results"])
_CREATE = "corpus.metadata.create"


@router.post("/element/{id}/metadata/", status_code=201, **operation("CreateMetaData", body=True))
async def create_metadata(element_id: Id, request: Request, call: Writer) -> Response:
    """Give an element a named value."""
    return await store(call, request, NewMetadata, metadata.create, element_id, action=_CREATE)


@router.post(
    "/element/{id}/metadata/bulk/",
    status_code=201,
    **operation("CreateMetaDataBulk", body=True),
)
async def create_metadata_list(element_id: Id, request: Request, call: Writer) -> Response:
    """Give an element several named values, all or none of them; they come back in order."""
    service = metadata.create_many
    return await store(call, request, NewMetadataList, service, element_id, action=_CREATE)


@router.get("/element/{id}/metadata/", **operation("ListElementMetaData", paginated=False))
async def list_metadata(element_id: Id, call: Reader, load_parents: bool = False) -> Response:
    """List the named values of an element; with `load_parents`, of those above it, too."""
    organisation_id = call.principal.organisation_id
    found = await call.read(
        metadata.listing, organisation_id, element_id, load_parents=load_parents
    )
    return answer(found)

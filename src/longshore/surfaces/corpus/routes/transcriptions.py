"""Transcriptions of elements, and of zones that are made with them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import transcriptions, zones
from longshore.surfaces.corpus.routes.images import site_of
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id, store
from longshore.surfaces.corpus.transcriptions import NewTranscription, NewTranscriptions, Wanted
from longshore.surfaces.corpus.zones import NewZones

router = APIRouter(prefix=PREFIX, tags=["corpus results"])
_CREATE = "corpus.transcriptions.create"


def _wanted(
    recursive: bool = False,
    element_type: str | None = None,
    worker_run: str | None = None,
    worker_version: str | None = None,
) -> Wanted:
    return Wanted(recursive, element_type, worker_run, worker_version)


@router.post(
    "/element/{id}/transcription/",
    status_code=201,
    **operation("CreateTranscription", body=True),
)
async def create_transcription(element_id: Id, request: Request, call: Writer) -> Response:
    """Give an element a text."""
    service = transcriptions.create
    return await store(call, request, NewTranscription, service, element_id, action=_CREATE)


@router.post(
    "/transcription/bulk/", status_code=201, **operation("CreateTranscriptions", body=True)
)
async def create_transcriptions(request: Request, call: Writer) -> Response:
    """Give many elements a text, all or none of them; they come back in order."""
    return await store(call, request, NewTranscriptions, transcriptions.create_many, action=_CREATE)


@router.post(
    "/element/{id}/transcriptions/bulk/",
    status_code=201,
    **operation("CreateElementTranscriptions", body=True),
)
async def create_element_transcriptions(element_id: Id, request: Request, call: Writer) -> Response:
    """Give an element zones with texts: a plain list of {"id", "element_id", "created"}, in order."""
    return await store(call, request, NewZones, zones.create, element_id, action=_CREATE)


@router.get("/element/{id}/transcriptions/", **operation("ListTranscriptions"))
async def list_transcriptions(
    element_id: Id,
    wanted: Annotated[Wanted, Depends(_wanted)],
    page: Numbered,
    request: Request,
    call: Reader,
) -> Response:
    """List the texts of an element; with `recursive`, of all elements below it, too."""
    organisation_id, site = call.principal.organisation_id, site_of(request)
    found = await call.read(
        transcriptions.listing, organisation_id, element_id, wanted, page, site=site
    )
    return answer(found)

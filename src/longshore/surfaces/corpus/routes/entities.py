"""Entity types, entities, and where texts speak of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import entities, spans
from longshore.surfaces.corpus.entities import NewEntity, NewEntityType, Wanted
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id, store
from longshore.surfaces.corpus.spans import NewSpan, NewSpans

router = APIRouter(prefix=PREFIX, tags=["corpus results"])


def _wanted(name: str | None = None, parent: str | None = None) -> Wanted:
    return Wanted(name, parent)


@router.get("/corpus/{id}/entity-types/", **operation("ListCorpusEntityTypes"))
async def list_entity_types(corpus_id: Id, page: Numbered, call: Reader) -> Response:
    """List the types that entities of a corpus can have, by name."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(entities.list_types, organisation_id, corpus_id, page))


@router.post("/entity/types/", status_code=201, **operation("CreateEntityType", body=True))
async def create_entity_type(request: Request, call: Writer) -> Response:
    """Make an entity type. One of that name that is there already is an error, 400."""
    service = entities.create_type
    return await store(call, request, NewEntityType, service, action="corpus.entity_types.create")


@router.post("/entity/", status_code=201, **operation("CreateEntity", body=True))
async def create_entity(request: Request, call: Writer) -> Response:
    """Make an entity of a name."""
    service = entities.create
    return await store(call, request, NewEntity, service, action="corpus.entities.create")


@router.get("/corpus/{id}/entities/", **operation("ListCorpusEntities"))
async def list_entities(
    corpus_id: Id, wanted: Annotated[Wanted, Depends(_wanted)], page: Numbered, call: Reader
) -> Response:
    """List the entities of a corpus; `parent` is an element in whose texts they are."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(entities.listing, organisation_id, corpus_id, wanted, page))


@router.post(
    "/transcription/{id}/entities/",
    status_code=201,
    **operation("CreateTranscriptionEntity", body=True),
)
async def create_transcription_entity(
    transcription_id: Id, request: Request, call: Writer
) -> Response:
    """Mark an entity in a text: {"entity"} or {"type_id"}, with {"offset", "length"}."""
    action = "corpus.transcription_entities.create"
    return await store(call, request, NewSpan, spans.create, transcription_id, action=action)


@router.post(
    "/transcription/{id}/entities/bulk/",
    status_code=201,
    **operation("CreateTranscriptionEntities", body=True),
)
async def create_transcription_entities(
    transcription_id: Id, request: Request, call: Writer
) -> Response:
    """Mark many entities in a text, all or none of them, each with a type and perhaps a name."""
    action = "corpus.transcription_entities.create"
    return await store(call, request, NewSpans, spans.create_many, transcription_id, action=action)


@router.get("/transcription/{id}/entities/", **operation("ListTranscriptionEntities"))
async def list_transcription_entities(
    transcription_id: Id,
    page: Numbered,
    call: Reader,
    worker_run: str | None = None,
    worker_version: str | None = None,
) -> Response:
    """List the entities that are marked in a text, from its beginning to its end."""
    organisation_id = call.principal.organisation_id
    return answer(
        await call.read(
            spans.listing, organisation_id, transcription_id, worker_run, worker_version, page
        )
    )

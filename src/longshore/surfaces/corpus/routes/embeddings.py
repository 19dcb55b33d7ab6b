"""Embeddings of elements."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import embeddings
from longshore.surfaces.corpus.embeddings import NewEmbedding
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id, store

router = APIRouter(prefix=PREFIX, tags=["corpus results"])


@router.post("/element/{id}/embedding/", status_code=201, **operation("CreateEmbedding", body=True))
async def create_embedding(element_id: Id, request: Request, call: Writer) -> Response:
    """Give an element an embedding, a list of numbers."""
    action = "corpus.embeddings.create"
    return await store(call, request, NewEmbedding, embeddings.create, element_id, action=action)


@router.get("/element/{id}/embedding/", **operation("ListEmbeddings"))
async def list_embeddings(element_id: Id, page: Numbered, call: Reader) -> Response:
    """List the embeddings of an element."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(embeddings.listing, organisation_id, element_id, page))

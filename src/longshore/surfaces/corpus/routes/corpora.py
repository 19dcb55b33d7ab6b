"""Corpora and the types of their elements."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.callers import Operator
from longshore.surfaces.corpus import corpora, element_types
from longshore.surfaces.corpus.corpora import CorpusChanges, NewCorpus
from longshore.surfaces.corpus.element_types import NewType, TypeChanges
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Reader, Writer, answer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])


@router.get("/corpus/", **operation("ListCorpora", paginated=False))
async def list_corpora(call: Reader) -> Response:
    """List the corpora of the organisation with their types."""
    return answer(await call.read(corpora.listing, call.principal))


@router.post("/corpus/", status_code=201, **operation("CreateCorpus", body=True))
async def create_corpus(request: Request, call: Operator) -> Response:
    """Make a corpus: {"name", "description"?, "types"?: [{"slug", "display_name"?, "folder"?}]}."""
    given = await body_of(request, NewCorpus)

    def make(connection: Connection) -> dict[str, Any]:
        made = corpora.create(connection, call.principal, given)
        return corpora.show(connection, call.principal, made)

    return await call.change(
        "corpus.create", make, target=_id, render=lambda made: made, status=201
    )


@router.get("/corpus/{id}/", **operation("RetrieveCorpus"))
async def retrieve_corpus(corpus_id: Id, call: Reader) -> Response:
    """Show a corpus with its types."""
    return answer(await call.read(corpora.show, call.principal, corpus_id))


@router.patch("/corpus/{id}/", **operation("PartialUpdateCorpus", body=True))
async def change_corpus(corpus_id: Id, request: Request, call: Operator) -> Response:
    """Change the name or the description of a corpus."""
    given = await body_of(request, CorpusChanges)
    return await call.change(
        "corpus.update",
        corpora.change,
        call.principal,
        corpus_id,
        given,
        target=_id,
        render=lambda made: made,
    )


@router.delete("/corpus/{id}/", status_code=202, **operation("DestroyCorpus"))
async def destroy_corpus(corpus_id: Id, call: Operator) -> Response:
    """Delete a corpus with all that is in it: it is gone at once, and a job deletes its rows."""
    return await call.change(
        "corpus.delete",
        corpora.remove,
        call.principal,
        corpus_id,
        target=_id,
        render=lambda made: made,
        status=202,
    )


@router.post("/elements/type/", status_code=201, **operation("CreateElementType", body=True))
async def create_element_type(request: Request, call: Writer) -> Response:
    """Give a corpus another type of elements."""
    given = await body_of(request, NewType)
    return await call.change(
        "corpus.types.create",
        element_types.create,
        call.principal.organisation_id,
        given,
        target=_id,
        render=lambda made: made,
        status=201,
    )


@router.get("/elements/type/{id}/", **operation("RetrieveElementType"))
async def retrieve_element_type(type_id: Id, call: Reader) -> Response:
    """Show a type of elements."""
    return answer(await call.read(element_types.show, call.principal.organisation_id, type_id))


@router.patch("/elements/type/{id}/", **operation("PartialUpdateElementType", body=True))
async def change_element_type(type_id: Id, request: Request, call: Operator) -> Response:
    """Change a type, and with it all elements that are of it."""
    given = await body_of(request, TypeChanges)
    return await call.change(
        "corpus.types.update",
        element_types.change,
        call.principal.organisation_id,
        type_id,
        given,
        target=_id,
        render=lambda made: made,
    )


@router.delete("/elements/type/{id}/", status_code=204, **operation("DestroyElementType"))
async def destroy_element_type(type_id: Id, call: Operator) -> Response:
    """Delete a type that no element is of."""
    return await call.change(
        "corpus.types.delete",
        element_types.remove,
        call.principal.organisation_id,
        type_id,
        target=type_id,
        render=lambda _: None,
        status=204,
    )


def _id(made: dict[str, Any]) -> str:
    return str(made["id"])

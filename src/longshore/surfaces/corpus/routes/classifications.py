"""Classes of a corpus, and classifications of its elements."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import classes, classifications
from longshore.surfaces.corpus.classes import NewClass
from longshore.surfaces.corpus.classifications import NewClassification, NewClassifications
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


@router.get("/corpus/{id}/classes/", **operation("ListCorpusMLClasses"))
async def list_classes(corpus_id: Id, page: Numbered, call: Reader) -> Response:
    """List the classes that elements of a corpus can be put into, by name."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(classes.listing, organisation_id, corpus_id, page))


@router.post("/corpus/{id}/classes/", status_code=201, **operation("CreateMLClass", body=True))
async def create_class(corpus_id: Id, request: Request, call: Writer) -> Response:
    """Make a class: {"name"}. One of that name that is there already is an error, 400."""
    return await store(
        call, request, NewClass, classes.create, corpus_id, action="corpus.classes.create"
    )


@router.post("/classifications/", status_code=201, **operation("CreateClassification", body=True))
async def create_classification(request: Request, call: Writer) -> Response:
    """Put an element into a class, once for each worker run."""
    return await store(
        call,
        request,
        NewClassification,
        classifications.create,
        action="corpus.classifications.create",
    )


@router.post(
    "/classification/bulk/", status_code=201, **operation("CreateClassifications", body=True)
)
async def create_classifications(request: Request, call: Writer) -> Response:
    """Put an element into several classes, all or none of them."""
    return await store(
        call,
        request,
        NewClassifications,
        classifications.create_many,
        action="corpus.classifications.create",
    )

"""Elements: made, changed and deleted, and listed by all filters of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.call import Call
from longshore.edge.callers import Operator
from longshore.surfaces.corpus import changing, creating, elements, listing, parents, removal
from longshore.surfaces.corpus.changing import Changes
from longshore.surfaces.corpus.creating import NewElement, NewElements
from longshore.surfaces.corpus.elements import Extras
from longshore.surfaces.corpus.listing import Filters, Wanted
from longshore.surfaces.corpus.parents import Children
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import root_of
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    Numbered,
    Reader,
    Writer,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id, store

router = APIRouter(prefix=PREFIX, tags=["corpus"])
_ORIGIN = "Id of a worker run, or False for what was made by hand."
_VERSION = "Id of the version of a worker, or False for what was made by hand."


def _filters(
    name: Annotated[str | None, Query(description="Part of the name, in any case.")] = None,
    element_type: Annotated[
        str | None, Query(alias="type", description="Slug of their type.")
    ] = None,
    folder: Annotated[bool | None, Query(description="Whether they are folders.")] = None,
    worker_run: Annotated[str | None, Query(description=_ORIGIN)] = None,
    worker_version: Annotated[str | None, Query(description=_VERSION)] = None,
    transcription_worker_run: Annotated[
        str | None, Query(description=f"Who gave them a transcription. {_ORIGIN}")
    ] = None,
    transcription_worker_version: Annotated[
        str | None, Query(description=f"What gave them a transcription. {_VERSION}")
    ] = None,
) -> Filters:
    return Filters(
        name=name,
        type=element_type,
        folder=folder,
        worker_run=worker_run,
        worker_version=worker_version,
        transcription_worker_run=transcription_worker_run,
        transcription_worker_version=transcription_worker_version,
    )


def _extras(
    with_classes: Annotated[bool, Query(description="Tell their classes.")] = False,
    with_corpus: Annotated[bool, Query(description="Tell their corpus.")] = True,
    with_metadata: Annotated[bool, Query(description="Tell their metadata.")] = False,
    with_has_children: Annotated[
        bool, Query(description="Tell whether others are below them.")
    ] = False,
    with_zone: Annotated[bool, Query(description="Tell their places on images.")] = True,
) -> Extras:
    return Extras(with_classes, with_corpus, with_metadata, with_has_children, with_zone)


def _wanted(
    request: Request,
    filters: Annotated[Filters, Depends(_filters)],
    extras: Annotated[Extras, Depends(_extras)],
    page: Numbered,
) -> Wanted:
    return Wanted(filters, page, str(request.base_url).rstrip("/"), extras)


Listed = Annotated[Wanted, Depends(_wanted)]
"""What is listed and how; declares the filters that all listings have."""
Recursive = Annotated[bool, Query(description="Also those further away, not only the nearest.")]


@router.get("/element/{id}/", **operation("RetrieveElement"))
async def retrieve_element(element_id: Id, call: Reader) -> Response:
    """Show an element, with its classes and metadata."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(elements.show, organisation_id, element_id, root_of(call)))


@router.post("/elements/create/", status_code=201, **operation("CreateElement", body=True))
async def create_element(request: Request, call: Writer) -> Response:
    """Make an element; below another where `parent` is given."""
    given = await body_of(request, NewElement)
    service = _told(call, creating.create)
    return await call.change(
        "corpus.elements.create",
        service,
        given,
        target=_id,
        render=lambda made: made,
        status=201,
    )


@router.post(
    "/element/{id}/children/bulk/", status_code=201, **operation("CreateElements", body=True)
)
async def create_elements(element_id: Id, request: Request, call: Writer) -> Response:
    """Make many elements below another, all or none: a plain list of {"id"}, in order."""
    service, action = creating.create_many, "corpus.elements.create"
    return await store(call, request, NewElements, service, element_id, action=action)


@router.patch("/element/{id}/", **operation("PartialUpdateElement", body=True))
async def change_element(element_id: Id, request: Request, call: Writer) -> Response:
    """Change an element."""
    given = await body_of(request, Changes)
    service = _told(call, changing.change)
    return await call.change(
        "corpus.elements.update",
        service,
        element_id,
        given,
        target=_id,
        render=lambda made: made,
    )


@router.delete("/element/{id}/", status_code=204, **operation("DestroyElement"))
async def destroy_element(
    element_id: Id,
    call: Operator,
    delete_children: Annotated[
        bool, Query(description="Delete also what is below it and below nothing else.")
    ] = True,
) -> Response:
    """Delete an element with what is below it and below nothing else.

    Where that is much, the answer is 202 with the job that does it.
    """
    service, action = removal.remove, "corpus.elements.delete"
    gone = await call.write(
        action,
        service,
        call.principal,
        element_id,
        with_children=delete_children,
        target=element_id,
    )
    return answer(gone, 202)


@router.post(
    "/element/{child}/parent/{parent}/", status_code=201, **operation("CreateElementParent")
)
async def create_element_parent(child: str, parent: str, call: Writer) -> Response:
    """Put an element below another."""
    return await call.change(
        "corpus.elements.link",
        parents.create,
        call.principal,
        child,
        parent,
        target=child,
        render=lambda made: made,
        status=201,
    )


@router.delete(
    "/element/{child}/parent/{parent}/", status_code=204, **operation("DestroyElementParent")
)
async def destroy_element_parent(child: str, parent: str, call: Writer) -> Response:
    """Take an element away from below another; both stay."""
    return await call.change(
        "corpus.elements.unlink",
        parents.remove,
        call.principal,
        child,
        parent,
        target=child,
        render=lambda _: None,
        status=204,
    )


@router.post(
    "/element/parent/{id}/", status_code=201, **operation("CreateElementChildren", body=True)
)
async def create_element_children(element_id: Id, request: Request, call: Writer) -> Response:
    """Put many elements below another, all or none of them."""
    service, action = parents.create_many, "corpus.elements.link"
    return await store(call, request, Children, service, element_id, action=action)


@router.get("/corpus/{corpus}/elements/", **operation("ListElements"))
async def list_elements(
    corpus: str,
    call: Reader,
    wanted: Listed,
    top_level: Annotated[
        bool | None, Query(description="Whether there is nothing above them.")
    ] = None,
) -> Response:
    """List the elements of a corpus, in the order in which they were made."""
    wanted = wanted._replace(filters=wanted.filters._replace(top_level=top_level))
    return await _list(call, listing.of_corpus, corpus, wanted)


@router.get("/elements/{id}/children/", **operation("ListElementChildren"))
async def list_children(
    element_id: Id, call: Reader, wanted: Listed, recursive: Recursive = False
) -> Response:
    """List the elements below one, in their order."""
    wanted = wanted._replace(filters=wanted.filters._replace(recursive=recursive))
    return await _list(call, listing.children, element_id, wanted)


@router.get("/elements/{id}/parents/", **operation("ListElementParents"))
async def list_parents(
    element_id: Id, call: Reader, wanted: Listed, recursive: Recursive = False
) -> Response:
    """List the elements above one."""
    wanted = wanted._replace(filters=wanted.filters._replace(recursive=recursive))
    return await _list(call, listing.above, element_id, wanted)


async def _list(
    call: Call, service: Callable[..., dict[str, Any]], place: str, wanted: Wanted
) -> Response:
    return answer(await call.read(service, call.principal.organisation_id, place, wanted))


def _told(call: Call, service: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """Return a service that does what `service` does and returns the element as it is sent."""

    def run(connection: Connection, *given: Any) -> dict[str, Any]:
        made = service(connection, call.principal, *given)
        return elements.shown(connection, [made], root_of(call), elements.ALL)[made]

    return run


def _id(made: dict[str, Any]) -> str:
    return str(made["id"])

"""Routes of the elements in the sets of datasets."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore.surfaces.corpus import dataset_elements
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Writer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])


class _Member(msgspec.Struct, frozen=True):
    set: str
    element_id: str


class _Members(msgspec.Struct, frozen=True):
    set: str
    element_ids: list[str]


@router.post("/datasets/{id}/elements/", **operation("CreateDatasetElement", body=True))
async def add_element(dataset_id: Id, request: Request, call: Writer) -> Response:
    """Put an element into a set of a dataset."""
    wanted = await body_of(request, _Member)
    return await call.change(
        "datasets.add_elements",
        dataset_elements.add,
        call.principal,
        dataset_id,
        wanted.set,
        [wanted.element_id],
        target=dataset_id,
        detail={"set": wanted.set[:100], "elements": 1},
        render=lambda _: {"set": wanted.set, "element_id": wanted.element_id},
        status=201,
    )


@router.post("/datasets/{id}/elements/bulk/", **operation("CreateDatasetElements", body=True))
async def add_elements(dataset_id: Id, request: Request, call: Writer) -> Response:
    """Put many elements into a set of a dataset; all of them or none."""
    wanted = await body_of(request, _Members)
    return await call.change(
        "datasets.add_elements",
        dataset_elements.add,
        call.principal,
        dataset_id,
        wanted.set,
        wanted.element_ids,
        attr="element_ids",
        target=dataset_id,
        detail={"set": wanted.set[:100], "elements": len(wanted.element_ids)},
        render=lambda _: {"set": wanted.set, "element_ids": wanted.element_ids},
        status=201,
    )


@router.delete("/datasets/{dataset}/elements/{element}/", **operation("DestroyDatasetElement"))
async def remove_element(
    dataset: str,
    element: str,
    call: Writer,
    set_name: Annotated[str, Query(alias="set", description="Name of the set that it is in.")],
) -> Response:
    """Take an element out of a set of a dataset."""
    return await call.change(
        "datasets.remove_element",
        dataset_elements.remove,
        call.principal,
        dataset,
        element,
        set_name,
        target=dataset,
        detail={"set": set_name[:100], "element_id": element[:100]},
        render=lambda _: None,
        status=204,
    )

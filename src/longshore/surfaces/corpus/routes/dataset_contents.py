"""The route that lists the elements in the sets of datasets."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from longshore.surfaces.corpus import dataset_elements, datasets
from longshore.surfaces.corpus import elements as stored_elements
from longshore.surfaces.corpus.paging import Cursor
from longshore.surfaces.corpus.routes.links import root_of
from longshore.surfaces.corpus.routes.shared import PREFIX, ByCursor, Reader, answer, operation
from longshore.surfaces.corpus.routes.storing import Id

router = APIRouter(prefix=PREFIX, tags=["corpus"])


@router.get("/datasets/{id}/elements/", **operation("ListDatasetElements"))
async def list_elements(
    dataset_id: Id,
    call: Reader,
    cursor: ByCursor,
    set_name: Annotated[
        str | None, Query(alias="set", description="Name of a set; all of them without it.")
    ] = None,
) -> Response:
    """List the elements of a dataset, with the set that each is in."""
    return answer(await call.read(_elements, call, dataset_id, set_name, cursor))


def _elements(
    connection: Any, call: Any, dataset_id: str, set_name: str | None, cursor: Cursor
) -> dict[str, Any]:
    organisation_id = call.principal.organisation_id
    dataset = datasets.get(connection, organisation_id, dataset_id)
    rows, last, count = dataset_elements.page(connection, dataset, set_name, cursor)
    shown = stored_elements.shown(
        connection, [row.element_id for row in rows], root_of(call), stored_elements.ALL
    )
    results = [
        {"id": row.id, "set": row.name, "element": shown[row.element_id]}
        for row in rows
        if row.element_id in shown
    ]
    return cursor.answer(results, last=last, count=count)

"""What the routes of the corpus surface share: who may call, how operations are described, pages."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.surfaces.corpus import paging
from longshore.surfaces.corpus.paging import Cursor, Page

PREFIX: Final = "/api/v1"

Reader = Annotated[Call, Depends(allow(Permission.READ, programs="corpus"))]
Writer = Annotated[Call, Depends(allow(Permission.WORK, Permission.OPERATE, programs="corpus"))]
"""Who adds elements and results: people, and programs with the token of their task."""


def operation(
    operation_id: str,
    *,
    body: bool = False,
    paginated: bool | None = None,
    deprecated: bool = False,
) -> dict[str, Any]:
    """Return the arguments of a route that is the operation of that name in the published clients.

    Args:
        operation_id: the name that the clients call it by.
        body: whether it takes a JSON body. The clients then refuse a call without one.
        paginated: False for a listing that is one plain JSON list.
        deprecated: whether clients warn of it.
    """
    extra: dict[str, Any] = {}
    if body:
        # Without the name, the older client calls the argument after the schema.
        content = {"application/json": {"schema": {"type": "object"}}}
        extra["requestBody"] = {"x-name": "body", "required": True, "content": content}
    if paginated is not None:
        extra["x-paginated"] = paginated
    return {"operation_id": operation_id, "openapi_extra": extra, "deprecated": deprecated or None}


def answer(content: Any, status: int = 200) -> Response:
    """Answer with JSON; with nothing and status 204 for None."""
    if content is None:
        return Response(status_code=204)
    return json_response(content, status)


def _numbered(
    request: Request,
    page: Annotated[int, Query(description="Number of the page, from 1.")] = 1,
    page_size: Annotated[int | None, Query(description="Rows of a page.")] = None,
) -> Page:
    return paging.page_of(page, page_size, _address(request), request.query_params.multi_items())


def _by_cursor(
    request: Request,
    cursor: Annotated[str | None, Query(description="From `next` of the page before.")] = None,
    page_size: Annotated[int | None, Query(description="Rows of a page.")] = None,
    with_count: Annotated[bool, Query(description="Tell how many there are in all.")] = False,
) -> Cursor:
    query = request.query_params.multi_items()
    return paging.cursor_of(cursor, page_size, with_count, _address(request), query)


def _address(request: Request) -> str:
    return str(request.url.replace(query=""))


Numbered = Annotated[Page, Depends(_numbered)]
"""The page that a request wants; declares `page` and `page_size`."""
ByCursor = Annotated[Cursor, Depends(_by_cursor)]
"""Where the page begins that a request wants; declares `cursor`, `page_size` and `with_count`."""

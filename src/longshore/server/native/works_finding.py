"""Finding works by a filter."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from longshore import limits
from longshore.clock import iso
from longshore.edge.callers import Reader
from longshore.edge.responses import json_response
from longshore.engine import filtering, searching
from longshore.errors import InvalidRequest
from longshore.server.native import views
from longshore.surfaces.works.reaching import reachable

router = APIRouter(tags=["works"])


@router.get("/works")
async def find_works(
    call: Reader, q: str = "", before: str | None = None, limit: int = 50
) -> Response:
    """List the works that fit a filter, the newest first.

    Go on with `next` as `before` while it is not null. A page may hold fewer works than `limit`,
    or none, and still have a `next`: it was looked back to `searched_to`, and older works may fit.
    """
    if not 1 <= limit <= limits.PAGE_ROWS:
        raise InvalidRequest(f"limit is {limit}; give 1 to {limits.PAGE_ROWS}.")
    page = await call.read(
        searching.page,
        call.principal.organisation_id,
        reachable(call.principal, filtering.parse(q)),
        at_us=call.context.clock.now_us(),
        before=before or None,
        limit=limit,
    )
    return json_response(
        {
            "works": [views.found(each) for each in page.found],
            "next": page.next,
            "searched_to": iso(page.searched_to_us),
        }
    )


@router.get("/works/count")
async def count_works(call: Reader, q: str = "") -> Response:
    """Count the works that fit a filter; where `exact` is false, there are at least as many."""
    counted = await call.read(
        searching.count,
        call.principal.organisation_id,
        reachable(call.principal, filtering.parse(q)),
        at_us=call.context.clock.now_us(),
    )
    return json_response({"count": counted.count, "exact": counted.exact})

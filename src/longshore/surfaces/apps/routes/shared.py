"""What the routes of this surface share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from longshore import limits
from longshore.edge.call import Call
from longshore.edge.paging import Page, paging


def long_page(limit: int | None = None, offset: int | None = None) -> Page:
    """Return the page that the query asks for; without a limit the longest one.

    The protocol's programs count what a listing without a limit returns.
    """
    return paging(limits.PAGE_ROWS if limit is None else limit, offset)


LongPage = Annotated[Page, Depends(long_page)]


def location(call: Call, path: str) -> str:
    """Return the whole address of a path such as /v2/jobs/..., under the caller's own API root."""
    root, _, _ = call.request.url.path.partition("/v2/")
    return f"{str(call.request.base_url).rstrip('/')}{root}{path}"

# Generated from _async/buckets_view.py by tools/unasync.py; edit that file instead.
"""Reading documents page by page."""

from __future__ import annotations

from longshore.errors import TooLarge
from longshore.limits import PAGE_ROWS
from longshore.sdk._buckets import Document, View
from longshore.sdk._calls import Call
from longshore.sdk._sync.transport import Transport


def view_all(transport: Transport, path: str, view: View) -> list[Document]:
    """Return all documents that a view asks for, in as many requests as they take.

    Documents that come or go meanwhile can shift the pages by as many.
    """
    found: list[Document] = []
    page_rows = PAGE_ROWS
    while view.limit is None or len(found) < view.limit:
        left = page_rows if view.limit is None else min(page_rows, view.limit - len(found))
        try:
            page = transport.fetch_json(Call("POST", path, json=view.page(len(found), left)))
        except TooLarge as error:
            # Large documents: fewer of them fit into one answer.
            if "limit_bytes" not in error.details or left == 1:
                raise
            page_rows = left // 2
            continue
        found.extend(page)
        if len(page) < left:
            break
    return found

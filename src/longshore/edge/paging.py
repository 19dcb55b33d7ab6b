"""Pages of a listing: `limit` and `offset`, capped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longshore import limits
from longshore.errors import InvalidRequest

DEFAULT_ROWS: Final = 100
LAST_ROW: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    offset: int


def paging(limit: int | None = None, offset: int | None = None) -> Page:
    """Return the page that the query asks for; use it as a dependency.

    A limit above `limits.PAGE_ROWS` gives that many rows.

    Raises:
        InvalidRequest: a negative limit or offset, or an offset that no row can have.
    """
    if limit is not None and limit < 0:
        raise InvalidRequest(f"limit is {limit}; it must be 0 or more.")
    if offset is not None and not 0 <= offset <= LAST_ROW:
        raise InvalidRequest(f"offset is {offset}; it must be 0 or more, and a possible row.")
    return Page(min(DEFAULT_ROWS if limit is None else limit, limits.PAGE_ROWS), offset or 0)

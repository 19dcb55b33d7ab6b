"""Pages of listings, in the two forms that the published clients read.

Numbered pages are `{"count", "number", "next", "previous", "results"}`; the client works out the
number of pages from `count` and the length of the first one. Pages by cursor are the same without
`number`; `next` is an address whose `cursor` the client sends with its next request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from longshore.errors import InvalidRequest, NotFound

PAGE_ROWS: Final = 20
PAGE_ROWS_MAX: Final = 500
_LAST_PAGE: Final = 2**40


@dataclass(frozen=True, slots=True)
class Page:
    """Which numbered page is wanted.

    Attributes:
        number: from 1.
        size: rows of a page.
        address: the request's address without its query.
        query: the rest of its query, as pairs of name and value.
    """

    number: int
    size: int
    address: str
    query: tuple[tuple[str, str], ...]

    @property
    def offset(self) -> int:
        """How many rows come before it."""
        return (self.number - 1) * self.size

    def answer(self, results: Sequence[Any], count: int) -> dict[str, Any]:
        """Return the page as it is sent: its rows, of so many in all.

        Raises:
            NotFound: it lies behind the last one.
        """
        if self.number > 1 and not results:
            raise NotFound(
                f"There is no page {self.number}: the last one is {-(-count // self.size) or 1}."
            )
        return {
            "count": count,
            "number": self.number,
            "next": self._link(self.number + 1) if self.number * self.size < count else None,
            "previous": self._link(self.number - 1) if self.number > 1 else None,
            "results": list(results),
        }

    def _link(self, number: int) -> str:
        return _address(self.address, (*self.query, ("page", str(number))))


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page by cursor begins.

    Attributes:
        after: the last place of the page before, or "" for the first page.
        size: rows of a page.
        with_count: whether the first page tells how many there are in all.
    """

    after: str
    size: int
    with_count: bool
    address: str
    query: tuple[tuple[str, str], ...]

    def answer(
        self, results: Sequence[Any], *, last: str | None, count: int | None
    ) -> dict[str, Any]:
        """Return the page as it is sent.

        Args:
            results: its rows.
            last: place of its last row, or None where nothing follows it.
            count: how many there are in all, when that is wanted.
        """
        place = None
        if last is not None:
            cursor = base64.urlsafe_b64encode(last.encode()).decode()
            place = _address(self.address, (*self.query, ("cursor", cursor)))
        page = {"next": place, "previous": None, "results": list(results)}
        return {"count": count, **page} if self.with_count else page


def page_of(number: int, size: int | None, address: str, query: Sequence[tuple[str, str]]) -> Page:
    """Return the page that a query asks for.

    Raises:
        InvalidRequest: the number or the size is below 1.
    """
    if not 1 <= number <= _LAST_PAGE:
        raise InvalidRequest(f"page is {number}; pages are counted from 1.")
    rest = tuple(pair for pair in query if pair[0] != "page")
    return Page(number, _size(size), address, rest)


def cursor_of(
    cursor: str | None,
    size: int | None,
    with_count: bool,
    address: str,
    query: Sequence[tuple[str, str]],
) -> Cursor:
    """Return where the page begins that a query asks for.

    Raises:
        InvalidRequest: this server did not make the cursor, or the size is below 1.
    """
    try:
        after = base64.b64decode(cursor or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _strange() from error
    if "\0" in after:
        raise _strange()
    rest = tuple(pair for pair in query if pair[0] not in ("cursor", "with_count"))
    # Only the first page is asked for it; to count again for each page would be for nothing.
    return Cursor(after, _size(size), with_count and not after, address, rest)


def _size(size: int | None) -> int:
    if size is not None and size < 1:
        raise InvalidRequest(f"page_size is {size}; give 1 to {PAGE_ROWS_MAX}.")
    return min(size or PAGE_ROWS, PAGE_ROWS_MAX)


def _address(address: str, query: Sequence[tuple[str, str]]) -> str:
    return f"{address}?{urlencode(query)}"


def _strange() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one that this server gave. Use the address in `next` of the page "
        "before, or leave the cursor out to start from the first."
    )

"""Results that the API gives page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Pages:
    """All results of an operation, fetched as they are iterated over.

    Pages have numbers (`{"count", "number", "next", "previous", "results"}`), or each names the
    next one by a cursor (`{"count", "next", "previous", "results"}`).

    Attributes:
        missing: numbers or cursors of pages that could not be had and were left out.
    """

    def __init__(
        self,
        request: Callable[..., Any],
        arguments: dict[str, Any],
        failures: tuple[type[Exception], ...] = (),
    ) -> None:
        """Prepare; the first page is fetched when it is needed.

        Args:
            request: calls the operation with arguments.
            arguments: those of all pages.
            failures: errors at which a page is left out.
        """
        self._request = request
        self._arguments = arguments
        self._failures = failures
        self._first: dict[str, Any] | None = None
        self.missing: set[int | str] = set()

    def __len__(self) -> int:
        """Return the number of all results, as the first page tells it."""
        count = self._first_page().get("count")
        if count is None:
            raise TypeError("The server does not tell how many results there are.")
        return int(count)

    def __bool__(self) -> bool:
        """Say whether there are results."""
        return bool(self._first_page()["results"])

    def __iter__(self) -> Iterator[Any]:
        """Give the results in the order of the server."""
        page = self._first_page()
        yield from page["results"]
        if page.get("number"):
            yield from self._numbered(page)
        else:
            yield from self._by_cursor(page)

    def _first_page(self) -> dict[str, Any]:
        if self._first is None:
            self._first = self._request(**self._arguments)
        return self._first

    def _numbered(self, first: dict[str, Any]) -> Iterator[Any]:
        if not first["results"]:
            return
        last = ceil(first["count"] / len(first["results"]))
        for number in range(int(first["number"]) + 1, last + 1):
            page = self._page(number, page=number)
            yield from page["results"] if page else ()

    def _by_cursor(self, page: dict[str, Any] | None) -> Iterator[Any]:
        while page and page["next"]:
            cursor = parse_qs(urlsplit(page["next"]).query)["cursor"][0]
            # Where the page after a missing one begins is unknown, so this ends there.
            page = self._page(cursor, cursor=cursor)
            yield from page["results"] if page else ()

    def _page(self, name: int | str, **where: Any) -> dict[str, Any] | None:
        arguments = {key: value for key, value in self._arguments.items() if key != "with_count"}
        try:
            page: dict[str, Any] = self._request(**arguments, **where)
        except self._failures:
            self.missing.add(name)
            return None
        return page

"""Page tokens: where the next page starts, opaque to the client."""

from __future__ import annotations

import base64
import binascii

from longshore import limits
from longshore.errors import InvalidRequest


def encode(place: str) -> str:
    """Return the token for a place in a listing."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def decode(token: str | None) -> str:
    """Return the place that a token stands for; "" for no token.

    Raises:
        InvalidRequest: this server did not make the token.
    """
    try:
        place = base64.b64decode(token or "", altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _strange() from error
    # PostgreSQL takes no NUL in a text, and no name has one.
    if "\0" in place:
        raise _strange()
    return place


def page_rows(page_size: int | None) -> int:
    """Return how many rows a page has: what was asked for, up to `limits.PAGE_ROWS`.

    Raises:
        InvalidRequest: it is below 1.
    """
    if page_size is not None and page_size < 1:
        raise InvalidRequest(
            f"page_size is {page_size}; give a number from 1 to {limits.PAGE_ROWS}."
        )
    return min(page_size or limits.PAGE_ROWS, limits.PAGE_ROWS)


def _strange() -> InvalidRequest:
    return InvalidRequest(
        "The start_token is not one that this server gave. Use next_page_token of the last page, "
        "or leave it out to start from the first."
    )

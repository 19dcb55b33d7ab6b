"""Manifests and images that are read from the web by whoever imports or exports."""

from __future__ import annotations

from typing import Final

import httpx

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge

_TIMEOUT_S: Final = 60.0
_REDIRECTS: Final = 5


def fetch(url: str, *, limit_bytes: int = limits.IMAGE_BYTES) -> bytes:
    """Return what is at an address.

    Raises:
        InvalidRequest: it is no address of the web, or is not answered with 200.
        TooLarge: more than `limit_bytes` come.
    """
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest(f"{url[:200]!r} is no address of the web.")
    data = bytearray()
    try:
        with (
            httpx.Client(
                timeout=_TIMEOUT_S, follow_redirects=True, max_redirects=_REDIRECTS
            ) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise InvalidRequest(f"{url[:200]} answered {answer.status_code}.")
            for piece in answer.iter_bytes():
                data += piece
                if len(data) > limit_bytes:
                    raise TooLarge(f"{url[:200]} has more than {limit_bytes} bytes.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise InvalidRequest(
            f"{url[:200]} was not read: {str(error) or type(error).__name__}."
        ) from error
    return bytes(data)

"""Images that an IIIF service elsewhere has: what is known of them comes from their info.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from longshore import limits
from longshore.edge.outbound import Outbound, checked_url
from longshore.errors import DeliveryFailed, InvalidRequest
from longshore.surfaces.corpus.scope import refusal

_ACCEPT: Final = {"accept": "application/ld+json, application/json"}
_SIDE_MAX: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Information:
    """What a service says of an image.

    Attributes:
        size: width and height in pixels.
        details: `version` of the API, and `max_width` and `max_height` of what it serves or None.
    """

    size: tuple[int, int]
    details: dict[str, Any]


def checked(url: str, outbound: Outbound) -> str:
    """Return the address of an image as it is stored: without /info.json, or a slash at its end.

    Raises:
        InvalidRequest: it may not be called, or cannot be the address of an image.
    """
    shorter = url.strip().removesuffix("/info.json").rstrip("/")
    try:
        found = checked_url(shorter, outbound.allowed, what="url")
    except InvalidRequest as error:
        raise refusal(error.message, "url") from error
    if found.query or found.fragment or found.path == "/":
        raise refusal(
            "url: give the address of one image at an IIIF service, such as "
            "https://host/iiif/name, without a query.",
            "url",
        )
    return shorter


async def information(url: str, outbound: Outbound) -> Information:
    """Ask the service for the description of an image; `url` is one that was checked.

    Raises:
        InvalidRequest: the service does not answer with one; the message says what it did.
    """
    address = f"{url}/info.json"
    try:
        answer = await outbound.get(address, _ACCEPT)
    except DeliveryFailed as error:
        raise refusal(f"url: the image's info.json was not read. {error.message}", "url") from error
    if answer.status != 200:
        raise refusal(
            f"url: {address} answered {answer.status}. Give the address that answers 200; others "
            "are not followed.",
            "url",
        )
    if len(answer.body) >= limits.OUTBOUND_ANSWER_BYTES:
        raise refusal(f"url: {address} has {limits.OUTBOUND_ANSWER_BYTES} bytes or more.", "url")
    return described(answer.body, address)


def described(content: bytes, address: str) -> Information:
    """Return what the document info.json says.

    Raises:
        InvalidRequest: it is not one of the IIIF Image API.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise refusal(f"url: {address} is not JSON.", "url") from error
    if not isinstance(found, dict):
        raise refusal(f"url: {address} is not a JSON object.", "url")
    size = _side(found.get("width")), _side(found.get("height"))
    if size[0] is None or size[1] is None:
        raise refusal(f"url: {address} has no usable width and height.", "url")
    options = found
    profile = found.get("profile")
    if isinstance(profile, list):
        options = next((part for part in profile[1:] if isinstance(part, dict)), {})
    details = {
        "version": 3 if "id" in found and "@id" not in found else 2,
        "max_width": _side(options.get("maxWidth")),
        "max_height": _side(options.get("maxHeight")) or _side(options.get("maxWidth")),
    }
    return Information((size[0], size[1]), details)


def _side(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _SIDE_MAX
    return value if good else None

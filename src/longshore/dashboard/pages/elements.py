"""Elements: the image with the zones drawn on it, and everything that was found there."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.edge.call import Call
from longshore.errors import NotFound
from longshore.surfaces.corpus import element_views, iiif, removal
from longshore.surfaces.corpus.element_views import Look
from longshore.surfaces.corpus.images import Image
from longshore.surfaces.corpus.rendering import Renderer

router = APIRouter(include_in_schema=False)

IMAGE_PIXELS: Final = 1_600
"""Longest side of the picture on an element's page."""
THUMBNAIL: Final = (320, 220)
COLOURS: Final = 8
"""How many types or classes have a colour of their own; the last stands for all others."""
_MARGIN: Final = 0.04
_KEPT: Final = {
    "Cache-Control": "private, max-age=300",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Cookie",
}
_WEB: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class Canvas:
    """What the drawing of an element shows; all in pixels of the image.

    Attributes:
        box: left, top, width and height of the part that is shown.
        view: the same of what is seen once it is turned, for `viewBox`.
        transform: how it is mirrored and turned.
    """

    box: tuple[int, int, int, int]
    view: str
    transform: str


@dataclass(frozen=True, slots=True)
class Legend:
    """A kind of zones with its colour; `text` names it."""

    text: str
    colour: int
    count: int


@router.get("/ui/elements/{element_id}")
async def show_element(element_id: str, call: Viewer, after: str | None = None) -> Response:
    """Show one element."""
    look = await call.read(
        element_views.look, call.principal.organisation_id, element_id, after=after
    )
    address = f"/ui/elements/{look.row.id}"
    image = look.image
    older = None
    if look.children.older is not None:
        older = addressed(address, after=look.children.older)
    types = _legend([zone.type for zone in look.zones])
    classes = _legend([zone.ml_class or "no class" for zone in look.zones])
    return templating.render(
        call,
        "corpora/element.html",
        look=look,
        row=look.row,
        address=address,
        canvas=None if image is None or image.blob_id is None else _canvas(image, look),
        external=None if image is None else image.external_url,
        types=types,
        classes=classes,
        type_colours={each.text: each.colour for each in types},
        class_colours={each.text: each.colour for each in classes},
        is_link=is_link,
        newest=address if after is not None else None,
        older=older,
    )


@router.get("/ui/elements/{element_id}/image")
async def show_image(element_id: str, request: Request, call: Viewer) -> Response:
    """Send the part of the image that an element's page shows, as it is stored."""
    image, points, _, _ = await _place(call, element_id)
    left, top, width, height = box_of(image, points)
    return await _send(
        call, request, image, f"{left},{top},{width},{height}", (IMAGE_PIXELS, IMAGE_PIXELS), "0"
    )


@router.get("/ui/elements/{element_id}/thumbnail")
async def show_thumbnail(element_id: str, request: Request, call: Viewer) -> Response:
    """Send a small picture of an element, turned as it is to be read."""
    image, points, angle, mirrored = await _place(call, element_id)
    left, top, width, height = box_of(image, points)
    degrees = angle if angle % 90 == 0 else 0
    most = THUMBNAIL if degrees % 180 == 0 else (THUMBNAIL[1], THUMBNAIL[0])
    turned = f"{'!' * mirrored}{degrees}"
    return await _send(call, request, image, f"{left},{top},{width},{height}", most, turned)


@router.post("/ui/elements/{element_id}/delete")
async def delete_element(element_id: str, request: Request, call: Operator) -> Response:
    """Delete an element with what is below it and below nothing else."""
    form = await read_form(request)
    look = await call.read(element_views.look, call.principal.organisation_id, element_id)
    await call.write(
        "corpus.elements.delete",
        removal.remove,
        call.principal,
        element_id,
        with_children=form.text("children") == "yes",
        target=element_id,
        detail={"reason": form.reason()},
    )
    to = f"/ui/corpora/{quote(look.row.corpus_id, safe='')}"
    return templating.done(f"{look.row.name} is deleted.", to=to)


def is_link(kind: str, value: str) -> bool:
    """Return whether metadata is an address that a page may link to: of the web, and nothing else."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return kind == "url" and parts.scheme.lower() in _WEB and bool(parts.netloc)


def box_of(image: Image, points: Sequence[tuple[int, int]]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a zone with a little of what is around it."""
    if not points:
        return 0, 0, image.width, image.height
    xs, ys = [x for x, _ in points], [y for _, y in points]
    margin = round(max(max(xs) - min(xs), max(ys) - min(ys)) * _MARGIN)
    left, top = max(min(xs) - margin, 0), max(min(ys) - margin, 0)
    right, bottom = min(max(xs) + margin, image.width), min(max(ys) + margin, image.height)
    return left, top, max(right - left, 1), max(bottom - top, 1)


def _canvas(image: Image, look: Look) -> Canvas:
    left, top, width, height = box_of(image, look.points)
    angle = look.row.rotation_angle
    middle = left + width / 2, top + height / 2
    # Mirrored first, then turned clockwise: what stands last is done first.
    turned = f"translate({middle[0]} {middle[1]}) rotate({angle})"
    flipped = " scale(-1 1)" if look.row.mirrored else ""
    transform = f"{turned}{flipped} translate({-middle[0]} {-middle[1]})"
    sine, cosine = abs(math.sin(math.radians(angle))), abs(math.cos(math.radians(angle)))
    wide, high = width * cosine + height * sine, width * sine + height * cosine
    view = f"{middle[0] - wide / 2:.2f} {middle[1] - high / 2:.2f} {wide:.2f} {high:.2f}"
    return Canvas((left, top, width, height), view, transform)


def _legend(kinds: Sequence[str]) -> list[Legend]:
    """Give each kind of zones a colour, the most frequent first; the rest share the last."""
    counts: dict[str, int] = {}
    for each in kinds:
        counts[each] = counts.get(each, 0) + 1
    frequent = sorted(counts, key=lambda each: (-counts[each], each))
    return [
        Legend(text, min(place, COLOURS - 1), counts[text]) for place, text in enumerate(frequent)
    ]


async def _place(call: Call, element_id: str) -> tuple[Image, list[tuple[int, int]], int, bool]:
    image, points, angle, mirrored = await call.read(
        element_views.place, call.principal.organisation_id, element_id
    )
    if image is None or image.blob_id is None:
        raise NotFound(f"The element {element_id[:80]} lies on no image of this server.")
    return image, points, angle, mirrored


async def _send(
    call: Call, request: Request, image: Image, region: str, most: tuple[int, int], rotation: str
) -> Response:
    wanted = iiif.rendering(
        "3",
        (image.width, image.height),
        region=region,
        size=f"!{most[0]},{most[1]}",
        rotation=rotation,
        file="default.jpg",
    )
    tag = hashlib.sha256(f"{image.id} {wanted.canonical}".encode()).hexdigest()[:32]
    headers = {**_KEPT, "ETag": f'"{tag}"'}
    if f'"{tag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    content = await call.context.shared(Renderer).render(call.context.blobs, image, wanted)
    return Response(content, 200, headers, iiif.MEDIA_TYPES["jpg"])

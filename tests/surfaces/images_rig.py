"""Images for the tests of corpora: drawn, and sent to a server."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from tests.surfaces.corpus_rig import Corpora

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def drawn(width: int = 200, height: int = 100) -> Image.Image:
    """Draw four quarters: red and green above, blue and white below."""
    image = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for colour, corner in zip(
        (RED, GREEN, BLUE, WHITE),
        ((0, 0), (half[0], 0), (0, half[1]), half),
        strict=True,
    ):
        image.paste(colour, (*corner, corner[0] + half[0], corner[1] + half[1]))
    return image


def file_of(image: Image.Image, form: str = "PNG", **more: Any) -> bytes:
    """Return an image as a file."""
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


async def upload(
    corpora: Corpora, data: bytes, name: str = "scan.png", *, expect: int = 201
) -> Any:
    """Send a file as an image; return what is told of it."""
    path = "/longshore/v1/corpus/images"
    return await corpora.call("POST", path, expect=expect, params={"name": name}, content=data)


def opened(content: bytes) -> Image.Image:
    """Return the image of an answer."""
    return Image.open(io.BytesIO(content))


def near(pixel: Any, colour: tuple[int, ...]) -> bool:
    """Say whether a pixel has a colour, as well as JPEG keeps it."""
    return all(abs(one - other) < 12 for one, other in zip(pixel, colour, strict=True))

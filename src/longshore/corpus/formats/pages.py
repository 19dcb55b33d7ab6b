"""What an import reads: pages, each with its image and the zones on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge

Point = tuple[float, float]
Polygon = tuple[Point, ...]
IMAGE_SUFFIXES: Final = (
    ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp", ".jp2",
)  # fmt: skip


class Kind(StrEnum):
    """What a zone of a page is."""

    REGION = "region"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of a page.

    Attributes:
        kind: a region, or a line.
        polygon: its corners in pixels of the image; not closed.
        name: what the file calls it, or "".
        text: what is written there, or None.
        confidence: how sure the text is, from 0 to 1, or None.
        zones: the zones in it, in the order in which they are read.
    """

    kind: Kind
    polygon: Polygon
    name: str = ""
    text: str | None = None
    confidence: float | None = None
    zones: tuple[Zone, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """An image whose bytes are read when they are wanted."""

    name: str
    read: Callable[[], bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImageService:
    """An image that an IIIF service has, by its address without /info.json."""

    url: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page to import.

    Attributes:
        source: where it comes from, for messages.
        name: what it is called.
        folders: names of the folders that it lies in, from the outermost.
        image: its image.
        zones: what is on it, in the order in which it is read.
        size: width and height in which the zones are given, or None for pixels of the image.
    """

    source: str
    name: str
    folders: tuple[str, ...]
    image: ImageBytes | ImageService
    zones: tuple[Zone, ...] = ()
    size: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, or a part of one, that cannot be imported; the others go on."""

    source: str
    why: str


def image_file(path: Path) -> ImageBytes:
    """Return the image in a file, which is not read yet."""
    return ImageBytes(path.name, lambda: read_file(path, limits.IMAGE_BYTES))


def read_file(path: Path, limit_bytes: int) -> bytes:
    """Return the bytes of a file.

    Raises:
        TooLarge: there are more than `limit_bytes`.
        InvalidRequest: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise InvalidRequest(f"The file cannot be read ({error.strerror}).") from error
    if len(data) > limit_bytes:
        raise TooLarge(f"The file has more than {limit_bytes} bytes, which is the limit here.")
    return data


def rectangle(left: float, top: float, width: float, height: float) -> Polygon:
    """Return the corners of a rectangle, clockwise from the left upper one."""
    right, bottom = left + width, top + height
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def on_image(polygon: Polygon, scale: Point, size: tuple[int, int]) -> list[list[int]] | None:
    """Return a polygon in whole pixels of an image, cut at its edges, the first point last again.

    Args:
        polygon: the corners.
        scale: what x and y are multiplied by.
        size: width and height of the image.

    Returns:
        None where nothing of it is inside of the image.
    """
    ring = [
        [min(max(round(x * scale[0]), 0), size[0]), min(max(round(y * scale[1]), 0), size[1])]
        for x, y in polygon
    ]
    ring = [point for index, point in enumerate(ring) if point != ring[index - 1] or index == 0]
    while len(ring) > 1 and ring[-1] == ring[0]:
        ring.pop()
    flat = any(len({point[axis] for point in ring}) < 2 for axis in (0, 1))
    return None if len(ring) < 3 or flat else [*ring, ring[0]]

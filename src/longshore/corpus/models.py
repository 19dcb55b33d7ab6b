"""What the API answers with, as dictionaries whose items are attributes, too.

`element["zone"]["image"]["url"]` and `element.zone.image.url` are the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from PIL import Image as Pillow

from longshore.corpus.image import (
    IIIF_URL,
    download_tiles,
    open_image,
    oriented,
    polygon_bounding_box,
)
from longshore.corpus.polygons import Coordinate, ImageHolder

IMAGE_EXTENSION = "jpg"


class MagicDict(dict[str, Any]):
    """A dictionary whose items can be read, set and deleted as attributes."""

    def __getitem__(self, name: str) -> Any:
        """Return an item; dictionaries in it become MagicDicts, so that dots can go on."""
        return _magic(super().__getitem__(name))

    def __getattr__(self, name: str) -> Any:
        """Return an item by its name as an attribute.

        Raises:
            AttributeError: there is no such item.
        """
        try:
            return self[name]
        except KeyError:
            message = f"{type(self).__name__} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an item."""
        self[name] = value

    def __delattr__(self, name: str) -> None:
        """Delete an item.

        Raises:
            AttributeError: there is no such item.
        """
        try:
            del self[name]
        except KeyError:
            message = f"{type(self).__name__} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=self) from None

    def __dir__(self) -> list[str]:
        """List the items among the attributes, for completion in a console."""
        return [*super().__dir__(), *self.keys()]


class ArkindexModel(MagicDict):
    """An object of the API that is known by its id."""

    def __str__(self) -> str:
        return f"{type(self).__name__} ({self.id})"


class Transcription(ArkindexModel):
    """Text on an element."""


class Image(ArkindexModel):
    """An image that elements have their zones on."""


class Dataset(ArkindexModel):
    """A dataset: named sets of elements."""

    @property
    def filepath(self) -> str:
        """Name of the dataset's archive among the artifacts of the task that built it."""
        return f"{self.id}.tar.zst"


class Artifact(ArkindexModel):
    """A file that a task left."""


class Set(MagicDict):
    """A named set of a dataset; items `name`, `dataset`, and `id` where the API gave it."""

    def __str__(self) -> str:
        return f"{type(self).__name__} ({self.name}) from {self.dataset}"


DatasetSet = Set
"""The name of a Set from version 0.6 of the worker protocol on."""


class Element(MagicDict, ImageHolder):
    """An element of a corpus: a page, a text line, a folder of volumes.

    `zone` (image, polygon, url) is None for elements without an image.
    """

    def __str__(self) -> str:
        kind = self.type["display_name"] if isinstance(self.type, dict) else self.type
        return f"{kind} {self.name} ({self.id})"

    @property
    def polygon(self) -> list[list[Coordinate]]:
        """The polygon of the zone.

        Raises:
            ValueError: the element has no zone.
        """
        polygon: list[list[Coordinate]] = self._zone().polygon
        return polygon

    @property
    def requires_tiles(self) -> bool:
        """Whether the server refuses to send the zone's box in one piece, so that tiles must do."""
        if not self.get("zone") or self.zone.image.get("s3_url"):
            return False
        server = self.zone.image.get("server") or {}
        box = polygon_bounding_box(self.zone.polygon)
        return bool(
            box.width > (server.get("max_width") or float("inf"))
            or box.height > (server.get("max_height") or float("inf"))
        )

    def resize_zone_url(self, size: str = "full", extension: str = IMAGE_EXTENSION) -> str:
        """Return the address of the zone's box, cut out of the image.

        Args:
            size: of the IIIF Image API, such as "full" or "200,".
            extension: image format that the server is asked for.
        """
        url = str(self.zone.url)
        if not IIIF_URL.match(url):
            return url
        parts = url.split("/")
        if size != "full":
            parts[-3] = size
        if extension != IMAGE_EXTENSION:
            parts[-1] = f"{parts[-1].rpartition('.')[0]}.{extension}"
        return "/".join(parts)

    def image_url(self, size: str = "full", extension: str = IMAGE_EXTENSION) -> str | None:
        """Return the address of the whole image, or None for an element without one.

        A direct address in a store (`s3_url`) wins over the IIIF server, and knows no sizes.
        """
        if not self.get("zone"):
            return None
        image = self.zone.image
        if direct := image.get("s3_url"):
            return str(direct)
        # Version 3 of the IIIF Image API calls "max" what was "full" until then.
        if size == "full" and (image.get("server") or {}).get("version", 2) == 3:
            size = "max"
        return f"{image.url.rstrip('/')}/full/{size}/0/default.{extension}"

    def open_image(
        self,
        *args: Any,
        max_width: int | None = None,
        max_height: int | None = None,
        use_full_image: bool | None = False,
        preserve_ratio: bool | None = False,
        extension: str | None = IMAGE_EXTENSION,
        **kwargs: Any,
    ) -> Pillow.Image:
        """Open the element's image: its zone's box, turned and mirrored as the element says.

        Where the server cannot send the box in one piece the whole image is put together from
        tiles, and is not cut to the box. Polygons found on the opened image go through
        `revert_orientation` before they are sent.

        Args:
            args: mode of Pillow, such as "L"; passed to `longshore.corpus.image.open_image`.
            max_width: greatest width in pixels; a smaller image is not enlarged.
            max_height: greatest height in pixels. With both, the image is stretched to them,
                unless `preserve_ratio` is set.
            use_full_image: open the whole image instead of the zone's box.
            preserve_ratio: fit the image into both limits instead.
            extension: image format that the server is asked for.
            kwargs: passed to `longshore.corpus.image.open_image`.

        Raises:
            ValueError: the element has no zone.
            NotImplementedError: the direct address of the image has expired; retrieve the element
                again.
            httpx.HTTPError: the image cannot be downloaded.
        """
        self._zone()
        pixels_max = kwargs.pop("max_image_pixels", None)
        keep_ratio = bool(preserve_ratio)
        if self.requires_tiles:
            image = download_tiles(self.zone.image.url, pixels_max)
        else:
            whole = bool(use_full_image)
            size = self._size(max_width, max_height, keep_ratio=keep_ratio, whole=whole)
            ask = self.image_url if whole else self.resize_zone_url
            image = self._opened(str(ask(size, extension or IMAGE_EXTENSION)), pixels_max)
        # A server has sent the size that it was asked for; a file and tiles have the size they have.
        image = _limited(image, max_width, max_height, keep_ratio=keep_ratio)
        kwargs = {"rotation_angle": self.rotation_angle, "mirrored": self.mirrored, **kwargs}
        return oriented(image, *args, **kwargs)

    @contextmanager
    def open_image_tempfile(
        self,
        format: str | None = "jpeg",  # noqa: A002 - its public name
        *args: Any,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Keep the element's image as a temporary file for a `with` block.

        Args:
            format: image format of the file; `extension` is another word for it.
            args: passed to `open_image`.
            kwargs: passed to `open_image`.
        """
        extension = kwargs.pop("extension", None) or format or IMAGE_EXTENSION
        if extension in {"jpg", "jpeg"}:
            kind, extension = "jpeg", IMAGE_EXTENSION
        else:
            kind = extension
        with tempfile.NamedTemporaryFile(suffix=f".{extension}") as file:
            self.open_image(*args, extension=extension, **kwargs).save(file, format=kind)
            file.flush()
            yield file

    def _zone(self) -> Any:
        if not self.get("zone"):
            raise ValueError(f"Element {self.id} has no zone, so it has no image and no polygon.")
        return self.zone

    def _opened(self, url: str, pixels_max: str | int | None) -> Pillow.Image:
        try:
            return open_image(url, mode=None, max_image_pixels=pixels_max)
        except httpx.HTTPStatusError as error:
            if self.zone.image.get("s3_url") is not None and error.response.status_code == 403:
                message = f"The address of the image of {self} has expired: retrieve it again."
                raise NotImplementedError(message) from error
            raise

    def _size(
        self, max_width: int | None, max_height: int | None, *, keep_ratio: bool, whole: bool
    ) -> str:
        """Return the size to ask a server for; nothing is asked to be larger than it is."""
        asked = self.zone.image if whole else polygon_bounding_box(self.zone.polygon)
        fits_across = max_width is None or asked.width <= max_width
        fits_down = max_height is None or asked.height <= max_height
        if fits_across and fits_down:
            return "full"
        size = f"{max_width or ''},{max_height or ''}"
        return f"!{size}" if keep_ratio and max_width and max_height else size


def _limited(
    image: Pillow.Image, max_width: int | None, max_height: int | None, *, keep_ratio: bool
) -> Pillow.Image:
    """Shrink an image to the limits as a server would have."""
    across = (max_width or image.width) / image.width
    down = (max_height or image.height) / image.height
    if across >= 1 and down >= 1:
        return image
    if max_width is None or max_height is None or keep_ratio:
        across = down = min(across, down)
    return image.resize((max(1, round(image.width * across)), max(1, round(image.height * down))))


def _magic(value: Any) -> Any:
    if isinstance(value, MagicDict):
        return value
    if isinstance(value, dict):
        return MagicDict(value)
    if isinstance(value, list):
        return [_magic(item) for item in value]
    return value

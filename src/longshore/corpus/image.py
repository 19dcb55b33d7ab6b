"""Images: downloading with retries, opening, turning, shrinking, and putting tiles together."""

from __future__ import annotations

import base64
import functools
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import IO, Any, Final

import httpx
import stamina
from PIL import Image

from longshore.corpus.checks import check
from longshore.corpus.polygons import (
    BoundingBox,
    ImageHolder,
    polygon_bounding_box,
    revert_orientation,
    trim_polygon,
)
from longshore.settings import image_pixels_max
from longshore.wire.connecting import is_loopback

__all__ = [
    "BoundingBox",
    "download_image",
    "download_tiles",
    "open_image",
    "oriented",
    "polygon_bounding_box",
    "resized_images",
    "revert_orientation",
    "trim_polygon",
    "upload_image",
]

logger = logging.getLogger("longshore.corpus")

CONNECT_TIMEOUT_S: Final = 30.0
READ_TIMEOUT_S: Final = 60.0
ATTEMPTS_MAX: Final = 3
FIRST_PAUSE_S: Final = 2.0
RETRIED_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

IIIF_URL: Final = re.compile(r"\w+://.+/.+/.+/.+/(?P<size>.+)/!?\d+/\w+\.\w+")
"""An address of the IIIF Image API: .../{region}/{size}/{rotation}/{quality}.{format}."""

RATIOS: Final = (1.0, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3)
FINE_RATIOS: Final = tuple(step / 20 for step in range(20, 0, -1))
"""1.00, 0.95, ... 0.05; used where a limit is set for the short or the long side."""

_pixel_limit = threading.RLock()


def open_image(
    path: str,
    mode: str | None = "RGB",
    rotation_angle: int | None = 0,
    mirrored: bool | None = False,
    max_image_pixels: str | int | None = None,
) -> Image.Image:
    """Open an image from a file or an address. `Element.open_image` is the better way to an element.

    Args:
        path: a file, or an http(s) address.
        mode: of Pillow; None leaves the image as it is.
        rotation_angle: degrees to turn the image clockwise. Corners that come free are black
            unless it is a multiple of 90.
        mirrored: swap left and right, before turning.
        max_image_pixels: limit of Pillow against images that would fill the memory; 0 means none.
            Default: the environment variable ARKINDEX_MAX_IMAGE_PIXELS, or Pillow's own.

    Raises:
        AssertionError: it is neither a file nor an address.
        httpx.HTTPError: the download failed.
        PIL.UnidentifiedImageError: this is no image.
    """
    if path.startswith(("http://", "https://")) or not Path(path).exists():
        image = download_image(path, max_image_pixels)
    else:
        with pixels_limited(max_image_pixels):
            image = Image.open(path)
    return oriented(image, mode, rotation_angle, mirrored)


def oriented(
    image: Image.Image,
    mode: str | None = "RGB",
    rotation_angle: int | None = 0,
    mirrored: bool | None = False,
) -> Image.Image:
    """Convert an image to a mode, mirror it and turn it clockwise, in that order."""
    if mode and image.mode != mode:
        image = image.convert(mode)
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rotation_angle:
        image = image.rotate(-rotation_angle, expand=True)
    return image


def download_image(url: str, max_image_pixels: str | int | None = None) -> Image.Image:
    """Download an image; where a IIIF server refuses it in full size, the greatest it allows.

    Raises:
        AssertionError: the address is not http(s).
        httpx.HTTPError: no attempt of three succeeded.
    """
    check(url.startswith("http"), f"an image is a file that exists or an http(s) address: {url}")
    try:
        response = retried_request("GET", url)
    except httpx.HTTPStatusError as error:
        found = IIIF_URL.match(url)
        if not error.response.is_client_error or found is None or found["size"] != "full":
            raise
        response = retried_request(
            "GET", f"{url[: found.start('size')]}max{url[found.end('size') :]}"
        )
    with pixels_limited(max_image_pixels):
        image = Image.open(BytesIO(response.content))
    width, height = image.size
    logger.info("Downloaded image %s - size=%dx%d", url, width, height)
    return image


def upload_image(image: Image.Image, url: str) -> httpx.Response:
    """Send an image as JPEG with PUT to an address and return the answer.

    Raises:
        AssertionError: the address is not http(s).
        httpx.HTTPError: no attempt of three succeeded.
    """
    check(url.startswith("http"), f"an image can only be sent to an http(s) address, not {url}")
    data = BytesIO()
    image.save(data, format="jpeg")
    response = retried_request("PUT", url, content=data.getvalue())
    logger.info("Uploaded image to %s", url)
    return response


def download_tiles(url: str, max_image_pixels: str | int | None = None) -> Image.Image:
    """Put an image together from the tiles of a IIIF server that cannot send it in one piece.

    Raises:
        AssertionError: the server's info.json has no dimensions or no tiles.
        ValueError: a tile is smaller than it must be.
        PIL.Image.DecompressionBombError: the image has more pixels than twice Pillow's limit.
        httpx.HTTPError: a tile cannot be downloaded.
    """
    url = url.rstrip("/") + "/"
    info = retried_request("GET", f"{url}info.json").json()
    width, height = info.get("width"), info.get("height")
    check(width and height, f"{url}info.json does not say how large the image is")
    check(info.get("tiles"), f"{url} sends no image of this size, and offers no tiles")
    tile = max(info["tiles"], key=lambda offered: offered.get("width", 0))
    tile_width, tile_height = tile["width"], tile.get("height", tile["width"])
    # An id without @ is version 3 of the IIIF Image API, where the full size is called max.
    size = "max" if "id" in info else "full"
    with pixels_limited(max_image_pixels):
        _refuse_bomb(width * height)
    whole = Image.new("RGB", (width, height))
    for across in range(ceil(width / tile_width)):
        for down in range(ceil(height / tile_height)):
            x, y = across * tile_width, down * tile_height
            box = BoundingBox(x, y, min(tile_width, width - x), min(tile_height, height - y))
            region = f"{x},{y},{box.width},{box.height}"
            response = retried_request("GET", f"{url}{region}/{size}/0/default.jpg")
            whole.paste(_tile(Image.open(BytesIO(response.content)), box), (x, y))
    return whole


def _refuse_bomb(pixels: int) -> None:
    """Hold what is put together to the limit that Pillow sets for what is opened."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and pixels > 2 * limit:
        raise Image.DecompressionBombError(
            f"The image has {pixels} pixels and may have {2 * limit}; "
            "raise max_image_pixels where its source can be trusted."
        )


def _tile(image: Image.Image, box: BoundingBox) -> Image.Image:
    """Return a tile in its exact size: some servers send a few pixels more."""
    width, height = image.size
    if width < box.width or height < box.height:
        raise ValueError(
            f"The tile at {box.x},{box.y} must have {box.width}x{box.height} pixels, "
            f"and has only {width}x{height}."
        )
    if width == box.width and height == box.height:
        return image
    logger.warning(
        "Cropping the tile at %s,%s from %dx%d to %sx%s",
        *(box.x, box.y, width, height, box.width, box.height),
    )
    return image.crop((0, 0, int(box.width), int(box.height)))


def resized_images(
    *args: Any,
    element: ImageHolder,
    max_pixels: int | None = None,
    max_bytes: int | None = None,
    max_pixels_short: int | None = None,
    max_pixels_long: int | None = None,
    use_base64: bool = False,
    **kwargs: Any,
) -> Iterator[IO[bytes] | str]:
    """Open an element's image in ever smaller sizes that keep to limits, the largest first.

    For services that refuse large images: take the next one until it is accepted.

    Args:
        args: passed to `Element.open_image_tempfile`.
        element: whose image it is.
        max_pixels: most pixels along the longer side.
        max_bytes: most bytes of the file, or of its base64 text.
        max_pixels_short: most pixels along the shorter side.
        max_pixels_long: most pixels along the longer side, in finer steps than `max_pixels`.
        use_base64: give base64 text instead of files.
        kwargs: passed to `Element.open_image_tempfile`.

    Yields:
        Temporary files, each open only until the next is asked for; or base64 text.
    """
    box = polygon_bounding_box(element.polygon)
    logger.info("The element's image has %s x %s pixels.", box.width, box.height)
    if max_pixels_short or max_pixels_long:
        argument, sizes = _sizes_by_side(box, max_pixels_short, max_pixels_long)
    else:
        argument, sizes = _sizes(box, max_pixels)
    for size in sizes:
        with element.open_image_tempfile(*args, **{**kwargs, argument: size}) as file:  # type: ignore[attr-defined]
            found: IO[bytes] | str = file
            if use_base64:
                found = base64.b64encode(Path(file.name).read_bytes()).decode()
            size_bytes = len(found) if isinstance(found, str) else Path(file.name).stat().st_size
            if max_bytes and size_bytes > max_bytes:
                logger.warning(
                    "The image of %s %d has %d bytes and may have %d; trying a smaller one.",
                    *(argument, size, size_bytes, max_bytes),
                )
                continue
            yield found


def _sizes(box: BoundingBox, max_pixels: int | None) -> tuple[str, list[int]]:
    longer = max(box.width, box.height)
    argument = "max_width" if box.width > box.height else "max_height"
    sizes = {min(round(ratio * longer), max_pixels or round(longer)) for ratio in RATIOS}
    return argument, sorted(sizes, reverse=True)


def _sizes_by_side(
    box: BoundingBox, short: int | None, longer: int | None
) -> tuple[str, list[int]]:
    """Choose the side that must shrink more; the other then keeps its limit by itself."""
    limits = (short, longer) if box.width <= box.height else (longer, short)
    sides = [
        (side / limit, argument, limit)
        for side, limit, argument in zip(
            (box.width, box.height), limits, ("max_width", "max_height"), strict=True
        )
        if limit and limit < side
    ]
    if sides:
        _, argument, largest = max(sides)
    else:
        argument = "max_height" if box.width <= box.height else "max_width"
        largest = round(max(box.width, box.height))
    return argument, sorted({round(ratio * largest) for ratio in FINE_RATIOS}, reverse=True)


@contextmanager
def pixels_limited(pixels_max: str | int | None = None) -> Iterator[None]:
    """Change Pillow's limit on pixels for a block; it is looked at when an image is opened.

    Args:
        pixels_max: the limit, 0 for none; None takes ARKINDEX_MAX_IMAGE_PIXELS, where that is set.
    """
    wanted = image_pixels_max() if pixels_max is None else int(pixels_max)
    if wanted is None:
        yield
        return
    if wanted == 0:
        logger.warning("Images of any size are opened: make sure that you trust their source.")
    with _pixel_limit:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = wanted or None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def retried_request(
    method: str, url: str, *, body: Callable[[], Iterator[bytes]] | None = None, **options: Any
) -> httpx.Response:
    """Send a request, up to three times where another attempt may help, and return its answer.

    Args:
        method: of HTTP.
        url: the address.
        body: gives the bytes to send, anew for each attempt.
        options: passed to httpx.

    Raises:
        httpx.HTTPStatusError: the server refused it, or failed at each attempt.
        httpx.HTTPError: there was no connection, or no answer in time.
    """
    for attempt in stamina.retry_context(
        on=_may_help,
        attempts=ATTEMPTS_MAX,
        timeout=None,
        wait_initial=FIRST_PAUSE_S,
        wait_max=4 * FIRST_PAUSE_S,
    ):
        with attempt:
            if body is not None:
                options["content"] = body()
            response = _client(os.getpid(), is_loopback(url)).request(method, url, **options)
            response.raise_for_status()
            return response
    raise AssertionError("stamina ends with an answer or an error")


def _may_help(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in RETRIED_STATUSES
    return isinstance(error, httpx.TransportError)


@functools.cache
def _client(process_id: int, local: bool) -> httpx.Client:
    """Return the connections of this process; those of its parent must not be shared."""
    del process_id
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    return httpx.Client(timeout=timeout, follow_redirects=True, trust_env=not local)

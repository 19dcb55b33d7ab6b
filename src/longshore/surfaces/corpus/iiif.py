"""Requests of the IIIF Image API, versions 2.1 and 3.0, level 2: read, and set against an image.

Facts are from https://iiif.io/api/image/2.1/ and https://iiif.io/api/image/3.0/. An address is
{image}/{region}/{size}/{rotation}/{quality}.{format}. What it wants is done in this order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from longshore import limits
from longshore.errors import InvalidRequest, Unsupported

MEDIA_TYPES: Final = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "jp2": "image/jp2",
}
"""By the ending of a file."""
VERSIONS: Final = ("2", "3")
FORMATS: Final = ("jpg", "png", "webp")
QUALITIES: Final = ("default", "color", "gray", "bitonal")
TILE_PIXELS: Final = 1_024
LEVEL_2: Final = "http://iiif.io/api/image/2/level2.json"
LEVEL_3: Final = "http://iiif.io/api/image/3/level2.json"
CONTEXTS: Final = {
    "2": "http://iiif.io/api/image/2/context.json",
    "3": "http://iiif.io/api/image/3/context.json",
}
_OTHER_FORMATS: Final = ("tif", "gif", "jp2", "pdf")
_NUMBER: Final = r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
_PIXELS: Final = re.compile(r"([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9}),([0-9]{1,9})")
_PERCENT: Final = re.compile(rf"pct:{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}")
_SIDES: Final = re.compile(r"(!?)([0-9]{0,9}),([0-9]{0,9})")
_SCALE: Final = re.compile(rf"pct:{_NUMBER}")
_ROTATION: Final = re.compile(rf"(!?){_NUMBER}")
_FILE: Final = re.compile(r"([a-z]{1,20})\.([a-z0-9]{1,8})")


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is wanted of an image.

    Attributes:
        box: left, upper, right and lower edge of the region, in pixels of the image.
        whole: whether the region is all of the image.
        size: width and height that the region is scaled to, in pixels.
        mirrored: whether it is mirrored at its vertical axis, before it is turned.
        rotation: 0, 90, 180 or 270 degrees clockwise.
        quality: one of QUALITIES.
        format: one of FORMATS.
    """

    box: tuple[int, int, int, int]
    whole: bool
    size: tuple[int, int]
    mirrored: bool
    rotation: int
    quality: str
    format: str

    @property
    def untouched(self) -> bool:
        """Whether it is the whole image, as it is."""
        as_it_is = self.size == (self.box[2] - self.box[0], self.box[3] - self.box[1])
        upright = not self.mirrored and self.rotation == 0
        return self.whole and as_it_is and upright and self.quality == "default"

    @property
    def canonical(self) -> str:
        """What it is, in words that are the same however it was asked for."""
        region = ",".join(map(str, self.box))
        turned = f"{'!' * self.mirrored}{self.rotation}"
        return f"{region}/{self.size[0]},{self.size[1]}/{turned}/{self.quality}.{self.format}"


def rendering(
    version: str,
    image_size: tuple[int, int],
    *,
    region: str,
    size: str,
    rotation: str,
    file: str,
) -> Rendering:
    """Return what the parts of an address want of an image with that width and height.

    Raises:
        InvalidRequest: a part cannot be read, is outside of the image, or wants too many pixels.
        Unsupported: a part is one that the API has and this server does not do.
    """
    box = _box(region, image_size)
    mirrored, degrees = _turn(rotation)
    quality, form = _file(file)
    scaled = _size(version, size, (box[2] - box[0], box[3] - box[1]))
    if scaled[0] * scaled[1] > limits.IMAGE_PIXELS or max(scaled) > limits.IMAGE_SIDE_PIXELS:
        raise InvalidRequest(
            f"The size {size} gives {scaled[0]} by {scaled[1]} pixels; at most "
            f"{limits.IMAGE_PIXELS} are served, and {limits.IMAGE_SIDE_PIXELS} on a side."
        )
    whole = box == (0, 0, *image_size)
    return Rendering(box, whole, scaled, mirrored, degrees, quality, form)


def information(version: str, address: str, width: int, height: int) -> dict[str, Any]:
    """Return the document info.json of an image at an address."""
    if version == "2":
        supports = [
            "regionByPx", "regionByPct", "regionSquare", "sizeByW", "sizeByH", "sizeByPct",
            "sizeByWh", "sizeByForcedWh", "sizeByConfinedWh", "sizeByDistortedWh", "sizeAboveFull",
            "rotationBy90s", "mirroring", "baseUriRedirect", "cors", "jsonldMediaType",
            "profileLinkHeader",
        ]  # fmt: skip
        options = {
            "formats": list(FORMATS),
            "qualities": list(QUALITIES),
            "supports": supports,
            "maxArea": limits.IMAGE_PIXELS,
        }
        own: dict[str, Any] = {"@id": address, "profile": [LEVEL_2, options]}
    else:
        own = {
            "id": address,
            "type": "ImageService3",
            "profile": "level2",
            "maxArea": limits.IMAGE_PIXELS,
            "extraFormats": ["webp"],
            "extraQualities": list(QUALITIES[1:]),
            "extraFeatures": ["mirroring", "sizeUpscaling", "profileLinkHeader"],
        }
    return {
        "@context": CONTEXTS[version],
        "protocol": "http://iiif.io/api/image",
        **own,
        "width": width,
        "height": height,
        "tiles": [{"width": TILE_PIXELS, "scaleFactors": _scale_factors(max(width, height))}],
    }


def _scale_factors(side: int) -> list[int]:
    factors = [1]
    while TILE_PIXELS * factors[-1] < side:
        factors.append(factors[-1] * 2)
    return factors


def _box(region: str, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = image_size
    if region == "full":
        return (0, 0, width, height)
    if region == "square":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        return (left, top, left + side, top + side)
    if found := _PIXELS.fullmatch(region):
        left, top, wide, high = (int(part) for part in found.groups())
    elif found := _PERCENT.fullmatch(region):
        x, y, w, h = (float(part) / 100 for part in found.groups())
        left, top, wide, high = (
            round(x * width), round(y * height), round(w * width), round(h * height),
        )  # fmt: skip
    else:
        raise InvalidRequest(
            f"The region {region[:80]!r} is none. Give full, square, x,y,w,h or pct:x,y,w,h."
        )
    right, bottom = min(left + wide, width), min(top + high, height)
    if right <= left or bottom <= top:
        raise InvalidRequest(
            f"The region {region} holds no pixel of the image, which has {width} by {height}."
        )
    return (left, top, right, bottom)


def _size(version: str, size: str, region: tuple[int, int]) -> tuple[int, int]:
    if size == "max" or (size == "full" and version == "2"):
        return region
    if version == "3" and size == "^max":
        raise Unsupported("The size ^max is not served. Give width and height, as in ^w,h.")
    # Version 2 scales up without being told to, version 3 only with the sign.
    upscale = version == "2" or size.startswith("^")
    found = _scaled(size.removeprefix("^") if version == "3" else size, region, upscale=upscale)
    if found is None or min(found) < 1:
        whole = "full, max" if version == "2" else "max"
        raise InvalidRequest(
            f"The size {size[:80]!r} is none. Give {whole}, w, or ,h or w,h or !w,h or pct:n."
        )
    if not upscale and (found[0] > region[0] or found[1] > region[1]):
        raise InvalidRequest(
            f"The size {size} is larger than the region of {region[0]} by {region[1]} pixels. To "
            "scale it up, put ^ before the size."
        )
    return found


def _scaled(size: str, region: tuple[int, int], *, upscale: bool) -> tuple[int, int] | None:
    if scale := _SCALE.fullmatch(size):
        factor = float(scale[1]) / 100
        return round(region[0] * factor), round(region[1] * factor)
    sides = _SIDES.fullmatch(size)
    if sides is None or not (sides[2] or sides[3]):
        return None
    fitted, width, height = bool(sides[1]), int(sides[2] or -1), int(sides[3] or -1)
    if 0 in (width, height) or (fitted and -1 in (width, height)):
        return None
    if fitted:
        factor = min(width / region[0], height / region[1])
        factor = factor if upscale else min(factor, 1.0)
        return max(round(region[0] * factor), 1), max(round(region[1] * factor), 1)
    # A side that follows from the other is at least one pixel, for the lines of thin pages.
    if height == -1:
        height = max(round(region[1] * width / region[0]), 1)
    elif width == -1:
        width = max(round(region[0] * height / region[1]), 1)
    return width, height


def _turn(rotation: str) -> tuple[bool, int]:
    found = _ROTATION.fullmatch(rotation)
    degrees = float(found[2]) if found else -1.0
    if found is None or degrees > 360:
        raise InvalidRequest(
            f"The rotation {rotation[:80]!r} is none. Give degrees clockwise, 0 to 360; with ! in "
            "front the image is mirrored first."
        )
    if degrees % 90:
        raise Unsupported(f"Images are turned by 0, 90, 180 or 270 degrees, not by {found[2]}.")
    return bool(found[1]), int(degrees) % 360


def _file(file: str) -> tuple[str, str]:
    found = _FILE.fullmatch(file)
    if found is None or found[1] not in QUALITIES:
        raise InvalidRequest(
            f"The image ends in {file[:80]!r}. Give quality and format, as in default.jpg; the "
            f"quality is one of {', '.join(QUALITIES)}."
        )
    if found[2] in _OTHER_FORMATS:
        raise Unsupported(
            f"Images are not served as {found[2]}. Ask for one of {', '.join(FORMATS)}."
        )
    if found[2] not in FORMATS:
        raise InvalidRequest(
            f"{found[2]} is no format of images. Ask for one of {', '.join(FORMATS)}."
        )
    return found[1], found[2]

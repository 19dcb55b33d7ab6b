"""Pictures as bytes and as pixels: what a file holds, told before it is decoded, and its parts.

A small file can hold an image that fills the memory. So its head is read first, and what it says
of width, height and depth is held against the limits before one pixel is unpacked.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base

from longshore import limits
from longshore.errors import CorruptData, InvalidRequest, TooLarge
from longshore.surfaces.corpus.iiif import Rendering

FORMATS: Final = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "TIFF": "tif",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "JPEG2000": "jp2",
}
"""What is taken, by the name that Pillow has for it, and the ending of such a file."""
_PILLOW_NAMES: Final = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}
_BITS: Final = {"1": 1, "L": 8, "P": 8, "LA": 16, "PA": 16, "I;16": 16, "RGB": 24, "YCbCr": 24}
_WIDE: Final = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Modes of gray scans with 16 bits; Pillow has some of them as 32 bits."""
_TURNED: Final = frozenset({5, 6, 7, 8})
"""EXIF orientations in which width and height change places."""
_WEBP_SIDE_PIXELS: Final = 16_383
_OPENED: Final = [name for name in FORMATS if name != "MPO"]
"""What is looked for in a file; the JPEG files of some cameras turn out to be MPO."""
_BOMB_WORDS: Final = ("Decompressed data too large", "Too much memory used in text chunks")
"""What Pillow says, in an error of no class of its own, of packed texts that grow too large."""

# All kinds of files have to be known before some are chosen.
Image.init()
# Pillow guards itself by this, too, wherever a file says how large it is.
Image.MAX_IMAGE_PIXELS = limits.IMAGE_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Small faults in what accompanies the pixels, such as the time of a photograph, are no matter.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Picture:
    """What the head of an image file says.

    Attributes:
        format: the ending of such a file, such as "jpg".
        width: in pixels, once it is turned as its EXIF orientation wants.
        height: likewise.
        plain: whether the file can be sent for the whole image as JPEG, as it is.
    """

    format: str
    width: int
    height: int
    plain: bool


def inspect(data: bytes) -> Picture:
    """Return what a file of an image holds, and find out that all of it can be decoded.

    Raises:
        InvalidRequest: it is no image of a known format, or damaged.
        TooLarge: it has more pixels than allowed, or far more than its size lets expect.
    """
    with _opened(data) as image:
        _refuse_bomb(image, len(data))
        orientation = _orientation(image)
        width, height = image.size
        mode = image.mode
        # A JPEG file is read to its end for a thumbnail, too; the rest of the work is spared.
        image.draft(image.mode, (max(width // 8, 1), max(height // 8, 1)))
        image.load()
        form = FORMATS[image.format or ""]
    if orientation in _TURNED:
        width, height = height, width
    plain = form == "jpg" and orientation == 1 and mode in ("RGB", "L")
    return Picture(form, width, height, plain)


def decode(data: bytes) -> Image.Image:
    """Return the image of a file: upright, in mode "1", "L", "RGB", "LA" or "RGBA".

    Raises:
        CorruptData: it cannot be decoded; files are inspected before they are stored.
    """
    try:
        with _opened(data) as image:
            _refuse_bomb(image, len(data))
            return _in_simple_mode(ImageOps.exif_transpose(image))
    except InvalidRequest as error:
        raise CorruptData(f"A stored image cannot be decoded. {error.message}") from error


def size_bytes(image: Image.Image) -> int:
    """Return how much memory an image takes; Pillow gives each colour pixel four bytes."""
    return image.width * image.height * (1 if image.mode in ("1", "L") else 4)


def render(image: Image.Image, wanted: Rendering) -> bytes:
    """Return the part of an image that is wanted, as a file.

    Raises:
        InvalidRequest: the format cannot hold an image of this size.
    """
    part = image if wanted.whole else image.crop(wanted.box)
    if part.size != wanted.size:
        # Single bits are averaged as grays.
        part = part.convert("L") if part.mode == "1" else part
        part = part.resize(wanted.size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if wanted.mirrored:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turn = _TURNS.get(wanted.rotation)
    if turn is not None:
        part = part.transpose(turn)
    return _encoded(_in_quality(part, wanted.quality), wanted.format)


# IIIF turns clockwise, Pillow against the clock.
_TURNS: Final = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(data), formats=_OPENED) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(
            f"The image has far more pixels than {limits.IMAGE_PIXELS}. Scale it down, or cut it.",
            details={"limit": limits.IMAGE_PIXELS},
        ) from error
    except UnidentifiedImageError as error:
        known = ", ".join(dict.fromkeys(FORMATS.values()))
        raise InvalidRequest(
            f"The file is no image of a known format ({known}). Convert it."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        # These are what the decoders of Pillow raise for files that are cut or damaged.
        if any(words in str(error) for words in _BOMB_WORDS):
            raise TooLarge(
                "What accompanies the pixels of the image, its texts or its colour profile, gets "
                "too large when it is unpacked. Save it without them."
            ) from error
        raise InvalidRequest(
            f"The image is damaged ({str(error)[:200]}). Save it again."
        ) from error


def _refuse_bomb(image: Image.Image, file_bytes: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise InvalidRequest(f"The image has {width} by {height} pixels. Send one with some.")
    pixels = width * height
    if pixels > limits.IMAGE_PIXELS or max(width, height) > limits.IMAGE_SIDE_PIXELS:
        raise TooLarge(
            f"The image has {width} by {height} pixels; at most {limits.IMAGE_PIXELS} are taken, "
            f"and {limits.IMAGE_SIDE_PIXELS} on a side. Scale it down, or cut it.",
            details={"limit": limits.IMAGE_PIXELS, "pixels": pixels},
        )
    ratio = math.ceil(pixels * _BITS.get(image.mode, 32) / 8 / file_bytes)
    if pixels > limits.IMAGE_RATIO_FREE_PIXELS and ratio > limits.IMAGE_RATIO:
        raise TooLarge(
            f"The image gets {ratio} times larger than its file when it is unpacked; at most "
            f"{limits.IMAGE_RATIO} times are taken. If it is a real scan, scale it down.",
            details={"limit": limits.IMAGE_RATIO, "ratio": ratio},
        )


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(Base.Orientation, 1)
    return found if isinstance(found, int) and found in range(2, 9) else 1


def _in_simple_mode(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode in ("1", "L", "RGB", "LA", "RGBA"):
        # A copy lets go of the file.
        return image.copy()
    if image.mode in _WIDE:
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "F":
        return image.convert("L")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert("RGB")


def _in_quality(image: Image.Image, quality: str) -> Image.Image:
    if quality == "default":
        return image
    if quality == "color":
        return image if image.mode in ("RGB", "RGBA") else image.convert(_with_alpha(image, "RGB"))
    if quality == "gray":
        return image if image.mode in ("L", "LA") else image.convert(_with_alpha(image, "L"))
    return _on_white(image).convert("1")


def _with_alpha(image: Image.Image, mode: str) -> str:
    return f"{mode}A" if image.mode in ("LA", "RGBA") else mode


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB" if image.mode == "RGBA" else "L")


def _encoded(image: Image.Image, form: str) -> bytes:
    if form == "webp" and max(image.size) > _WEBP_SIDE_PIXELS:
        raise InvalidRequest(
            f"A WebP image has at most {_WEBP_SIDE_PIXELS} pixels on a side, and this would have "
            f"{image.width} by {image.height}. Ask for jpg or png, or for a smaller size."
        )
    out = io.BytesIO()
    if form == "jpg":
        flat = _on_white(image)
        flat = flat.convert("L") if flat.mode == "1" else flat
        flat.save(out, _PILLOW_NAMES[form], quality=90)
    elif form == "webp":
        image.convert(_with_alpha(image, "RGB")).save(out, _PILLOW_NAMES[form], quality=90)
    else:
        image.save(out, _PILLOW_NAMES[form], compress_level=4)
    return out.getvalue()

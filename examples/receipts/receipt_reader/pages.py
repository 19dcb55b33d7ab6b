"""A file in, upright RGB images out: pictures by Pillow, PDF pages by pypdfium2."""

from __future__ import annotations

import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pypdfium2  # type: ignore[import-untyped]
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from longshore import Reject

PAGES_MAX = 20
"""More pages than this in one file do not end within the time limit of the app."""

PIXELS_MAX = 50_000_000
"""A phone's photograph has 12 to 48 million pixels; what is larger is a mistake or an attack."""

PDF_DOTS_PER_INCH = 200
ACCEPTED = "a JPEG, PNG, TIFF, WebP, BMP, GIF or JPEG 2000 image, or a PDF"
_FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
_POINTS_PER_INCH = 72

# PDFium keeps state of its own per process and must not be entered by two threads.
_PDFIUM = threading.Lock()

_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"II*\x00", b"MM\x00*", b"GIF8")

# What files begin with that people send by mistake; the first that fits names the file.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"{\\rtf", "a rich text document"),
    (b"<svg", "an SVG drawing"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "XML text"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)


def load(path: Path, name: str, password: str | None = None) -> list[Image.Image]:
    """Return the pages of the file as upright RGB images.

    Args:
        path: where the file lies.
        name: what the user calls it, for the messages.
        password: what a PDF is opened with.

    Raises:
        Reject: the file is empty, is neither an image nor a PDF, is damaged or protected, has
            more than `PAGES_MAX` pages, or a page has more than `PIXELS_MAX` pixels.
    """
    with path.open("rb") as stream:
        head = stream.read(1024)
    if not head:
        raise Reject(f"{name!r} is empty. Upload it again, as {ACCEPTED}.")
    if b"%PDF-" in head:
        return _pdf_pages(path, name, password)
    return _picture_pages(path, name, head)


def _picture_pages(path: Path, name: str, head: bytes) -> list[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Damaged metadata is no reason to refuse a picture that can be read.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            Image.init()  # or formats beyond the most common are not known by their names
            picture = Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        if head.startswith(_PICTURES):
            raise Reject(_damaged(name, "its header is incomplete")) from None
        raise Reject(
            f"{name!r} is not a picture of a receipt: it looks like {_describe(head)}. "
            f"Send {ACCEPTED}."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Reject(_too_large(name, "far too many")) from None
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise Reject(_damaged(name, error)) from error
    with picture:
        return _frames(picture, name)


def _frames(picture: Image.Image, name: str) -> list[Image.Image]:
    """Only a TIFF is a stack of pages; the frames of others are an animation or thumbnails."""
    count = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
    _check_page_count(count, name)
    pages = []
    try:
        for frame in ImageSequence.Iterator(picture):
            _check_pixels(frame.width * frame.height, name)
            pages.append(_upright(frame))
            if len(pages) == count:
                break
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise Reject(_damaged(name, error)) from error
    return pages


def _upright(frame: Image.Image) -> Image.Image:
    """Apply the camera's note on how it was held, and give it three channels of eight bits."""
    frame.load()
    upright = ImageOps.exif_transpose(frame)
    if upright.mode.startswith(("I", "F")):
        return _eight_bits(upright)
    if upright.has_transparency_data:
        paper = Image.new("RGBA", upright.size, "white")
        paper.alpha_composite(upright.convert("RGBA"))
        return paper.convert("RGB")
    return upright.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale sixteen or more bits per pixel to eight; cutting them off would make all white."""
    pixels = np.asarray(image, dtype=np.float64)
    lowest, highest = float(pixels.min()), float(pixels.max())
    scaled = (pixels - lowest) * (255.0 / max(highest - lowest, 1.0))
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


def _pdf_pages(path: Path, name: str, password: str | None) -> list[Image.Image]:
    with _PDFIUM:
        try:
            document = pypdfium2.PdfDocument(path, password=password)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower():
                wrong = "another password" if password else "a password"
                raise Reject(
                    f"{name!r} is a PDF that asks for {wrong}. Start a run with its password in "
                    "settings.runtime_config.instabase.pdf.passwords, or save the file without one."
                ) from error
            raise Reject(_damaged(name, error)) from error
        try:
            count = len(document)
            _check_page_count(count, name)
            return [_render(document, index, name) for index in range(count)]
        except pypdfium2.PdfiumError as error:
            raise Reject(_damaged(name, error)) from error
        finally:
            document.close()


def _render(document: pypdfium2.PdfDocument, index: int, name: str) -> Image.Image:
    page = document[index]
    width, height = page.get_size()
    scale = PDF_DOTS_PER_INCH / _POINTS_PER_INCH
    _check_pixels(int(width * scale) * int(height * scale), name)
    bitmap = page.render(scale=scale)
    try:
        image: Image.Image = bitmap.to_pil()
        return image.convert("RGB")
    finally:
        bitmap.close()
        page.close()


def _check_page_count(count: int, name: str) -> None:
    if count == 0:
        raise Reject(f"{name!r} has no pages. Check the file and upload it again.")
    if count > PAGES_MAX:
        raise Reject(
            f"{name!r} has {count} pages; at most {PAGES_MAX} are read from one file. Split it."
        )


def _check_pixels(count: int, name: str) -> None:
    if count > PIXELS_MAX:
        raise Reject(_too_large(name, f"{count / 1e6:.0f} million"))


def _too_large(name: str, pixels: str) -> str:
    return (
        f"{name!r} has {pixels} pixels on a page; at most {PIXELS_MAX / 1e6:.0f} million are "
        "read. Scan it at a lower resolution, or send a smaller copy."
    )


def _damaged(name: str, error: Exception | str) -> str:
    return (
        f"{name!r} is damaged or cut short and cannot be opened ({error}). "
        "Check that it opens on your side, then upload it again."
    )


def _describe(head: bytes) -> str:
    """Say what a file that is no picture seems to be, from its first bytes."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, description in _SIGNATURES:
        if start[: len(signature)].lower() == signature.lower():
            return description
    if head[4:8] == b"ftyp":
        brand = head[8:12].decode("ascii", "replace")
        if brand in {"heic", "heix", "mif1", "msf1", "hevc"}:
            return "a HEIC picture, which has to be converted to JPEG first"
        return f"a video or another media file ({brand})"
    try:
        text = head[:-3].decode() if len(head) == 1024 else head.decode()
    except UnicodeDecodeError:
        return f"binary data of an unknown kind (it begins with {head[:8].hex(' ')})"
    if "\x00" in text:
        return f"binary data of an unknown kind (it begins with {head[:8].hex(' ')})"
    return "plain text"

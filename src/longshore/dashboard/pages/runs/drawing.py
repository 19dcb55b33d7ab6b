"""Draws a page of a file that somebody uploaded: `python -m ... PAGE`, the file on standard input.

Standard output begins with a line of JSON, `{"error": null or text, "missing": bool}`; the JPEG
picture follows. It runs in a process of its own: see `picturing`.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from typing import TYPE_CHECKING, Final

from longshore import limits
from longshore.errors import CorruptData, InvalidRequest, LongshoreError

if TYPE_CHECKING:
    from PIL import Image

SIDE_PIXELS: Final = 1_800
"""Longest side of a picture."""
_QUALITY: Final = 82
_MISSING: Final = (
    "Pictures of pages are drawn by Pillow and pypdfium2, of which {name} is not installed beside "
    "the server. Run pip install 'longshore[ocr]' there."
)


def draw(data: bytes, number: int) -> bytes:
    """Return a page, from 0, as a JPEG picture.

    Raises:
        InvalidRequest: there is no such page, or the file is nothing that can be drawn.
        TooLarge: it has too many pixels.
        CorruptData: it is damaged.
        ModuleNotFoundError: what draws is not installed.
    """
    image = _of_pdf(data, number) if b"%PDF-" in data[:1024] else _of_picture(data, number)
    image = _on_white(image)
    image.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    written = io.BytesIO()
    image.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _of_pdf(data: bytes, number: int) -> Image.Image:
    import pypdfium2  # type: ignore[import-untyped] # noqa: PLC0415 - only with its extra

    try:
        document = pypdfium2.PdfDocument(data)
        if number >= len(document):
            raise InvalidRequest(f"The file has {len(document)} pages; there is none {number + 1}.")
        page = document[number]
        scale = SIDE_PIXELS / max(*page.get_size(), 1.0)
        image: Image.Image = page.render(scale=scale).to_pil()
    except pypdfium2.PdfiumError as error:
        protected = "password" in str(error).lower()
        why = "asks for a password, which is not kept" if protected else f"is damaged ({error})"
        raise InvalidRequest(f"The PDF {why}, so that its pages cannot be drawn.") from error
    return image


def _of_picture(data: bytes, number: int) -> Image.Image:
    from longshore.surfaces.corpus import pixels  # noqa: PLC0415 - only with its extra

    if number:
        raise InvalidRequest("Only the first page of a picture is drawn. Download the file.")
    try:
        return pixels.decode(data)
    except CorruptData as error:
        raise InvalidRequest(f"No picture can be drawn of this file: {error.message}") from error


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image as Pillow  # noqa: PLC0415 - only with its extra

    if image.mode in ("LA", "RGBA"):
        ground = Pillow.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    return image.convert("RGB")


def main() -> None:
    """Draw what comes, and say how it went."""
    _bound(resource.RLIMIT_AS, limits.DRAWING_BYTES)
    _bound(resource.RLIMIT_CPU, int(limits.DRAWING_S))
    told: dict[str, object] = {"error": None, "missing": False}
    picture = b""
    try:
        picture = draw(sys.stdin.buffer.read(), int(sys.argv[1]))
    except ModuleNotFoundError as error:
        told = {"error": _MISSING.format(name=error.name), "missing": True}
    except LongshoreError as error:
        told = {"error": error.message, "missing": False}
    except MemoryError:
        told = {"error": "The page takes too much memory to be drawn.", "missing": False}
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + picture)


def _bound(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))


if __name__ == "__main__":
    main()

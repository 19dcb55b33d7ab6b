"""The PDF that a run may ask for beside its results (protocol: generate_post_process_pdf)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_PDF_MARK = b"%PDF-"
_MARK_WITHIN_BYTES = 1024


def make_pdf(source: Path, directory: Path, note: Callable[[str], None]) -> Path | None:
    """Return the input as a PDF file: itself if it is one, else its images as pages.

    When that is not possible the result goes without a PDF, and `note` says why.
    """
    with source.open("rb") as file:
        if _PDF_MARK in file.read(_MARK_WITHIN_BYTES):
            return source
    try:
        # Pillow is an optional dependency; apps that read images have it.
        from PIL import Image, ImageSequence, UnidentifiedImageError  # noqa: PLC0415
    except ModuleNotFoundError:
        note("No PDF was made: that needs Pillow. Install it where the worker runs.")
        return None
    target = directory / "post_processed.pdf"
    try:
        with Image.open(source) as image:
            pages = [page.convert("RGB") for page in ImageSequence.Iterator(image)]
        pages[0].save(target, format="PDF", save_all=True, append_images=pages[1:])
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        note(f"No PDF was made: the file is neither a PDF nor a readable image ({error}).")
        return None
    return target

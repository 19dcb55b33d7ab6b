"""PDF files: each page becomes an image, drawn by PDFium."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from longshore import limits
from longshore.corpus.formats.pages import Failure, ImageBytes, Page
from longshore.errors import ConfigurationError, InvalidRequest, TooLarge

DPI: Final = 200
_POINTS_PER_INCH: Final = 72


def read(path: Path, folders: tuple[str, ...], *, dpi: int = DPI) -> Iterator[Page | Failure]:
    """Give a page for each page of a file, in a folder of the file's name.

    Args:
        path: the file.
        folders: the folders that it lies in.
        dpi: pixels per inch of the images.

    Raises:
        InvalidRequest: it is no PDF file, is damaged, or needs a password.
        ConfigurationError: the library for it is not installed.
    """
    count = len(_opened(path))
    for number in range(count):
        source = f"{path}, page {number + 1}"
        image = ImageBytes(
            f"{path.stem}-{number + 1}.png", lambda index=number: _draw(path, index, dpi)
        )  # type: ignore[misc]
        yield Page(source, str(number + 1), (*folders, path.stem), image)


def _opened(path: Path) -> Any:
    try:
        import pypdfium2  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "To read PDF files, install the extra: pip install 'longshore[corpus]'."
        ) from error
    try:
        return pypdfium2.PdfDocument(path)
    except (pypdfium2.PdfiumError, OSError) as error:
        raise InvalidRequest(f"The PDF file cannot be opened: {error}.") from error


def _draw(path: Path, index: int, dpi: int) -> bytes:
    document = _opened(path)
    try:
        page = document[index]
        scale = dpi / _POINTS_PER_INCH
        width, height = page.get_size()
        if width * scale * height * scale > limits.IMAGE_PIXELS:
            raise TooLarge(
                f"At {dpi} dpi the page has more than {limits.IMAGE_PIXELS} pixels. Give fewer by "
                "--dpi."
            )
        # Pages are mostly text on white, which PNG keeps sharp and small.
        image = page.render(scale=scale).to_pil().convert("RGB")
    finally:
        document.close()
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=4)
    return out.getvalue()

"""PDF files: each page becomes an image, drawn by PDFium."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from longshore import limits
from longshore.corpus.formats.pages import ImageBytes, Page
from longshore.errors import ConfigurationError, InvalidRequest, TooLarge

DPI: Final = 200
_POINTS_PER_INCH: Final = 72
# PDFium works for one thread at a time.
_PDFIUM: Final = threading.Lock()


def read(path: Path, folders: tuple[str, ...], *, dpi: int = DPI) -> Iterator[Page]:
    """Give a page for each page of a file, in a folder of the file's name.

    Args:
        path: the file.
        folders: the folders that it lies in.
        dpi: pixels per inch of the images.

    Raises:
        InvalidRequest: it is no PDF file, is damaged, or needs a password.
        ConfigurationError: the library for it is not installed.
    """
    document = _Document(path)
    for index in range(document.pages):
        image = ImageBytes(f"{path.stem}-{index + 1}.png", partial(document.draw, index, dpi))
        yield Page(f"{path}, page {index + 1}", str(index + 1), (*folders, path.stem), image)


class _Document:
    def __init__(self, path: Path) -> None:
        try:
            import pypdfium2  # type: ignore[import-untyped]  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "To read PDF files, install the extra: pip install 'longshore[corpus]'."
            ) from error
        self._failure: Any = pypdfium2.PdfiumError
        with _PDFIUM:
            try:
                self._document = pypdfium2.PdfDocument(path)
                self.pages = len(self._document)
            except (pypdfium2.PdfiumError, OSError) as error:
                raise InvalidRequest(f"The PDF file cannot be opened: {error}.") from error

    def draw(self, index: int, dpi: int) -> bytes:
        """Return a page as a PNG file; pages are mostly text on white, which it keeps sharp."""
        scale = dpi / _POINTS_PER_INCH
        with _PDFIUM:
            try:
                page = self._document[index]
                width, height = page.get_size()
                if width * height * scale**2 > limits.IMAGE_PIXELS:
                    raise TooLarge(
                        f"At {dpi} dpi the page has more than {limits.IMAGE_PIXELS} pixels. Give "
                        "fewer by --dpi."
                    )
                image = page.render(scale=scale).to_pil().convert("RGB")
            except self._failure as error:
                raise InvalidRequest(f"The page cannot be drawn: {error}.") from error
        out = io.BytesIO()
        image.save(out, "PNG", compress_level=4)
        return out.getvalue()

"""Where the receipts app and the receipts of the demo come from."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from longshore.errors import ConfigurationError, InvalidRequest

APP_NAME: Final = "Meal Receipt"
OWNER: Final = "Instabase"
IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".pdf"}
)
_OCR_MODULES: Final = ("rapidocr", "onnxruntime", "PIL", "pypdfium2")


def find_app() -> Path:
    """Return the file of the receipts app: inside an installed package, or in a clone.

    Raises:
        ConfigurationError: it is in neither place.
    """
    packaged = Path(__file__).parent / "receipts_app" / "receipts.py"
    cloned = Path(__file__).parents[4] / "examples" / "receipts" / "receipts.py"
    for path in (packaged, cloned):
        if path.is_file():
            return path
    raise ConfigurationError(
        f"The receipts app is missing: neither {packaged} nor {cloned} is there. Install Longshore "
        "again, or run the demo in a clone of the project."
    )


def expect_ocr() -> None:
    """Refuse to go on without what reads images.

    Raises:
        ConfigurationError: a package of the extra [ocr] is not installed.
    """
    missing = missing_ocr()
    if missing:
        raise ConfigurationError(
            f"Receipts are read with OCR, and this is not installed: {', '.join(missing)}. Install it "
            "with pip install 'longshore[ocr]' (in a clone: pip install '.[ocr]'), or leave the "
            "folder out: without one, receipts are text files, which need nothing more."
        )


def missing_ocr() -> list[str]:
    """Return which of the packages that read images are not installed."""
    return [name for name in _OCR_MODULES if importlib.util.find_spec(name) is None]


def images_in(folder: Path) -> list[Path]:
    """Return the images and PDFs directly in a folder, by name.

    Raises:
        InvalidRequest: there are none.
    """
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.casefold() in IMAGE_SUFFIXES
    )
    if not found:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise InvalidRequest(
            f"{folder} holds no image or PDF ({kinds}). Give a folder that does, or none, and "
            "receipts are drawn."
        )
    return found

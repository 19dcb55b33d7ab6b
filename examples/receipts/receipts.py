"""An app that reads receipts: merchant, date, total and more from pictures and PDFs.

Start it with `longshore up --app examples/receipts/receipts.py`, after installing the extra:
`pip install 'longshore[ocr]'`. Everything runs on this machine: the models come with the
packages and nothing is sent anywhere.
"""

from __future__ import annotations

import longshore


@longshore.setup
def load_models() -> None:
    """Build the recognizer before the first file, so that no file pays for it."""
    # Imported here because a worker imports this module to learn what it offers, at once.
    from receipt_reader import recognition  # noqa: PLC0415

    recognition.recognizer()


# Each death of a worker costs the files in its hands an attempt, through no fault of theirs.
@longshore.app(
    "Meal Receipt",
    owner="Instabase",
    version="1.0.0",
    timeout_s=120,
    attempts_max=5,
    review_below=0.6,
)
def meal_receipt(file: longshore.InputFile) -> list[longshore.Document]:
    """Read merchant, date, total and more from a picture or PDF of one or several receipts."""
    from receipt_reader import extraction, pages, recognition  # noqa: PLC0415 - as above

    recognizer = recognition.recognizer()
    sheets = [
        extraction.Sheet(
            longshore.Page(number, image.width, image.height), recognizer.read(image, number)
        )
        for number, image in enumerate(pages.load(file.path, file.name, file.password))
    ]
    return extraction.documents(sheets)

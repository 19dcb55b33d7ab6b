"""The app of the demos."""

from __future__ import annotations

import longshore
from longshore.cli.demo.code.receipts_reading import read


@longshore.app(
    "Demo receipts",
    owner="demo",
    version="1.0.0",
    timeout_s=600,
    attempts_max=5,
    review_below=0.6,
)
def demo_receipts(file: longshore.InputFile) -> list[longshore.Document]:
    """Read merchant, date, total and more from a receipt with a layer of text."""
    return read(file)

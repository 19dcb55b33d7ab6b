"""An older version of the app of the demos, for the run that goes on for a while."""

from __future__ import annotations

import longshore
from longshore.cli.demo.code.receipts_reading import read


@longshore.app("Demo receipts", owner="demo", version="0.9.0", timeout_s=600, attempts_max=5)
def demo_receipts(file: longshore.InputFile) -> list[longshore.Document]:
    """Read the same, as it was done before: slowly."""
    return read(file)

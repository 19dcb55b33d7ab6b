"""What the pages of runs share."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

RUNS: Final = "/ui/runs"
REVIEWS: Final = "/ui/reviews"


def run_address(run_id: str) -> str:
    """Return the address of a run's page."""
    return f"{RUNS}/{quote(run_id, safe='')}"


def document_address(run_id: str, name: str) -> str:
    """Return the address of a document's page."""
    return f"{run_address(run_id)}/documents/{quote(name, safe='')}"

"""Numbers in the addresses of pages, bounded by what the database can hold."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query

LAST: Final = 2**63 - 1
"""The largest number that a column holds; a larger one would be an error of the database."""
Number = Annotated[int, Query(ge=0, le=LAST)]
OptionalNumber = Annotated[int | None, Query(ge=0, le=LAST)]
NumberInPath = Annotated[int, Path(ge=0, le=LAST)]

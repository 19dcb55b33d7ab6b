"""Text lines in CSV: x1,y1,x2,y2,x3,y3,x4,y4,text, in pixels, as receipts of SROIE have them.

The text may hold commas without quotes, so a line is cut at its first eight only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from longshore.corpus.formats import xml
from longshore.corpus.formats.pages import Kind, Zone, read_file
from longshore.errors import InvalidRequest

CSV_BYTES: Final = 16 * 1024 * 1024
_NUMBERS: Final = 8


def read(path: Path) -> tuple[Zone, ...]:
    """Return the lines of a file.

    Raises:
        InvalidRequest: a line does not have eight numbers; the message has its number.
        TooLarge: it has more than `CSV_BYTES`.
    """
    data = read_file(path, CSV_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # What older tools on Windows write; each of its bytes is a character.
        text = data.decode("cp1252", errors="replace")
    zones = []
    for index, row in enumerate(text.splitlines(), 1):
        if not row.strip():
            continue
        parts = row.split(",", _NUMBERS)
        if len(parts) <= _NUMBERS:
            raise InvalidRequest(
                f"{path.name}, line {index}: give x1,y1,x2,y2,x3,y3,x4,y4,text, not {row[:80]!r}."
            )
        places = [
            xml.number(part.strip(), f"{path.name}, line {index}: {part[:20]!r}")
            for part in parts[:_NUMBERS]
        ]
        polygon = tuple(zip(places[::2], places[1::2], strict=True))
        zones.append(Zone(Kind.LINE, polygon, str(index), parts[_NUMBERS].strip() or None))
    return tuple(zones)

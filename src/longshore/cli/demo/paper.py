"""Receipts whose text can be had without OCR: as text files, or as pictures with a layer of text."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from longshore.cli.demo import sales
from longshore.cli.demo.sales import Cell, PrintedRow

if TYPE_CHECKING:
    from PIL import ImageFont

COLUMNS: Final = 46
"""Characters across a receipt that is a text file."""
LAYER: Final = "longshore-text"
"""Name of the text chunk of a PNG file that holds the layer."""
SMUDGE: Final = "~"
"""What stands in place of a letter that cannot be read."""
_SIZE: Final = 20
_WIDTH: Final = 520
_MARGIN: Final = 30
_LEADING: Final = 1.4


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was made, and what a reader should find on it.

    Attributes:
        name: name of the file.
        content: its bytes.
        total: what was to be paid, such as "30.90".
        smudged: whether something on it cannot be read.
    """

    name: str
    content: bytes
    total: str
    smudged: bool


def as_text(count: int, *, seed: int = 0, smudged: int = 4) -> list[Receipt]:
    """Write receipts as text files; the last `smudged` of them are hard to read."""
    made = []
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")  # noqa: S311 - varied, not secret
        _, printed = sales.invent(rng, index)
        dirty = index >= count - smudged
        rows = [_smudge(row, rng) if dirty else row for row in printed.rows]
        text = "\n".join(_line(row) for row in rows) + "\n"
        name = f"receipt-{index + 1:02}.txt"
        made.append(Receipt(name, text.encode(), f"{printed.total:.2f}", dirty))
    return made


def as_pictures(count: int, *, seed: int = 0, smudged: int = 4) -> list[Receipt]:
    """Draw receipts as PNG files with a layer of text; needs Pillow."""
    made = []
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")  # noqa: S311 - varied, not secret
        _, printed = sales.invent(rng, index)
        dirty = index >= count - smudged
        rows = [_smudge(row, rng) if dirty else row for row in printed.rows]
        name = f"receipt-{index + 1:02}.png"
        made.append(Receipt(name, _draw(rows), f"{printed.total:.2f}", dirty))
    return made


def written(receipts: list[Receipt], folder: Path) -> list[Path]:
    """Write receipts into a folder, which is made, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for receipt in receipts:
        path = folder / receipt.name
        path.write_bytes(receipt.content)
        paths.append(path)
    return paths


def _smudge(row: PrintedRow, rng: random.Random) -> PrintedRow:
    """Make some of the letters of every second row unreadable."""
    if not row.cells or rng.random() > 0.5:
        return row
    cells = tuple(
        Cell(
            "".join(SMUDGE if rng.random() < 0.3 else letter for letter in cell.text),
            cell.x,
            cell.anchor,
        )
        for cell in row.cells
    )
    return PrintedRow(cells, row.size, row.bold, row.rule)


def _line(row: PrintedRow) -> str:
    if row.rule:
        return "-" * COLUMNS
    line = ""
    for cell in row.cells:
        place = cell.x * COLUMNS
        shift = {"left": 0.0, "middle": len(cell.text) / 2, "right": len(cell.text)}[cell.anchor]
        start = max(round(place - shift), len(line) + 2 if line else 0)
        line = line.ljust(start) + cell.text
    return line


def _draw(rows: list[PrintedRow]) -> bytes:
    from io import BytesIO

    from PIL import Image, ImageDraw, ImageFont
    from PIL.PngImagePlugin import PngInfo

    step = round(_SIZE * _LEADING)
    picture = Image.new("L", (_WIDTH, len(rows) * step + 2 * _MARGIN), 250)
    draw = ImageDraw.Draw(picture)
    layer: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        top = _MARGIN + number * step
        if row.rule:
            draw.line((_MARGIN, top + step // 2, _WIDTH - _MARGIN, top + step // 2), fill=90)
        for cell in row.cells:
            face = ImageFont.load_default(_SIZE)
            left = _left(cell, face)
            draw.text((left, top), cell.text.replace(SMUDGE, " "), fill=30, font=face)
            box = draw.textbbox((left, top), cell.text, font=face)
            for place in (at for at, letter in enumerate(cell.text) if letter == SMUDGE):
                x = left + place * (box[2] - box[0]) / len(cell.text)
                draw.ellipse((x, top + 4, x + 14, top + 20), fill=120)
            layer.append({"text": cell.text, "box": [round(edge, 1) for edge in box]})
    info = PngInfo()
    page = {"width": picture.width, "height": picture.height, "pieces": layer}
    info.add_text(LAYER, json.dumps(page))
    file = BytesIO()
    picture.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def _left(cell: Cell, face: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> float:
    length = face.getlength(cell.text)
    shift = {"left": 0.0, "middle": length / 2, "right": length}[cell.anchor]
    return max(_MARGIN + cell.x * (_WIDTH - 2 * _MARGIN) - shift, 4.0)

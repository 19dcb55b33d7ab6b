"""Pictures of invented receipts as a phone or a scanner would take them: varied and imperfect.

Needs Pillow, which the extra `ocr` brings; import this module only where that is installed.
Everything follows from the seed, with the fonts that the machine has: one comes with Pillow.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont, ImageOps

from longshore.cli.demo import sales
from longshore.cli.demo.sales import Cell, PrintedRow

_SYSTEM_FONTS = (
    "DejaVuSansMono.ttf",
    "DejaVuSans.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansCondensed.ttf",
)
_EXIF_ORIENTATION = 0x0112
_ON_ITS_SIDE = 6
"""EXIF's word for a camera that was held upright: the viewer has to turn the picture."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class MadeReceipt:
    """A picture that was made and what a reader should find on it.

    Attributes:
        path: where the picture lies.
        merchant: the name at its head, as printed.
        date: the day of the sale, YYYY-MM-DD, whatever form is printed.
        total: what was to be paid, such as "30.90".
    """

    path: Path
    merchant: str
    date: str
    total: str


def make_receipts(directory: Path, count: int, *, seed: int = 0) -> list[MadeReceipt]:
    """Draw `count` receipts into `directory`, which is made if need be.

    Every sixth, beginning with the fourth, is a PDF; one in six lies on its side with a note in
    the file of how it was held; the others are JPEG and PNG.

    Raises:
        OSError: the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")  # noqa: S311 - varied, not secret
        sale, printed = sales.invent(rng, index)
        picture = _photograph(_print(printed.rows, rng), rng)
        path = _save(picture, directory / f"receipt-{index + 1:02}", index, rng)
        made.append(MadeReceipt(path, sale.merchant, sale.day.isoformat(), f"{printed.total:.2f}"))
    return made


def _print(rows: tuple[PrintedRow, ...], rng: random.Random) -> Image.Image:
    """Put the rows on a strip of white paper with black ink, in grey levels."""
    name = rng.choice(_available_fonts())
    size = rng.randint(19, 24)
    width = rng.randint(500, 600)
    margin = rng.randint(28, 44)
    leading = rng.uniform(1.25, 1.5)
    heights = [round(size * row.size * leading * (0.6 if not row.cells else 1.0)) for row in rows]
    paper = Image.new("L", (width, sum(heights) + 2 * margin + rng.randint(0, 60)), 255)
    draw = ImageDraw.Draw(paper)
    top = margin
    for row, height in zip(rows, heights, strict=True):
        if row.rule:
            _rule(draw, margin, width - margin, top + height // 2)
        for cell in row.cells:
            _write(draw, cell, row, (margin, width - margin, top), (name, size))
        top += height
    return paper


def _write(
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    row: PrintedRow,
    place: tuple[int, int, int],
    font: tuple[str, int],
) -> None:
    left, right, top = place
    name, usual_size = font
    size = round(usual_size * row.size)
    face = _font(name, size)
    # A long name is set smaller, as a till does that has only so many columns.
    while face.getlength(cell.text) > right - left and size > 10:
        size -= 1
        face = _font(name, size)
    length = face.getlength(cell.text)
    shift = {"left": 0.0, "middle": length / 2, "right": length}[cell.anchor]
    x = left + cell.x * (right - left) - shift
    draw.text((x, top), cell.text, fill=0, font=face, stroke_width=0.5 if row.bold else 0)


def _rule(draw: ImageDraw.ImageDraw, left: int, right: int, y: int) -> None:
    for x in range(left, right, 12):
        draw.line((x, y, min(x + 7, right), y), fill=0, width=1)


def _photograph(paper: Image.Image, rng: random.Random) -> Image.Image:
    """Do to the paper what pockets, light and lenses do; the text stays readable for a person."""
    paper = _weakened(paper, rng)
    if rng.random() < 0.6:
        paper = _crumpled(paper, rng)
    paper = ImageChops.multiply(paper, _light(paper.size, rng))
    table = rng.randint(60, 150)
    border = rng.randint(15, 60)
    framed = ImageOps.expand(paper, border, fill=table)
    turned = framed.rotate(
        rng.uniform(-2.0, 2.0), Image.Resampling.BICUBIC, expand=True, fillcolor=table
    )
    blurred = turned.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.8)))
    noisy = _noisy(blurred, rng, strength=rng.uniform(0.02, 0.1))
    tint = rng.choice((("#000000", "#ffffff"), ("#101828", "#fbf7ee"), ("#1c1c3a", "#f4f6ff")))
    return ImageOps.colorize(noisy, *tint)


def _weakened(paper: Image.Image, rng: random.Random) -> Image.Image:
    """Give the ink its grey, paler towards one edge as thermal paper fades, and the paper its."""
    ink, white = rng.randint(15, 95), rng.randint(222, 250)
    fade = Image.linear_gradient("L").resize(paper.size)
    if rng.random() < 0.5:
        fade = ImageOps.flip(fade)
    pale = rng.randint(0, 60)
    ink_grey = fade.point([ink + level * pale // 255 for level in range(256)])
    return Image.composite(Image.new("L", paper.size, white), ink_grey, paper)


def _crumpled(paper: Image.Image, rng: random.Random) -> Image.Image:
    """Bend the paper by a few pixels and leave two or three creases on it."""
    width, height = paper.size
    columns, rows = 4, 8
    bend = rng.uniform(1.0, 3.0)
    points = {
        (column, row): (
            width * column / columns + rng.uniform(-bend, bend),
            height * row / rows + rng.uniform(-bend, bend),
        )
        for column in range(columns + 1)
        for row in range(rows + 1)
    }
    mesh = []
    for column in range(columns):
        for row in range(rows):
            box = (
                width * column // columns,
                height * row // rows,
                width * (column + 1) // columns,
                height * (row + 1) // rows,
            )
            corners = ((column, row), (column, row + 1), (column + 1, row + 1), (column + 1, row))
            mesh.append((box, tuple(value for corner in corners for value in points[corner])))
    bent = paper.transform(paper.size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)
    return ImageChops.multiply(bent, _creases(paper.size, rng))


def _creases(size: tuple[int, int], rng: random.Random) -> Image.Image:
    width, height = size
    creases = Image.new("L", size, 255)
    draw = ImageDraw.Draw(creases)
    for _ in range(rng.randint(1, 3)):
        start = (0, rng.randrange(height))
        end = (width, start[1] + rng.randint(-height // 5, height // 5))
        draw.line((*start, *end), fill=rng.randint(150, 205), width=rng.randint(2, 6))
    return creases.filter(ImageFilter.GaussianBlur(3))


def _light(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Light that falls off to one side, and sometimes the soft shadow of a hand."""
    darkest = rng.randint(165, 235)
    gradient = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
    light = gradient.resize(size).point(
        [darkest + level * (255 - darkest) // 255 for level in range(256)]
    )
    if rng.random() < 0.4:
        shadow = Image.new("L", size, 255)
        x, y = rng.randrange(size[0]), rng.randrange(size[1])
        reach = rng.randint(120, 260)
        ImageDraw.Draw(shadow).ellipse((x - reach, y - reach, x + reach, y + reach), fill=190)
        light = ImageChops.multiply(light, shadow.filter(ImageFilter.GaussianBlur(60)))
    return light


def _noisy(picture: Image.Image, rng: random.Random, strength: float) -> Image.Image:
    # Not Image.effect_noise: that draws from a generator which takes no seed.
    grain = Image.frombytes("L", picture.size, rng.randbytes(picture.width * picture.height))
    return Image.blend(picture, grain, strength)


def _save(picture: Image.Image, stem: Path, index: int, rng: random.Random) -> Path:
    if index % 6 == 3:
        path = stem.with_suffix(".pdf")
        # Without these the time of day would be in the file, and no two runs alike.
        epoch = time.gmtime(0)
        picture.save(path, resolution=150, creationDate=epoch, modDate=epoch)
    elif index % 6 == 5:
        path = stem.with_suffix(".jpg")
        exif = Image.Exif()
        exif[_EXIF_ORIENTATION] = _ON_ITS_SIDE
        picture.transpose(Image.Transpose.ROTATE_90).save(path, quality=85, exif=exif)
    elif index % 6 == 1:
        path = stem.with_suffix(".png")
        picture.save(path)
    else:
        path = stem.with_suffix(".jpg")
        picture.save(path, quality=rng.randint(60, 90))
    return path


def _available_fonts() -> list[str]:
    """Names of fonts to draw with; the empty name is the one that comes with Pillow."""
    return ["", *(name for name in _SYSTEM_FONTS if _is_present(name))]


def _is_present(name: str) -> bool:
    try:
        ImageFont.truetype(name, 12)
    except OSError:
        return False
    return True


def _font(name: str, size: int) -> _Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)

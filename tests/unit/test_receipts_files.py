"""What the receipts app opens and what it refuses, and how pieces of text become rows."""

from __future__ import annotations

import io
import math
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from longshore import Reject
from longshore.cli.demo.images import make_receipts
from tests.unit.receipts_support import APP, layout, pages, piece


def _picture(size: tuple[int, int] = (300, 200)) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).line((0, 0, *size), fill="black", width=5)
    return picture


def _load(path: Path, content: bytes) -> list[Image.Image]:
    path.write_bytes(content)
    return pages.load(path, "lunch.jpg")


def _encoded(picture: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def _huge_png() -> bytes:
    """A PNG of 10^10 pixels in a hundred bytes: opening it in full would take 30 GB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("receipt.jpg", b"")
    return stream.getvalue()


_JPEG = _encoded(Image.effect_mandelbrot((400, 300), (-2, -1, 1, 1), 50).convert("RGB"), "JPEG")
_PDF = _encoded(_picture(), "PDF")
REFUSED = {
    "an empty file": (b"", "is empty"),
    "plain text": (b"TOTAL 30.90\n" * 200, "looks like plain text"),
    "an archive": (_archive(), "looks like a ZIP archive or an Office document"),
    "a web page": (b"\n<!doctype html><html></html>", "looks like a web page"),
    "a phone's HEIC": (
        b"\0\0\0\x18ftypheic" + bytes(64),
        "HEIC picture, which has to be converted",
    ),
    "noise": (random.Random(1).randbytes(4096), "binary data of an unknown kind"),
    "a truncated JPEG": (_JPEG[: len(_JPEG) // 2], "damaged or cut short"),
    "a JPEG of the first bytes only": (_JPEG[:20], "damaged or cut short"),
    "a broken PNG": (_encoded(_picture(), "PNG")[:60], "damaged or cut short"),
    "a truncated PDF": (_PDF[:300], "damaged or cut short"),
    "a pixel bomb": (_huge_png(), "pixels on a page; at most 50 million are read"),
    "more pixels than are read": (
        _encoded(Image.new("1", (8000, 7000)), "PNG"),
        "has 56 million pixels on a page",
    ),
    "too many pages": (
        _encoded(_picture((20, 20)), "PDF", save_all=True, append_images=[_picture((20, 20))] * 20),
        "has 21 pages; at most 20 are read",
    ),
    "too many pages of a TIFF": (
        _encoded(
            _picture((20, 20)), "TIFF", save_all=True, append_images=[_picture((20, 20))] * 20
        ),
        "has 21 pages; at most 20 are read",
    ),
    "a PDF page as large as a house": (
        _encoded(_picture((20, 20)), "PDF", resolution=0.1),
        "pixels on a page; at most 50 million",
    ),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(Reject, match=why) as caught:
        _load(tmp_path / "file", content)
    assert "'lunch.jpg'" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PDF"])
def test_it_opens(form: str, tmp_path: Path) -> None:
    [page] = _load(
        tmp_path / "file",
        _encoded(_picture(), form, **({"resolution": 200} if form == "PDF" else {})),
    )
    assert page.mode == "RGB"
    assert page.size == (300, 200)


def test_each_page_of_a_pdf_is_a_page(tmp_path: Path) -> None:
    content = _encoded(_picture(), "PDF", save_all=True, append_images=[_picture((200, 300))])
    first, second = _load(tmp_path / "file", content)
    assert first.width > first.height
    assert second.width < second.height


def test_each_page_of_a_tiff_is_a_page_and_of_a_gif_only_the_first(tmp_path: Path) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (300, 200), "grey")]}
    assert len(_load(tmp_path / "file", _encoded(_picture(), "TIFF", **more))) == 2
    assert len(_load(tmp_path / "file", _encoded(_picture(), "GIF", **more))) == 1


def test_a_note_of_how_the_camera_was_held_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    [page] = _load(tmp_path / "file", _encoded(_picture(), "JPEG", exif=exif))
    assert page.size == (200, 300)


def test_what_is_transparent_is_paper_and_sixteen_bits_are_not_all_white(tmp_path: Path) -> None:
    [page] = _load(tmp_path / "file", _encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), "PNG"))
    assert page.getpixel((4, 4)) == (255, 255, 255)
    deep = Image.new("I;16", (2, 1))
    deep.putpixel((0, 0), 1000)
    deep.putpixel((1, 0), 60000)
    [page] = _load(tmp_path / "file", _encoded(deep, "PNG"))
    assert (page.getpixel((0, 0)), page.getpixel((1, 0))) == ((0, 0, 0), (255, 255, 255))


def _turned(pieces: list[layout.Piece], angle: float) -> list[layout.Piece]:
    sine, cosine = math.sin(angle), math.cos(angle)
    turned = []
    for one in pieces:
        first, second, third, fourth = (
            (x * cosine - y * sine, x * sine + y * cosine) for x, y in one.corners
        )
        turned.append(layout.Piece(one.text, one.confidence, (first, second, third, fourth)))
    return turned


@pytest.mark.parametrize("degrees", [0, 3, -4, 12, 90, -90, 180, 177, -178])
def test_rows_are_found_at_any_angle(degrees: int) -> None:
    pieces = [
        piece("BLUE HERON COFFEE", 100, 0),
        piece("Flat White", 0, 36),
        piece("4.50", 420, 36),
        piece("Total", 0, 72),
        piece("RM", 350, 72),
        piece("4.50", 420, 72),
    ]
    shuffled = random.Random(3).sample(_turned(pieces, math.radians(degrees)), len(pieces))
    assert [row.text for row in layout.rows(shuffled)] == [
        "BLUE HERON COFFEE",
        "Flat White  4.50",
        "Total  RM  4.50",
    ]


def test_rows_follow_paper_that_is_curved() -> None:
    words = [(x, 14 * math.sin(x / 150)) for x in range(0, 600, 100)]
    pieces = [piece("word", x, base + y) for base in (0, 34) for x, y in words]
    assert [len(row.pieces) for row in layout.rows(pieces)] == [6, 6]


def test_no_text_makes_no_rows() -> None:
    assert layout.rows([]) == []


def test_full_width_signs_become_plain_ones() -> None:
    assert layout.plain("\uff33.\uff28.\uff08M\uff09 \uff1a\uff15") == "S.H.(M) :5"


def test_registering_the_app_loads_no_model() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(APP)!r}); import receipts; "
        "print([name for name in ('rapidocr', 'onnxruntime', 'numpy', 'PIL') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_same_seed_draws_the_same_receipts(tmp_path: Path) -> None:
    first = make_receipts(tmp_path / "a", count=4, seed=5)
    again = make_receipts(tmp_path / "b", count=4, seed=5)
    other = make_receipts(tmp_path / "c", count=1, seed=6)
    assert [made.path.read_bytes() for made in first] == [made.path.read_bytes() for made in again]
    assert first[0].path.read_bytes() != other[0].path.read_bytes()
    assert [made.path.suffix for made in first] == [".jpg", ".png", ".jpg", ".pdf"]

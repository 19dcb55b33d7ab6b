"""Pages of users' files are drawn as JPEG, or it is said why not; nothing else comes out."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from longshore import ids, limits
from longshore.dashboard.pages.runs.drawing import SIDE_PIXELS, draw
from longshore.dashboard.pages.runs.picturing import Pictures
from longshore.engine.artifacts import Artifact
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage.blobs import Blobs, open_blobs


def saved(image: Image.Image, form: str) -> bytes:
    written = io.BytesIO()
    image.save(written, form)
    return written.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "PDF"])
def test_images_and_pdfs_become_jpeg_of_bounded_size(form: str) -> None:
    drawn = Image.open(io.BytesIO(draw(saved(Image.new("RGB", (3_000, 1_500), "red"), form), 0)))
    assert drawn.format == "JPEG"
    assert drawn.size == (SIDE_PIXELS, SIDE_PIXELS // 2)


def test_what_shines_through_is_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    drawn = Image.open(io.BytesIO(draw(saved(clear, "PNG"), 0)))
    pixel = drawn.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert min(pixel) > 250


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "No picture can be drawn"),
        (b"<html></html>", "No picture can be drawn"),
        (b"", "No picture can be drawn"),
        (b"\x89PNG\r\n\x1a\ncut", "No picture can be drawn"),
        (b"%PDF-1.7 cut", "damaged"),
    ],
)
def test_other_files_are_not_drawn(data: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        draw(data, 0)


def test_a_page_that_is_not_there_is_not_drawn() -> None:
    image = Image.new("RGB", (10, 10))
    with pytest.raises(InvalidRequest, match="1 pages"):
        draw(saved(image, "PDF"), 1)
    with pytest.raises(InvalidRequest, match="first page"):
        draw(saved(image, "PNG"), 1)


def test_a_small_file_with_a_huge_image_is_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 99)
    with pytest.raises((InvalidRequest, TooLarge), match="at most 99"):
        draw(saved(Image.new("1", (10, 10)), "PNG"), 0)


async def stored(blobs: Blobs, data: bytes) -> Artifact:
    async def once() -> AsyncIterator[bytes]:
        yield data

    blob_id = ids.new(ids.BLOB)
    kept = await blobs.put(blob_id, once(), limit_bytes=10**6)
    return Artifact(blob_id, kept.size_bytes, kept.sha256, "application/octet-stream")


async def test_a_process_of_its_own_draws_and_the_picture_is_kept(tmp_path: Path) -> None:
    blobs = open_blobs(str(tmp_path / "blobs"))
    blob = await stored(blobs, saved(Image.new("L", (8, 6)), "PNG"))
    pictures = Pictures()
    drawn = await pictures.page(blobs, blob, 0)
    assert Image.open(io.BytesIO(drawn)).size == (8, 6)
    await blobs.delete(blob.id)
    assert await pictures.page(blobs, blob, 0) == drawn


async def test_what_cannot_be_drawn_is_told_and_large_files_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = open_blobs(str(tmp_path / "blobs"))
    blob = await stored(blobs, b"<svg onload=alert(1)>")
    with pytest.raises(InvalidRequest, match="No picture can be drawn"):
        await Pictures().page(blobs, blob, 0)
    monkeypatch.setattr(limits, "DRAWN_FILE_BYTES", 5)
    with pytest.raises(InvalidRequest, match="up to 5 are drawn"):
        await Pictures().page(blobs, blob, 0)


async def test_what_draws_inherits_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "tells"
    told.write_text("#!/bin/sh\nprintf '{\"error\": null}\\n'\nexec /usr/bin/env\n")
    told.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(told))
    monkeypatch.setenv("LONGSHORE_DATABASE_URL", "postgresql://user:secret@host/name")
    blobs = open_blobs(str(tmp_path / "blobs"))
    environment = (await Pictures().page(blobs, await stored(blobs, b"x"), 0)).decode()
    assert "LONGSHORE_" not in environment
    assert "secret" not in environment

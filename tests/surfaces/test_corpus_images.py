"""Images of corpora: taken in once, refused when they are bombs, told of to their organisation."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from longshore import ids, limits
from longshore.access import Role
from longshore.clock import ManualClock
from longshore.engine.tables import artifacts
from longshore.storage import Database
from longshore.surfaces.corpus import images, pixels
from longshore.surfaces.corpus.image_jobs import UnusedImages
from longshore.surfaces.corpus.tables import corpus_images
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.images_rig import drawn, file_of, opened, upload
from tests.unit.serving import bearer


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


def stored(corpora: Corpora) -> tuple[int, int]:
    """Count images, and blobs that are not given up."""

    def count(connection: Any) -> tuple[int, int]:
        kept = select(func.count()).where(artifacts.c.state != "doomed")
        return (
            connection.scalar(select(func.count()).select_from(corpus_images)),
            connection.scalar(kept),
        )

    return corpora.database.read_blocking(count)


def png(width: int, height: int, rows: int = 1) -> bytes:
    """Return a PNG file whose head says these sides, and that holds so many rows of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    packer = zlib.compressobj(9)
    line = bytes(width + 1)
    content = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    head = chunk(b"IHDR", sides + bytes([8, 0, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", content) + chunk(b"IEND", b"")


async def test_an_image_is_told_of_and_read_back_at_its_address(corpora: Corpora) -> None:
    data = file_of(drawn(), "PNG")

    made = await upload(corpora, data, "page 1.png")

    assert (made["width"], made["height"], made["name"]) == (200, 100, "page 1.png")
    assert made["size"] == len(data)
    assert made["sha256"] == hashlib.sha256(data).hexdigest()
    assert made["server"]["max_width"] is None
    assert await corpora.call("GET", f"/image/{made['id']}/") == made
    answer = await corpora.client.get(
        f"{made['url']}/full/full/0/default.png", headers={"Authorization": ""}
    )
    assert answer.status_code == 200
    assert opened(answer.content).tobytes() == drawn().tobytes()


async def test_the_same_bytes_are_one_image_and_one_blob(corpora: Corpora) -> None:
    data = file_of(drawn(), "PNG")
    first = await upload(corpora, data)

    again = await upload(corpora, data, "other name.png", expect=200)

    assert again == first
    assert stored(corpora) == (1, 1)


async def test_two_organisations_have_an_image_each(corpora: Corpora) -> None:
    data = file_of(drawn(), "PNG")
    mine = await upload(corpora, data)
    _, token = corpora.served.other_organisation()

    theirs = await corpora.call(
        "POST",
        "/longshore/v1/corpus/images",
        expect=201,
        params={"name": "scan"},
        content=data,
        headers=bearer(token),
    )

    assert theirs["id"] != mine["id"]
    assert stored(corpora) == (2, 2)


async def test_an_image_of_another_organisation_does_not_exist(corpora: Corpora) -> None:
    mine = await upload(corpora, file_of(drawn()))
    _, token = corpora.served.other_organisation()

    theirs = await corpora.call("GET", f"/image/{mine['id']}/", expect=404, headers=bearer(token))
    nobody = ids.uuid()
    missing = await corpora.call("GET", f"/image/{nobody}/", expect=404)
    assert theirs["detail"].replace(mine["id"], nobody) == missing["detail"]
    await corpora.call("GET", "/image/1/", expect=404)


async def test_a_viewer_sees_images_and_brings_none(corpora: Corpora) -> None:
    mine = await upload(corpora, file_of(drawn()))
    headers = bearer(corpora.served.token(Role.VIEWER))

    await corpora.call("GET", f"/image/{mine['id']}/", headers=headers)
    await corpora.call(
        "POST",
        "/longshore/v1/corpus/images",
        expect=403,
        params={"name": "x"},
        content=file_of(drawn(10, 10)),
        headers=headers,
    )
    assert stored(corpora) == (1, 1)


@pytest.mark.parametrize(
    ("width", "height", "why"),
    [
        (60_000, 60_000, "pixels"),
        (limits.IMAGE_SIDE_PIXELS + 1, 1, "pixels"),
        (2**31 - 1, 2**31 - 1, "pixels"),
        (9_000, 9_000, "times larger"),
    ],
)
async def test_a_bomb_is_refused_before_it_is_stored(
    corpora: Corpora, width: int, height: int, why: str
) -> None:
    told = await upload(corpora, png(width, height), expect=413)

    assert why in told["detail"]
    assert stored(corpora) == (0, 0)


async def test_a_file_over_the_limit_is_refused_before_it_is_read(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IMAGE_BYTES", 1_000)

    await upload(corpora, bytes(1_001), expect=413)

    assert stored(corpora) == (0, 0)


async def test_an_even_page_of_a_usual_size_is_no_bomb(corpora: Corpora) -> None:
    blank = file_of(Image.new("1", (2_480, 3_508), 1), "PNG")

    made = await upload(corpora, blank)

    assert made["width"] * made["height"] * 3 > 100 * len(blank)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image at all",
        file_of(drawn(), "PNG")[:-40],
        file_of(drawn(), "JPEG")[:400],
        b"%PDF-1.4",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
async def test_what_is_no_whole_image_is_a_bad_request(corpora: Corpora, data: bytes) -> None:
    told = await upload(corpora, data, expect=400)

    assert told["code"] == "invalid_request"
    assert stored(corpora) == (0, 0)


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb"])
async def test_a_name_that_cannot_be_shown_is_refused(corpora: Corpora, name: str) -> None:
    await upload(corpora, file_of(drawn()), name, expect=400)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "1"), ("PNG", "P"), ("PNG", "LA"),
        ("PNG", "RGBA"), ("PNG", "I;16"), ("TIFF", "1"), ("TIFF", "I;16"), ("TIFF", "F"),
        ("WEBP", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("JPEG2000", "RGB"),
    ],
)  # fmt: skip
def test_scans_of_all_usual_kinds_are_read(form: str, mode: str) -> None:
    gray = Image.linear_gradient("L").resize((64, 64))
    if mode == "I;16":
        image = gray.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        image = gray.convert(mode)
    data = file_of(image, form)

    picture, decoded = pixels.inspect(data), pixels.decode(data)

    assert (picture.width, picture.height) == decoded.size == (64, 64)
    grays = decoded.convert("L").tobytes()
    assert grays[32] < 16
    assert grays[-32] > 239


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_an_image_lies_as_its_orientation_says(corpora: Corpora, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(drawn(), "PNG", exif=exif)

    made = await upload(corpora, data)

    upright = pixels.decode(data)
    turned = orientation > 4
    assert (made["width"], made["height"]) == ((100, 200) if turned else (200, 100))
    assert upright.size == (made["width"], made["height"])
    answer = await corpora.client.get(f"{made['url']}/full/max/0/default.png")
    assert opened(answer.content).tobytes() == upright.tobytes()


async def test_an_image_that_nothing_uses_is_forgotten_after_a_week(
    corpora: Corpora, clock: ManualClock
) -> None:
    used, unused, fresh = [
        await upload(corpora, file_of(drawn(size, size))) for size in (20, 30, 40)
    ]
    corpora.elements(corpora.corpus(), ["p"], image_id=used["id"])
    clock.advance(images.UNUSED_S + 1)
    await upload(corpora, file_of(drawn(40, 40)), expect=200)

    after, gone = corpora.database.write_blocking(images.forget_unused, "", looked_at=2)
    assert (after, gone) == (unused["id"], 1)
    forget = UnusedImages()
    assert corpora.database.write_blocking(images.forget_unused, after, looked_at=2) == ("", 0)
    assert corpora.database.write_blocking(forget) == {"unused": 0}

    await corpora.call("GET", f"/image/{unused['id']}/", expect=404)
    for kept in (used, fresh):
        await corpora.call("GET", f"/image/{kept['id']}/")
    assert stored(corpora) == (2, 2)

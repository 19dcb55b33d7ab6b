"""Images as the IIIF Image API serves them, read without a key."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from longshore import ids, limits
from longshore.clock import ManualClock
from longshore.storage import Database
from longshore.surfaces.corpus import pixels
from longshore.surfaces.corpus.rendering import Renderer
from tests.surfaces.corpus_rig import Corpora, corpora_of
from tests.surfaces.images_rig import BLUE, GREEN, RED, WHITE, drawn, file_of, near, opened, upload


@pytest.fixture
async def corpora(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Corpora]:
    async with corpora_of(database, clock, tmp_path) as made:
        yield made


@pytest.fixture
async def scan(corpora: Corpora) -> Any:
    """An image of 200 by 100 pixels with four quarters; told of as uploads are."""
    return await upload(corpora, file_of(drawn(), "PNG"))


async def get(corpora: Corpora, address: str, **headers: str) -> httpx.Response:
    """Ask without a key, as the published programs do."""
    corpora.client.headers.pop("Authorization", None)
    return await corpora.client.get(
        address, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the size of each file that is decoded."""
    sizes: list[int] = []
    real = pixels.decode

    def decode(data: bytes) -> Image.Image:
        sizes.append(len(data))
        return real(data)

    monkeypatch.setattr(pixels, "decode", decode)
    return sizes


async def test_a_region_is_scaled_mirrored_and_turned_in_this_order(
    corpora: Corpora, scan: Any
) -> None:
    # The right half, 100 by 100: green above, white below; mirrored it is the same.
    answer = await get(corpora, f"{scan['url']}/100,0,100,100/50,/!90/default.png")

    part = opened(answer.content)
    assert answer.headers["content-type"] == "image/png"
    assert part.size == (50, 50)
    # Clockwise: what was above is at the right.
    assert near(part.getpixel((40, 25)), GREEN)
    assert near(part.getpixel((10, 25)), WHITE)


@pytest.mark.parametrize(
    ("rotation", "corners"),
    [
        ("0", (RED, GREEN, BLUE, WHITE)),
        ("90", (BLUE, RED, WHITE, GREEN)),
        ("180", (WHITE, BLUE, GREEN, RED)),
        ("270", (GREEN, WHITE, RED, BLUE)),
        ("!0", (GREEN, RED, WHITE, BLUE)),
        ("!90", (WHITE, GREEN, BLUE, RED)),
    ],
)
async def test_images_turn_clockwise(
    corpora: Corpora, scan: Any, rotation: str, corners: tuple[Any, ...]
) -> None:
    answer = await get(corpora, f"{scan['url']}/full/max/{rotation}/default.jpg")

    turned = opened(answer.content)
    width, height = turned.size
    assert (width, height) == (
        (100, 200) if rotation.endswith("90") or rotation == "270" else (200, 100)
    )
    places = [(x, y) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    for place, colour in zip(places, corners, strict=True):
        assert near(turned.getpixel(place), colour), place


@pytest.mark.parametrize(
    ("file", "form", "mode"),
    [
        ("default.jpg", "JPEG", "RGB"),
        ("color.png", "PNG", "RGB"),
        ("gray.jpg", "JPEG", "L"),
        ("gray.png", "PNG", "L"),
        ("bitonal.png", "PNG", "1"),
        ("bitonal.jpg", "JPEG", "L"),
        ("default.webp", "WEBP", "RGB"),
        ("gray.webp", "WEBP", "RGB"),
    ],
)
async def test_qualities_and_formats(
    corpora: Corpora, scan: Any, file: str, form: str, mode: str
) -> None:
    answer = await get(corpora, f"{scan['url']}/full/,50/0/{file}")

    part = opened(answer.content)
    assert (part.format, part.mode, part.size) == (form, mode, (100, 50))
    assert answer.headers["content-type"] == f"image/{form.lower()}"


async def test_what_is_clear_is_white_in_a_jpeg_and_stays_clear_in_a_png(corpora: Corpora) -> None:
    made = await upload(corpora, file_of(Image.new("RGBA", (20, 20), (255, 0, 0, 0)), "PNG"))

    flat = opened((await get(corpora, f"{made['url']}/full/full/0/default.jpg")).content)
    clear = opened((await get(corpora, f"{made['url']}/full/full/0/default.png")).content)

    assert near(flat.getpixel((10, 10)), WHITE)
    assert clear.getpixel((10, 10)) == (255, 0, 0, 0)


async def test_a_whole_jpeg_is_its_own_file(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = file_of(drawn(), "JPEG", quality=97)
    made = await upload(corpora, data)
    monkeypatch.setattr(pixels, "decode", lambda _data: pytest.fail("it was decoded"))

    answer = await get(corpora, f"{made['url']}/full/full/0/default.jpg")

    assert answer.content == data
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("kind", ["turned", "cmyk"])
async def test_a_whole_jpeg_that_programs_would_show_otherwise_is_made_anew(
    corpora: Corpora, kind: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = (
        file_of(drawn().convert("CMYK"), "JPEG")
        if kind == "cmyk"
        else file_of(drawn(), "JPEG", exif=exif)
    )
    made = await upload(corpora, data)

    answer = await get(corpora, f"{made['url']}/full/full/0/default.jpg")

    part = opened(answer.content)
    assert part.size == (made["width"], made["height"])
    assert part.mode == "RGB"
    assert 0x0112 not in part.getexif()


async def test_an_address_needs_its_secret(corpora: Corpora, scan: Any) -> None:
    base, _, secret = scan["url"].rpartition(".")
    last = "A" if secret[-1] != "A" else "B"
    strange = [
        base,
        f"{base}.",
        f"{base}.{secret[:-1]}{last}",
        f"{base}.{secret}x",
        f"{base}.{secret.lower()}ü",
    ]
    other = f"http://test/iiif/2/{ids.uuid()}.{secret}"

    told = set()
    for address in [*strange, other, "http://test/iiif/2/1", "http://test/iiif/2/..."]:
        for rest in ("", "/info.json", "/full/full/0/default.jpg"):
            answer = await get(corpora, f"{address}{rest}")
            assert answer.status_code == 404, address
            told.add(answer.json()["detail"])
    assert len(told) == 1
    assert len(secret) >= 22


async def test_an_image_elsewhere_is_not_served_here(corpora: Corpora) -> None:
    image_id = corpora.image()

    answer = await get(corpora, f"/iiif/2/{image_id}.secret/info.json")

    assert answer.status_code == 404


async def test_the_secret_of_an_address_is_not_logged(
    corpora: Corpora, scan: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="longshore.access"):
        await get(corpora, f"{scan['url']}/full/full/0/default.jpg")

    secret = scan["url"].rpartition(".")[2]
    assert scan["id"] in caplog.text
    assert secret not in caplog.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("full/full/0/native.jpg", 400),
        ("full/0,/0/default.jpg", 400),
        ("200,0,1,1/full/0/default.jpg", 400),
        ("full/full/0/default.exe", 400),
        ("full/20000,/0/default.webp", 400),
        ("full/full/12/default.jpg", 501),
        ("full/full/0/default.jp2", 501),
    ],
)
async def test_refusals_are_problems_with_the_status_of_the_protocol(
    corpora: Corpora, scan: Any, path: str, status: int
) -> None:
    answer = await get(corpora, f"{scan['url']}/{path}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_part_that_is_held_already_is_not_sent_again(
    corpora: Corpora, scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await get(corpora, f"{scan['url']}/full/100,/0/default.jpg")
    other = await get(corpora, f"{scan['url']}/full/99,/0/default.jpg")
    etag = first.headers["etag"]
    assert etag != other.headers["etag"]
    assert first.headers["cache-control"] == "private, max-age=86400"
    monkeypatch.setattr(pixels, "render", lambda *_: pytest.fail("it was made again"))

    again = await get(
        corpora, f"{scan['url']}/full/,50/0/default.jpg", If_None_Match=f'"x", {etag}'
    )

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag


async def test_viewers_of_other_sites_may_read(corpora: Corpora, scan: Any) -> None:
    answer = await get(corpora, f"{scan['url']}/full/max/0/default.jpg")

    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["link"] == '<http://iiif.io/api/image/2/level2.json>;rel="profile"'


async def test_the_description_of_both_versions(corpora: Corpora, scan: Any) -> None:
    newer = scan["url"].replace("/iiif/2/", "/iiif/3/")
    for address, name, media_type in (
        (scan["url"], "@id", "application/json"),
        (newer, "id", 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'),
    ):
        corpora.client.headers.pop("Authorization", None)
        base = await corpora.client.get(address)
        assert (base.status_code, base.headers["location"]) == (303, f"{address}/info.json")
        answer = await corpora.client.get(f"{address}/info.json")
        info = answer.json()
        assert answer.headers["content-type"] == media_type
        assert info[name] == address
        assert (info["width"], info["height"]) == (200, 100)
        tile = info["tiles"][0]["width"]
        size = "max" if name == "id" else "full"
        part = await corpora.client.get(f"{address}/0,0,{tile},{tile}/{size}/0/default.jpg")
        assert opened(part.content).size == (200, 100)
    ld = await get(corpora, f"{scan['url']}/info.json", Accept="application/ld+json")
    assert ld.headers["content-type"] == "application/ld+json"
    assert (await corpora.client.get(newer.replace("/3/", "/4/"))).status_code == 404


async def test_many_parts_of_a_page_decode_it_once(
    corpora: Corpora, scan: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = decodings(monkeypatch)
    corpora.client.headers.pop("Authorization", None)

    answers = await asyncio.gather(
        *(
            corpora.client.get(f"{scan['url']}/0,{top},200,10/full/0/default.png")
            for top in range(0, 90, 5)
        )
    )

    assert {answer.status_code for answer in answers} == {200}
    assert len(decoded) == 1


async def test_what_is_kept_decoded_stays_within_its_bound(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "IMAGE_CACHE_BYTES", 100_000)
    made = [await upload(corpora, file_of(drawn(100, height), "PNG")) for height in (100, 110, 120)]
    large = await upload(corpora, file_of(drawn(200, 200), "PNG"))
    decoded = decodings(monkeypatch)
    corpora.client.headers.pop("Authorization", None)

    for image in (made[0], made[1], made[0], made[2], made[0], made[1], large, large, made[0]):
        answer = await corpora.client.get(f"{image['url']}/full/10,/0/default.png")
        assert answer.status_code == 200

    # Two of the small ones fit, and the large one never does.
    assert len(decoded) == 4 + 2


async def test_a_few_images_are_worked_on_at_once_and_the_loop_goes_on(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = corpora.served.context.shared(Renderer)
    held, full = threading.Event(), asyncio.Event()
    going, most, loop = 0, 0, asyncio.get_running_loop()

    def slow(data: bytes) -> Any:
        nonlocal going, most
        going += 1
        most = max(most, going)
        if going == limits.IMAGES_AT_ONCE:
            loop.call_soon_threadsafe(full.set)
        assert held.wait(10)
        going -= 1
        return data

    monkeypatch.setattr(pixels, "inspect", slow)
    tasks = [asyncio.create_task(renderer.inspect(b"x")) for _ in range(6)]
    async with asyncio.timeout(10):
        await full.wait()
    assert (await corpora.client.get("/healthz")).status_code == 200
    held.set()
    await asyncio.gather(*tasks)

    assert most == limits.IMAGES_AT_ONCE


async def test_damaged_bytes_are_told_and_not_kept(
    corpora: Corpora, scan: Any, tmp_path: Path
) -> None:
    blob = next(path for path in (tmp_path / "blobs").rglob("bl_*"))
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + b"?")

    broken = await get(corpora, f"{scan['url']}/full/10,/0/default.png")
    blob.write_bytes(whole)
    again = await corpora.client.get(f"{scan['url']}/full/10,/0/default.png")

    assert (broken.status_code, broken.json()["code"]) == (500, "corrupt_data")
    assert again.status_code == 200

"""Elements and their images: addresses, downloads, sizes, tiles, turning there and back."""

from __future__ import annotations

import base64
import copy
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from longshore.corpus import image
from longshore.corpus.cache import CachedElement
from longshore.corpus.image import open_image, resized_images, upload_image
from longshore.corpus.models import Dataset, Element, MagicDict
from longshore.corpus.polygons import polygon_bounding_box, revert_orientation, trim_polygon
from tests.unit.corpus_mixins_rig import (
    ELEMENT,
    Helpers,
    cached_element,
    cached_worker,
    element,
    worker,
)

__all__ = ["cached_worker", "worker"]

WHOLE = Pillow.new("RGB", (100, 50), "white")
WHOLE.putpixel((10, 5), (255, 0, 0))
REGION = re.compile(r"/iiif/page/(?P<region>[^/]+)/(?P<size>[^/]+)/0/default\.(?P<kind>\w+)$")


@pytest.fixture(autouse=True)
def _without_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


class Iiif:
    """A IIIF server with one image, WHOLE. `answer` may refuse a request by returning a status."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sent: list[bytes] = []
        self.answer: Callable[[str], int | None] = lambda _: None
        self.tile_excess = 0
        self.info: dict[str, Any] = {
            "width": 100,
            "height": 50,
            "tiles": [{"width": 16}, {"width": 64}],
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        if status := self.answer(path):
            return httpx.Response(status)
        if request.method == "PUT":
            self.sent.append(request.content)
            return httpx.Response(200)
        if path.endswith("info.json"):
            return httpx.Response(200, json=self.info)
        found = REGION.search(path)
        if found is None:
            return httpx.Response(200, content=data(WHOLE))
        picture = WHOLE
        if found["region"] != "full":
            x, y, width, height = map(int, found["region"].split(","))
            extra = self.tile_excess
            picture = WHOLE.crop((x, y, x + width + extra, y + height + extra))
        if found["size"] not in {"full", "max"}:
            picture = scaled(picture, found["size"])
        return httpx.Response(200, content=data(picture))


def data(picture: Pillow.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "png")
    return file.getvalue()


def scaled(picture: Pillow.Image, size: str) -> Pillow.Image:
    width, height = (int(part or 0) for part in size.removeprefix("!").split(","))
    if size.startswith("!"):
        picture = picture.copy()
        picture.thumbnail((width, height))
        return picture
    width = width or round(picture.width * height / picture.height)
    height = height or round(picture.height * width / picture.width)
    return picture.resize((width, height))


@pytest.fixture
def iiif(monkeypatch: pytest.MonkeyPatch) -> Iiif:
    made = Iiif()
    client = httpx.Client(transport=httpx.MockTransport(made))
    monkeypatch.setattr(image, "_client", lambda *_: client)
    return made


def tiled(**changes: Any) -> Element:
    made = element(**changes)
    made["zone"]["image"] = {}
    zone = {**element()["zone"]}
    zone["image"] = {**zone["image"], "server": {"max_width": 64, "max_height": 64}}
    made["zone"] = zone
    return made


def seen(file: Any) -> tuple[str | None, tuple[int, int]]:
    """Return format and size of the image in a file."""
    with Pillow.open(file.name) as picture:
        return picture.format, picture.size


def red(picture: Pillow.Image) -> tuple[int, int]:
    """Return where the red pixel is."""
    pixels = picture.load()
    assert pixels is not None
    return next(
        (x, y)
        for x in range(picture.width)
        for y in range(picture.height)
        if pixels[x, y] == (255, 0, 0)
    )


def test_items_are_attributes_all_the_way_down() -> None:
    made = MagicDict(a={"b": [{"c": 1}]}, dataset=Dataset(id="1"))
    assert made.a.b[0].c == 1
    assert isinstance(made.dataset, Dataset)
    made.d = 2
    assert made["d"] == 2
    del made.d
    assert "d" not in made
    assert "a" in dir(made)
    assert copy.deepcopy(made) == made
    with pytest.raises(AttributeError, match="MagicDict has no attribute 'd'"):
        made.d  # noqa: B018 - it is what is asked
    with pytest.raises(AttributeError):
        del made.d
    assert getattr(made, "d", 3) == 3


def test_objects_say_what_they_are() -> None:
    assert str(element()) == f"page 1r ({ELEMENT})"
    assert str(element(type={"display_name": "Page"})) == f"Page 1r ({ELEMENT})"
    assert Dataset(id="1").filepath == "1.tar.zst"


def test_addresses_of_images() -> None:
    page = element()
    base = "http://images.test/iiif/page"
    assert page.image_url() == f"{base}/full/full/0/default.jpg"
    assert page.image_url("200,", "png") == f"{base}/full/200,/0/default.png"
    assert page.resize_zone_url() == f"{base}/0,0,100,50/full/0/default.jpg"
    assert page.resize_zone_url(",20", "webp") == f"{base}/0,0,100,50/,20/0/default.webp"
    assert element(zone=None).image_url() is None
    page["zone"]["image"] = None
    third = {"url": f"{base}/", "server": {"version": 3}}
    assert element(zone={"image": third}).image_url() == f"{base}/full/max/0/default.jpg"
    direct = {"url": base, "s3_url": "http://store.test/page?signature"}
    assert element(zone={"image": direct}).image_url("200,") == "http://store.test/page?signature"


def test_an_element_without_a_zone_has_no_image() -> None:
    folder = element(zone=None)
    assert not folder.requires_tiles
    for ask in (lambda: folder.polygon, folder.open_image):
        with pytest.raises(ValueError, match="has no zone"):
            ask()


def test_an_image_is_opened_as_its_element_says(iiif: Iiif) -> None:
    assert red(element().open_image()) == (10, 5)
    assert red(element(rotation_angle=90).open_image()) == (44, 10)
    assert red(element(mirrored=True).open_image()) == (89, 5)
    assert red(element(mirrored=True, rotation_angle=90).open_image()) == (44, 89)
    assert red(element(rotation_angle=90).open_image(rotation_angle=0)) == (10, 5)
    assert element().open_image("L").mode == "L"
    assert set(iiif.asked) == {"/iiif/page/0,0,100,50/full/0/default.jpg"}


@pytest.mark.parametrize(
    ("limits", "path", "size"),
    [
        ({"max_width": 100, "max_height": 50}, "0,0,100,50/full", (100, 50)),
        ({"max_width": 50}, "0,0,100,50/50,", (50, 25)),
        ({"max_height": 10}, "0,0,100,50/,10", (20, 10)),
        ({"max_width": 50, "max_height": 50}, "0,0,100,50/50,50", (50, 50)),
        (
            {"max_width": 50, "max_height": 50, "preserve_ratio": True},
            "0,0,100,50/!50,50",
            (50, 25),
        ),
        ({"max_width": 50, "use_full_image": True}, "full/50,", (50, 25)),
    ],
)
def test_limits_become_a_size_of_the_server(
    iiif: Iiif, limits: dict[str, Any], path: str, size: tuple[int, int]
) -> None:
    assert element().open_image(**limits).size == size
    assert iiif.asked == [f"/iiif/page/{path}/0/default.jpg"]


def test_a_small_zone_of_a_large_image_is_not_enlarged(iiif: Iiif) -> None:
    zone = {
        **element()["zone"],
        "polygon": [[0, 0], [20, 0], [20, 10], [0, 10]],
        "url": "http://images.test/iiif/page/0,0,20,10/full/0/default.jpg",
    }
    assert element(zone=zone).open_image(max_width=50).size == (20, 10)
    assert iiif.asked == ["/iiif/page/0,0,20,10/full/0/default.jpg"]


def test_a_download_is_tried_three_times(iiif: Iiif) -> None:
    statuses = [503, 503, 503]
    iiif.answer = lambda _: statuses.pop() if statuses else None
    with pytest.raises(httpx.HTTPStatusError):
        element().open_image()
    assert len(iiif.asked) == 3
    statuses = [503, 429]
    assert element().open_image().size == (100, 50)


def test_a_proxy_is_not_asked_for_images_of_this_machine() -> None:
    assert not image._client(-1, True).trust_env
    assert image._client(-1, False).trust_env


def test_what_another_attempt_cannot_help_is_asked_for_once(iiif: Iiif) -> None:
    iiif.answer = lambda _: 404
    with pytest.raises(httpx.HTTPStatusError):
        element().open_image(max_width=10)
    assert len(iiif.asked) == 1


def test_an_image_that_is_refused_in_full_size_is_asked_for_in_the_greatest(iiif: Iiif) -> None:
    iiif.answer = lambda path: 403 if "/full/0/" in path else None
    assert element().open_image().size == (100, 50)
    assert iiif.asked[-1] == "/iiif/page/0,0,100,50/max/0/default.jpg"


def test_a_direct_address_that_has_expired_says_what_to_do(iiif: Iiif) -> None:
    zone = element()["zone"] | {"url": "http://store.test/page?signature"}
    zone["image"] = zone["image"] | {"s3_url": "http://store.test/page?signature"}
    assert element(zone=zone).open_image().size == (100, 50)
    assert element(zone=zone).open_image(max_width=50).size == (50, 25)
    iiif.answer = lambda _: 403
    with pytest.raises(NotImplementedError, match="has expired: retrieve it again"):
        element(zone=zone).open_image()


def test_a_large_image_is_put_together_from_tiles(iiif: Iiif) -> None:
    page = tiled()
    assert page.requires_tiles
    assert page.open_image().tobytes() == WHOLE.tobytes()
    assert sorted(iiif.asked) == [
        "/iiif/page/0,0,64,50/full/0/default.jpg",
        "/iiif/page/64,0,36,50/full/0/default.jpg",
        "/iiif/page/info.json",
    ]
    assert red(tiled(rotation_angle=90).open_image()) == (44, 10)
    assert page.open_image(max_width=50).size == (50, 25)
    assert page.open_image(max_width=50, max_height=50).size == (50, 50)
    assert page.open_image(max_width=50, max_height=50, preserve_ratio=True).size == (50, 25)


def test_tiles_may_be_too_large_and_not_too_small(
    iiif: Iiif, caplog: pytest.LogCaptureFixture
) -> None:
    iiif.info = {"id": "x", "width": 32, "height": 32, "tiles": [{"width": 16, "height": 32}]}
    iiif.tile_excess = 2
    assert tiled().open_image().size == (32, 32)
    assert "Cropping the tile at 0,0 from 18x34 to 16x32" in caplog.text
    assert iiif.asked[-1] == "/iiif/page/16,0,16,32/max/0/default.jpg"
    iiif.tile_excess = -1
    with pytest.raises(ValueError, match="must have 16x32 pixels, and has only 15x31"):
        tiled().open_image()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"tiles": [{"width": 16}]}, "does not say how large the image is"),
        ({"width": 32, "height": 32}, "offers no tiles"),
    ],
)
def test_a_server_without_tiles_is_an_error(iiif: Iiif, info: dict[str, Any], words: str) -> None:
    iiif.info = info
    with pytest.raises(AssertionError, match=words):
        tiled().open_image()


def test_images_that_would_fill_the_memory_are_refused(
    iiif: Iiif, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Pillow.MAX_IMAGE_PIXELS
    with pytest.raises(Pillow.DecompressionBombError):
        element().open_image(max_image_pixels=1000)
    with pytest.raises(Pillow.DecompressionBombError, match="may have 2000"):
        tiled().open_image(max_image_pixels=1000)
    monkeypatch.setenv("ARKINDEX_MAX_IMAGE_PIXELS", "1000")
    with pytest.raises(Pillow.DecompressionBombError):
        element().open_image()
    assert element().open_image(max_image_pixels="0").size == (100, 50)
    assert before == Pillow.MAX_IMAGE_PIXELS


def test_an_image_is_opened_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "page.png"
    WHOLE.save(path)
    assert red(open_image(str(path), rotation_angle=90)) == (44, 10)
    assert open_image(str(path), mode="1").mode == "1"
    with pytest.raises(AssertionError, match="a file that exists or an http"):
        open_image(str(tmp_path / "none.png"))
    (tmp_path / "note.txt").write_text("no image")
    with pytest.raises(UnidentifiedImageError):
        open_image(str(tmp_path / "note.txt"))


def test_an_image_can_be_kept_as_a_file_for_a_while(iiif: Iiif) -> None:
    with element().open_image_tempfile() as file:
        path = Path(file.name)
        assert seen(file) == ("JPEG", (100, 50))
    assert not path.exists()
    with element().open_image_tempfile("png", max_width=50) as file:
        assert seen(file) == ("PNG", (50, 25))
        assert Path(file.name).suffix == ".png"
    assert iiif.asked[-1].endswith("/50,/0/default.png")
    with element().open_image_tempfile(extension="jpg") as file:
        assert seen(file) == ("JPEG", (100, 50))


def test_an_image_is_sent(iiif: Iiif) -> None:
    upload_image(WHOLE, "http://store.test/put")
    assert Pillow.open(io.BytesIO(iiif.sent[0])).format == "JPEG"
    with pytest.raises(AssertionError, match="http"):
        upload_image(WHOLE, "page.jpg")


def test_smaller_images_are_offered_until_one_is_accepted(iiif: Iiif) -> None:
    sizes = [seen(file)[1][0] for file in resized_images(element=element())]
    assert sizes == [100, 90, 85, 80, 75, 70, 60, 50, 40, 30]
    sizes = [seen(file)[1][0] for file in resized_images(element=element(), max_pixels=75)]
    assert sizes == [75, 70, 60, 50, 40, 30]
    assert iiif.asked[-1] == "/iiif/page/0,0,100,50/30,/0/default.jpg"


def test_images_that_are_too_heavy_are_left_out(
    iiif: Iiif, caplog: pytest.LogCaptureFixture
) -> None:
    whole = [Path(file.name).stat().st_size for file in resized_images("png", element=element())]  # type: ignore[union-attr]
    found = list(resized_images("png", element=element(), max_bytes=whole[3] - 1, use_base64=True))
    assert found
    assert all(len(str(text)) < whole[3] for text in found)
    assert Pillow.open(io.BytesIO(base64.b64decode(str(found[0])))).format == "PNG"
    assert "trying a smaller one" in caplog.text


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        ({"max_pixels_short": 25}, (50, 25)),
        ({"max_pixels_long": 40}, (40, 20)),
        ({"max_pixels_short": 25, "max_pixels_long": 40}, (40, 20)),
        ({"max_pixels_short": 10, "max_pixels_long": 40}, (20, 10)),
        ({"max_pixels_long": 400}, (100, 50)),
    ],
)
def test_the_sides_have_limits_of_their_own(
    iiif: Iiif, limits: dict[str, Any], first: tuple[int, int]
) -> None:
    offered = resized_images(element=element(), **limits)
    assert seen(next(offered))[1] == first
    offered.close()  # type: ignore[attr-defined]


def test_a_cached_element_opens_its_box(cached_worker: Helpers, iiif: Iiif) -> None:
    assert cached_worker.use_cache
    assert cached_element().open_image().size == (10, 10)
    assert iiif.asked == ["/iiif/page/0,0,10,10/full/0/default.jpg"]
    whole = [[0, 0], [100, 0], [100, 50], [0, 50]]
    CachedElement.update(polygon=whole, rotation_angle=90).execute()
    assert cached_element().open_image().size == (50, 100)
    assert cached_element().open_image(max_width=50).size == (25, 50)
    assert iiif.asked[1:] == [
        "/iiif/page/full/full/0/default.jpg",
        "/iiif/page/full/50,/0/default.jpg",
    ]
    CachedElement.update(image_id=None).execute()
    with pytest.raises(ValueError, match="has no image"):
        cached_element().open_image()


def test_a_box_is_around_all_points() -> None:
    assert polygon_bounding_box([[3, 4], [1, 9], [7.5, 5]]) == (1, 4, 6.5, 5)
    with pytest.raises(ValueError, match="zip"):
        polygon_bounding_box([[1, 2], [3]])


def test_a_polygon_is_moved_into_its_image() -> None:
    assert trim_polygon([[-5, 2], [200, 2], [200, 80], [-5, 80], [-5, 2]], 100, 50) == [
        [0, 2], [100, 2], [100, 50], [0, 50], [0, 2],
    ]  # fmt: skip
    assert trim_polygon([(120, 5), (130, 5), (10, 9)], 100, 50) == [[100, 5], [10, 9]]
    for wrong in ("page", [5, 6], [[1, 2, 3]], [[1.5, 2]], [[200, 80], [300, 90]]):
        with pytest.raises(AssertionError):
            trim_polygon(wrong, 100, 50)  # type: ignore[arg-type]


@pytest.mark.parametrize("angle", [0, 90, 180, 270, 30])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_found_on_a_turned_image_goes_back_to_the_stored_one(
    iiif: Iiif, angle: int, mirrored: bool
) -> None:
    page = element(rotation_angle=angle, mirrored=mirrored)
    line = [[10, 5], [60, 5], [60, 25], [10, 25]]
    turned = revert_orientation(page, line, True)
    assert turned[0] == turned[-1]
    back = revert_orientation(page, turned)
    for point, wanted in zip(back, [*line, line[0]], strict=True):
        assert abs(point[0] - wanted[0]) <= 2
        assert abs(point[1] - wanted[1]) <= 2
    if angle % 90 == 0:
        box = polygon_bounding_box(turned)
        # The corner of the line is the red pixel: it must lie on a corner of the turned line's box.
        x, y = red(page.open_image())
        assert min(abs(x - box.x), abs(x + 1 - box.x - box.width)) == 0
        assert min(abs(y - box.y), abs(y + 1 - box.y - box.height)) == 0


def test_only_what_has_an_image_has_an_orientation() -> None:
    line = [[1, 1], [2, 1], [2, 2]]
    with pytest.raises(AssertionError, match="element must be an Element or CachedElement"):
        revert_orientation({"id": 1}, line)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="has no polygon"):
        revert_orientation(element(zone=None), line)
    with pytest.raises(AssertionError, match="at least three points"):
        revert_orientation(element(), line[:2])
    with pytest.raises(AssertionError, match="reverse must be True or False"):
        revert_orientation(element(), line, reverse=1)  # type: ignore[arg-type]

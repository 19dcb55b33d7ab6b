"""What addresses of the IIIF Image API mean, and what is refused, without an image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore import limits
from longshore.errors import InvalidRequest, Unsupported
from longshore.surfaces.corpus import iiif

SIZE = (400, 300)


def wanted(path: str, version: str = "2", size: tuple[int, int] = SIZE) -> iiif.Rendering:
    region, scale, rotation, file = path.split("/")
    return iiif.rendering(version, size, region=region, size=scale, rotation=rotation, file=file)


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("full", (0, 0, 400, 300)),
        ("square", (50, 0, 350, 300)),
        ("10,20,30,40", (10, 20, 40, 60)),
        ("390,290,100,100", (390, 290, 400, 300)),
        ("pct:25,50,50,50", (100, 150, 300, 300)),
        ("pct:12.5,0,.25,1", (50, 0, 51, 3)),
    ],
)
def test_a_region_is_cut_at_the_edges_of_the_image(
    region: str, box: tuple[int, int, int, int]
) -> None:
    for version in iiif.VERSIONS:
        assert wanted(f"{region}/max/0/default.jpg", version).box == box


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ("full", (400, 300)),
        ("max", (400, 300)),
        ("200,", (200, 150)),
        (",100", (133, 100)),
        ("800,", (800, 600)),
        ("120,7", (120, 7)),
        ("!120,7", (9, 7)),
        ("!100,100", (100, 75)),
        ("!800,6000", (800, 600)),
        ("pct:50", (200, 150)),
        ("pct:0.5", (2, 2)),
        ("1,", (1, 1)),
    ],
)
def test_a_size_of_version_2_scales_the_region(size: str, pixels: tuple[int, int]) -> None:
    assert wanted(f"full/{size}/0/default.jpg").size == pixels


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ("max", (400, 300)),
        ("200,", (200, 150)),
        ("400,300", (400, 300)),
        ("!800,800", (400, 300)),
        ("^800,", (800, 600)),
        ("^!800,900", (800, 600)),
        ("^pct:200", (800, 600)),
    ],
)
def test_a_size_of_version_3_scales_up_with_its_sign_only(
    size: str, pixels: tuple[int, int]
) -> None:
    assert wanted(f"full/{size}/0/default.jpg", "3").size == pixels


@pytest.mark.parametrize("size", ["full", "800,", ",301", "401,1", "pct:101"])
def test_version_3_refuses_sizes_above_the_region(size: str) -> None:
    with pytest.raises(InvalidRequest):
        wanted(f"full/{size}/0/default.jpg", "3")


@pytest.mark.parametrize(
    ("rotation", "mirrored", "degrees"),
    [
        ("0", False, 0),
        ("90", False, 90),
        ("!180", True, 180),
        ("270.0", False, 270),
        ("360", False, 0),
    ],
)
def test_a_rotation_is_a_right_angle_perhaps_mirrored(
    rotation: str, mirrored: bool, degrees: int
) -> None:
    found = wanted(f"full/max/{rotation}/default.png")
    assert (found.mirrored, found.rotation) == (mirrored, degrees)


@pytest.mark.parametrize(
    "path",
    [
        "all/full/0/default.jpg",
        "0,0,0,10/full/0/default.jpg",
        "400,0,10,10/full/0/default.jpg",
        "0,300,10,10/full/0/default.jpg",
        "-1,0,10,10/full/0/default.jpg",
        "1.5,0,10,10/full/0/default.jpg",
        "0,0,9999999999,1/full/0/default.jpg",
        "pct:0,0,0,0/full/0/default.jpg",
        "pct:100,0,1,1/full/0/default.jpg",
        "full/0,/0/default.jpg",
        "full/,/0/default.jpg",
        "full/!200,/0/default.jpg",
        "full/0,0/0/default.jpg",
        "full/pct:0/0/default.jpg",
        "full/pct:/0/default.jpg",
        "full/^200,/0/default.jpg",
        "full/99999,99999/0/default.jpg",
        "full/70000,1/0/default.jpg",
        "full/\u0661\u0660,/0/default.jpg",
        "full/full/361/default.jpg",
        "full/full/-90/default.jpg",
        "full/full/!/default.jpg",
        "full/full/nan/default.jpg",
        "full/full/0/best.jpg",
        "full/full/0/default.exe",
        "full/full/0/default",
        "full/full/0/default.jpg.png",
    ],
)
def test_what_cannot_be_read_is_a_bad_request(path: str) -> None:
    with pytest.raises(InvalidRequest):
        wanted(path)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("full/full/45/default.jpg", "2"),
        ("full/full/0.5/default.jpg", "2"),
        ("full/full/0/default.tif", "2"),
        ("full/full/0/gray.pdf", "2"),
        ("full/^max/0/default.jpg", "3"),
    ],
)
def test_what_the_api_has_and_the_server_has_not_is_told_apart(path: str, version: str) -> None:
    with pytest.raises(Unsupported):
        wanted(path, version)


def test_the_same_part_has_the_same_canonical_form_however_it_is_asked_for() -> None:
    forms = {
        wanted(f"{region}/{size}/{rotation}/default.jpg").canonical
        for region in ("full", "0,0,400,300", "0,0,999,999", "pct:0,0,100,100")
        for size in ("full", "max", "400,", "400,300", "pct:100")
        for rotation in ("0", "360", "0.0")
    }
    assert forms == {"0,0,400,300/400,300/0/default.jpg"}


PARTS = st.text("0123456789,.:!^pctfulmaxsqre-", max_size=12)
NUMBERS = st.integers(0, 700).map(str)
QUADS = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS).map(",".join)
REGIONS = st.one_of(st.sampled_from(["full", "square"]), QUADS, QUADS.map("pct:{}".format), PARTS)
PAIRS = st.tuples(st.sampled_from(["", "!", "^", "^!"]), NUMBERS, NUMBERS).map(
    lambda parts: f"{parts[0]}{parts[1]},{parts[2]}"
)
SIZES = st.one_of(st.sampled_from(["full", "max"]), PAIRS, NUMBERS.map("{},".format), PARTS)


@given(st.sampled_from(iiif.VERSIONS), REGIONS, SIZES, st.one_of(NUMBERS, PARTS))
def test_whatever_is_asked_for_is_a_part_of_the_image_or_refused(
    version: str, region: str, size: str, rotation: str
) -> None:
    try:
        found = wanted(f"{region}/{size}/{rotation}/default.jpg", version)
    except (InvalidRequest, Unsupported):
        return
    left, top, right, bottom = found.box
    assert 0 <= left < right <= SIZE[0]
    assert 0 <= top < bottom <= SIZE[1]
    assert min(found.size) >= 1
    assert found.size[0] * found.size[1] <= limits.IMAGE_PIXELS
    assert found.rotation in (0, 90, 180, 270)


def test_tiles_reach_from_full_size_to_one_tile() -> None:
    described = iiif.information("2", "https://host/iiif/2/a", 5_000, 200)
    assert described["tiles"] == [{"width": 1024, "scaleFactors": [1, 2, 4, 8]}]
    assert described["@id"] == "https://host/iiif/2/a"
    assert described["profile"][0] == iiif.LEVEL_2
    newer = iiif.information("3", "https://host/iiif/3/a", 5_000, 200)
    assert (newer["id"], newer["type"], newer["profile"]) == (
        "https://host/iiif/3/a",
        "ImageService3",
        "level2",
    )

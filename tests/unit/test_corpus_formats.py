"""Pages as files have them: PAGE-XML, ALTO, CSV lines, PDF, IIIF manifests, and folders of them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from longshore import limits
from longshore.corpus.formats import alto, iiif_manifest, lines_csv, page_xml, pages, xml
from longshore.corpus.formats.pages import Failure, ImageBytes, ImageService, Kind, Page, Zone
from longshore.corpus.formats.reading import Reader
from longshore.errors import InvalidRequest, NotFound, TooLarge
from tests.surfaces.images_rig import near

PAGE_2013 = """<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2013-07-15">
  <Metadata><Creator>somebody</Creator></Metadata>
  <Page imageFilename="C:\\scans\\one.png" imageWidth="200" imageHeight="100">
    <ReadingOrder><OrderedGroup id="g">
      <RegionRefIndexed index="0" regionRef="second"/>
      <RegionRefIndexed index="1" regionRef="first"/>
    </OrderedGroup></ReadingOrder>
    <TextRegion id="first"><Coords points="0,0 90,0 90,90 0,90"/>
      <TextLine id="a"><Coords points="1,1 80,1 80,10 1,10"/>
        <TextEquiv index="1" conf="0.2"><Unicode>wrong</Unicode></TextEquiv>
        <TextEquiv index="0" conf="0.9"><Unicode>Dear &amp; kind</Unicode></TextEquiv>
      </TextLine>
      <TextLine id="b"><Coords points="1,20 80,20 80,30 1,30"/>
        <Word id="w1"><Coords points="1,1 2,1 2,2"/><TextEquiv><Unicode>sir</Unicode></TextEquiv></Word>
        <Word id="w2"><Coords points="1,1 2,1 2,2"/><TextEquiv><Unicode>madam</Unicode></TextEquiv></Word>
      </TextLine>
      <TextLine id="c"><Coords points="1,40 80,40 80,50"/></TextLine>
    </TextRegion>
    <TextRegion id="second"><Coords points="100,0 190,0 190,90"/>
      <TextEquiv><Unicode>alone</Unicode></TextEquiv>
    </TextRegion>
  </Page>
</PcGts>
"""
PAGE_2010 = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2010-03-19">
  <Page imageFilename="one.png" imageWidth="200" imageHeight="100">
    <TextRegion id="r"><Coords>
      <Point x="0" y="0"/><Point x="9" y="0"/><Point x="9" y="9"/>
    </Coords></TextRegion>
  </Page></PcGts>"""
ALTO_2 = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v2#">
  <Description><MeasurementUnit>mm10</MeasurementUnit>
    <sourceImageInformation><fileName>one.png</fileName></sourceImageInformation></Description>
  <Layout><Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="2000" HEIGHT="1000"><PrintSpace>
    <ComposedBlock ID="c" HPOS="0" VPOS="0" WIDTH="2000" HEIGHT="1000">
      <TextBlock ID="b" HPOS="10" VPOS="20" WIDTH="500" HEIGHT="200">
        <TextLine ID="l1" HPOS="10" VPOS="20" WIDTH="500" HEIGHT="100">
          <String CONTENT="Dear" HPOS="1" VPOS="1" WIDTH="1" HEIGHT="1" WC="0.5"/><SP/>
          <String CONTENT="sir" HPOS="1" VPOS="1" WIDTH="1" HEIGHT="1" WC="1.0"/><HYP CONTENT="-"/>
        </TextLine>
        <TextLine ID="l2" HPOS="10" VPOS="120" WIDTH="500" HEIGHT="100">
          <Shape><Polygon POINTS="10 120 510 120 510 220"/></Shape>
          <String CONTENT="and"/><String CONTENT="so"/>
        </TextLine>
      </TextBlock>
    </ComposedBlock>
  </PrintSpace></Page></Layout></alto>"""


def never(url: str) -> bytes:
    raise AssertionError(url)


def found(path: Path, **more: Any) -> list[Page | Failure]:
    return list(Reader(never, **more).read(path))


def only(path: Path, **more: Any) -> Page:
    (page,) = found(path, **more)
    assert isinstance(page, Page), page
    return page


def failure(path: Path) -> str:
    (failed,) = found(path)
    assert isinstance(failed, Failure)
    assert failed.source == str(path)
    return failed.why


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "one.png"
    Image.new("RGB", (200, 100)).save(path)
    return path


def test_page_xml_is_read_in_its_reading_order(tmp_path: Path, image: Path) -> None:
    (tmp_path / "x.xml").write_text(PAGE_2013, encoding="utf-8")

    page = only(tmp_path)

    assert (page.name, page.size, page.folders) == ("one", (200, 100), ())
    assert isinstance(page.image, ImageBytes)
    assert page.image.read() == image.read_bytes()
    second, first = page.zones
    assert (second.name, second.kind, second.text) == ("second", Kind.REGION, "alone")
    assert (first.name, first.text) == ("first", None)
    assert [(line.name, line.text, line.confidence) for line in first.zones] == [
        ("a", "Dear & kind", 0.9),
        ("b", "sir madam", None),
        ("c", None, None),
    ]
    assert first.zones[2].polygon == ((1, 40), (80, 40), (80, 50))


def test_page_xml_of_2010_has_points_of_their_own(tmp_path: Path, image: Path) -> None:
    path = image.with_suffix(".xml")
    path.write_text(PAGE_2010, encoding="utf-8")

    assert only(path).zones[0].polygon == ((0, 0), (9, 0), (9, 9))


def test_alto_is_read_with_the_size_that_scales_it(tmp_path: Path, image: Path) -> None:
    path = image.with_suffix(".xml")
    path.write_text(ALTO_2, encoding="utf-8")

    page = only(path)

    assert page.size == (2000, 1000)
    (outer,) = page.zones
    (block,) = outer.zones
    assert [(line.text, line.confidence) for line in block.zones] == [
        ("Dear sir-", 0.75),
        ("and so", None),
    ]
    assert block.zones[0].polygon == ((10, 20), (510, 20), (510, 120), (10, 120))
    assert block.zones[1].polygon == ((10, 120), (510, 120), (510, 220))


ZONES = (
    Zone(
        Kind.REGION,
        ((0, 0), (90, 0), (90, 90), (0, 90)),
        zones=(
            Zone(Kind.LINE, ((1, 1), (80, 1), (80, 10), (1, 10)), "", 'a < b & "c"', 0.5),
            Zone(Kind.LINE, ((1, 20), (80, 20), (80, 30), (1, 30)), "", "عربي 😀\x01", None),
            Zone(Kind.LINE, ((1, 40), (80, 40), (80, 50)), "", None, None),
        ),
    ),
)


@pytest.mark.parametrize("form", [page_xml, alto])
def test_what_is_written_is_read_again(tmp_path: Path, image: Path, form: Any) -> None:
    loose = Zone(Kind.LINE, ((100, 1), (180, 1), (180, 10), (100, 10)), "", "loose", 1.0)
    more = {"creator": "me", "created": "2026-01-01T00:00:00Z"} if form is page_xml else {}
    image.with_suffix(".xml").write_bytes(
        form.write("one.png", (200, 100), (*ZONES, loose), **more)
    )

    page = only(image.with_suffix(".xml"))

    def texts(zones: tuple[Zone, ...]) -> Iterator[tuple[Any, ...]]:
        for zone in zones:
            if zone.kind is Kind.LINE:
                yield zone.polygon, zone.text, zone.confidence
            yield from texts(zone.zones)

    assert set(texts(page.zones)) == {
        (ZONES[0].zones[0].polygon, 'a < b & "c"', 0.5),
        (ZONES[0].zones[1].polygon, "عربي 😀", None),
        (ZONES[0].zones[2].polygon, None, None),
        (loose.polygon, "loose", 1.0),
    }
    assert page.size == (200, 100)


BOMB = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]>
<alto><Layout>&c;</Layout></alto>"""
OUTSIDE = """<!DOCTYPE a [<!ENTITY b SYSTEM "/etc/passwd">]><PcGts>&b;</PcGts>"""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("<PcGts", "not XML"),
        ("", "not XML"),
        ("<svg/>", "'svg'"),
        ("<PcGts/>", "no element Page"),
        (PAGE_2010.replace("one.png", "two.png"), "'two.png' is not beside"),
        ("<alto/>", "0 pages"),
        ("<alto><Layout><Page/><Page/></Layout></alto>", "2 pages"),
        (PAGE_2013.replace('"200"', '"wide"'), "imageWidth"),
        (PAGE_2013.replace("90,90 0,90", "90,90 0"), "half a point"),
        (PAGE_2013.replace("90,90 0,90", "90,90 0,x"), "Coords"),
        (PAGE_2013.replace("90,90 0,90", "nan,90 0,1e99"), "Coords"),
        (
            "<PcGts><Page imageFilename='one.png' imageWidth='1' imageHeight='1'>"
            + "<TextRegion>" * 50
            + "</TextRegion>" * 50
            + "</Page></PcGts>",
            "deep",
        ),
    ],
)
def test_xml_that_cannot_be_used_names_itself(tmp_path: Path, content: str, why: str) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "one.png")
    path = tmp_path / "x.xml"
    path.write_text(content, encoding="utf-8")

    assert why in failure(path)


def test_the_image_of_a_file_cannot_lie_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    Image.new("L", (9, 9)).save(tmp_path / "secret.png")
    path = folder / "x.xml"
    path.write_text(
        "<PcGts><Page imageFilename='../../secret.png' imageWidth='9' imageHeight='9'/></PcGts>",
        encoding="utf-8",
    )

    assert "not beside" in failure(path)


def test_lines_in_csv_keep_commas_in_their_text(tmp_path: Path, image: Path) -> None:
    path = image.with_suffix(".csv")
    path.write_bytes(b'83,41,331,41,331,78,83,78,LOT 1851-A, "KPB" 6,\r\n\r\n1,2,3,4,5,6,7,8,\r\n')

    first, second = only(image).zones

    assert first.polygon == ((83, 41), (331, 41), (331, 78), (83, 78))
    assert (first.text, first.kind) == ('LOT 1851-A, "KPB" 6,', Kind.LINE)
    assert second.text is None


def test_lines_in_another_folder_are_found_by_the_name_of_the_image(
    tmp_path: Path, image: Path
) -> None:
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "one.csv").write_text("0,0,9,0,9,9,0,9,é", encoding="cp1252")

    assert only(image, lines=tmp_path / "lines").zones[0].text == "é"


@pytest.mark.parametrize("row", ["1,2,3", "a,b,c,d,e,f,g,h,text", "1,2,3,4,5,6,7,inf,x"])
def test_a_row_that_is_no_line_is_named(tmp_path: Path, image: Path, row: str) -> None:
    image.with_suffix(".csv").write_text(f"0,0,9,0,9,9,0,9,good\n{row}\n", encoding="utf-8")

    assert "one.csv, line 2" in failure(image)


def test_folders_are_folders_and_other_files_are_passed_over(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.JPG", "a.png", "b/c/deep.tif", ".hidden/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(path)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    (tmp_path / "labels.json").write_text('{"total": 1}', encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)

    assert [(page.folders, page.name) for page in found(tmp_path) if isinstance(page, Page)] == [
        ((), "a"),
        (("b",), "1"),
        (("b",), "2"),
        (("b", "c"), "deep"),
    ]


def test_an_image_and_the_file_that_describes_it_are_one_page(tmp_path: Path) -> None:
    book = tmp_path / "book"
    (book / "page").mkdir(parents=True)
    for name in ("one", "two"):
        Image.new("L", (200, 100)).save(book / f"{name}.png")
    (book / "page" / "one.xml").write_text(PAGE_2013, encoding="utf-8")
    (book / "two.xml").write_text(PAGE_2010.replace("one", "two"), encoding="utf-8")

    read = [page for page in found(tmp_path) if isinstance(page, Page)]

    assert [(page.folders, page.name, len(page.zones)) for page in read] == [
        (("book",), "one", 2),
        (("book",), "two", 1),
    ]


def test_one_bad_file_does_not_keep_the_others_back(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<PcGts/>", encoding="utf-8")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-nonsense")
    Image.new("L", (9, 9)).save(tmp_path / "c.png")

    first, second, third = found(tmp_path)

    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert "PDF" in second.why
    assert isinstance(third, Page)


def test_a_path_that_is_nothing_or_no_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        found(tmp_path / "nothing")
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InvalidRequest, match="not imported"):
        found(tmp_path / "a.txt")


def test_the_pages_of_a_pdf_file_are_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "letter.pdf"
    sheets = [Image.new("RGB", (144, 72), colour) for colour in ("red", "blue")]
    sheets[0].save(path, save_all=True, append_images=sheets[1:], resolution=72)

    first, second = found(path, dpi=144)

    assert isinstance(first, Page)
    assert isinstance(second, Page)
    assert (first.folders, first.name, second.name) == (("letter",), "1", "2")
    assert isinstance(second.image, ImageBytes)
    drawn = Image.open(io.BytesIO(second.image.read()))
    assert drawn.size == (288, 144)
    assert near(drawn.getpixel((50, 50)), (0, 0, 255))
    assert second.image.read() == second.image.read()
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 100)
    with pytest.raises(TooLarge, match="--dpi"):
        second.image.read()


def test_a_manifest_of_version_2_gives_its_canvases() -> None:
    service = {"@id": "https://images.example/iiif/p1", "profile": "level1"}
    painted = {"resource": {"@id": "https://images.example/p1.jpg", "service": service}}
    choice = {"resource": {"@type": "oa:Choice", "default": {"@id": "https://x.example/p2.jpg"}}}
    manifest = {
        "@type": "sc:Manifest",
        "label": [{"@value": "A  book"}],
        "sequences": [
            {
                "canvases": [
                    {"label": "f. 1r", "images": [painted]},
                    {"label": {"en": ["second"]}, "images": [choice]},
                    {"label": "empty", "images": []},
                ]
            }
        ],
    }
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return b"bytes"

    data = json.dumps(manifest).encode()
    first, second, third = iiif_manifest.read(data, "m", (), fetch)

    assert isinstance(first, Page)
    assert first.image == ImageService("https://images.example/iiif/p1")
    assert (first.folders, first.name) == (("A book",), "0001 f. 1r")
    assert isinstance(second, Page)
    assert isinstance(second.image, ImageBytes)
    assert (second.name, second.image.read(), asked) == (
        "0002 second",
        b"bytes",
        ["https://x.example/p2.jpg"],
    )
    assert isinstance(third, Failure)
    assert third.source == "m, canvas 3"


def test_a_manifest_of_version_3_gives_its_canvases(tmp_path: Path) -> None:
    service = [{"id": "https://images.example/iiif/p1", "type": "ImageService3"}]
    body = {"id": "https://images.example/p1.jpg", "type": "Image", "service": service}
    canvas = {
        "type": "Canvas",
        "label": {"none": ["i"]},
        "items": [{"type": "AnnotationPage", "items": [{"type": "Annotation", "body": body}]}],
    }
    manifest = {"type": "Manifest", "label": {"de": ["Ein Buch"]}, "items": [canvas]}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest), encoding="utf-8")

    page = only(tmp_path)

    assert (page.folders, page.name) == (("Ein Buch",), "0001 i")
    assert page.image == ImageService("https://images.example/iiif/p1")


@pytest.mark.parametrize(
    "content",
    [
        "[]", "nonsense", "{}", '{"type": "Collection", "items": []}',
        '{"type": "Manifest", "items": []}', '{"@type": "sc:Manifest", "sequences": [3]}',
        '{"@type": "sc:Manifest", "sequences": "x"}',
    ],
)  # fmt: skip
def test_json_that_is_no_manifest_is_refused_where_it_is_named(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content, encoding="utf-8")

    assert "anifest" in failure(path)


@pytest.mark.parametrize(
    "canvas", [3, {}, {"images": 3}, {"images": [3]}, {"images": [{"resource": {"service": 3}}]},
               {"items": [{"items": [{"body": {"type": "Choice", "items": [3]}}]}]}],
)  # fmt: skip
def test_a_canvas_without_an_image_names_itself(canvas: Any) -> None:
    manifest = {"type": "Manifest", "items": [canvas]}
    if isinstance(canvas, dict) and "images" in canvas:
        manifest = {"@type": "sc:Manifest", "sequences": [{"canvases": [canvas]}]}

    (failed,) = iiif_manifest.read(json.dumps(manifest).encode(), "m", (), never)

    assert isinstance(failed, Failure)


def test_a_polygon_is_cut_at_the_edges_of_the_image() -> None:
    size = (100, 50)
    assert pages.on_image(((0, 0), (10, 0), (10, 10)), (1, 1), size) == [
        [0, 0], [10, 0], [10, 10], [0, 0],
    ]  # fmt: skip
    assert pages.on_image(((-5, -5), (500, -5), (500, 20.4), (-5, 20.4)), (1, 1), size) == [
        [0, 0], [100, 0], [100, 20], [0, 20], [0, 0],
    ]  # fmt: skip
    assert pages.on_image(((0, 0), (20, 0), (20, 20), (0, 0)), (0.5, 0.5), size) == [
        [0, 0], [10, 0], [10, 10], [0, 0],
    ]  # fmt: skip
    for nothing in (
        (),
        ((1, 1),),
        ((0, 0), (5, 5)),
        ((0, 60), (9, 60), (9, 70)),
        ((0, 0), (9, 0), (20, 0)),
    ):
        assert pages.on_image(nothing, (1, 1), size) is None


def test_a_file_over_its_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.xml"
    path.write_text("<PcGts/>" + " " * 100, encoding="utf-8")
    monkeypatch.setattr(xml, "XML_BYTES", 50)
    monkeypatch.setattr(lines_csv, "CSV_BYTES", 50)

    assert "50 bytes" in failure(path)
    with pytest.raises(TooLarge):
        lines_csv.read(path)

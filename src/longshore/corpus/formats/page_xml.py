"""PAGE-XML, of all its versions since 2010: https://github.com/PRImA-Research-Lab/PAGE-XML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from longshore.corpus.formats import xml
from longshore.corpus.formats.pages import Kind, Page, Polygon, Zone, image_file
from longshore.errors import InvalidRequest

ROOT: Final = "PcGts"
_NAMESPACE: Final = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15"


def read(path: Path, root: Element, folders: tuple[str, ...]) -> Page:
    """Return the page of a file; regions without points are left out, their lines stay.

    Raises:
        InvalidRequest: it has no page, no image beside it, or numbers that are none.
    """
    page = xml.child(root, "Page")
    if page is None:
        raise InvalidRequest("The PAGE file has no element Page.")
    image = xml.image_beside(path, image_named(root))
    size = (
        xml.number(page.get("imageWidth"), "imageWidth"),
        xml.number(page.get("imageHeight"), "imageHeight"),
    )
    zones = _regions(page, _reading_order(page), 0)
    usable = size if min(size) > 0 else None
    return Page(str(path), image.stem, folders, image_file(image), tuple(zones), usable)


def image_named(root: Element) -> str:
    """Return what a file calls its image, or ""."""
    page = xml.child(root, "Page")
    return "" if page is None else page.get("imageFilename", "")


def write(
    image_name: str, size: tuple[int, int], zones: Iterable[Zone], *, creator: str, created: str
) -> bytes:
    """Return a page as a file of version 2019-07-15.

    Args:
        image_name: name of the image's file beside it.
        size: width and height of the image in pixels.
        zones: what is on the page; lines that are in no region get one around them all.
        creator: what made the file.
        created: when, in ISO 8601.
    """
    root = Element(ROOT, {"xmlns": _NAMESPACE})
    metadata = SubElement(root, "Metadata")
    for name, text in (("Creator", creator), ("Created", created), ("LastChange", created)):
        SubElement(metadata, name).text = text
    page = SubElement(
        root,
        "Page",
        imageFilename=image_name,
        imageWidth=str(size[0]),
        imageHeight=str(size[1]),
    )
    listed = list(zones)
    loose = tuple(zone for zone in listed if zone.kind is Kind.LINE)
    regions = [zone for zone in listed if zone.kind is Kind.REGION]
    if loose:
        regions.append(Zone(Kind.REGION, _around(loose), zones=loose))
    for index, region in enumerate(regions, 1):
        _write_region(page, region, f"r{index}")
    return xml.encoded(root)


def _reading_order(page: Element) -> dict[str, int]:
    """Return the place of each region that the file puts in order."""
    refs = [
        ref for order in xml.children(page, "ReadingOrder") for ref in order.iter()
        if xml.local(ref) in ("RegionRefIndexed", "RegionRef")
    ]  # fmt: skip
    return {ref.get("regionRef", ""): place for place, ref in enumerate(refs)}


def _regions(parent: Element, order: dict[str, int], depth: int) -> list[Zone]:
    if depth > xml.DEPTH:
        raise InvalidRequest(f"Its regions lie in each other more than {xml.DEPTH} deep.")
    found: list[Zone] = []
    regions = xml.children(parent, "TextRegion", "TableRegion")
    # Those that are not in the order come last, as they stand.
    for region in sorted(regions, key=lambda each: order.get(each.get("id", ""), len(order))):
        inner = [
            *[line for each in xml.children(region, "TextLine") if (line := _line(each))],
            *_regions(region, order, depth + 1),
        ]
        polygon = _polygon(region)
        if len(polygon) < 3:
            found += inner
        else:
            text, confidence = (None, None) if inner else _text(region)
            name = region.get("id", "")
            found.append(Zone(Kind.REGION, polygon, name, text, confidence, tuple(inner)))
    return found


def _line(line: Element) -> Zone | None:
    polygon = _polygon(line)
    if len(polygon) < 3:
        return None
    text, confidence = _text(line)
    return Zone(Kind.LINE, polygon, line.get("id", ""), text, confidence)


def _polygon(element: Element) -> Polygon:
    coords = xml.child(element, "Coords")
    if coords is None:
        return ()
    if "points" in coords.attrib:
        return xml.points(coords.attrib["points"], "Coords")
    # Version 2010 has an element for each point.
    return tuple(
        (xml.number(point.get("x"), "x"), xml.number(point.get("y"), "y"))
        for point in xml.children(coords, "Point")
    )


def _text(element: Element) -> tuple[str | None, float | None]:
    equivalents = xml.children(element, "TextEquiv")
    if not equivalents:
        words = [text for word in xml.children(element, "Word") if (text := _text(word)[0])]
        return " ".join(words) or None, None
    # Of several readings, the one with the lowest index is the main one.
    best = min(equivalents, key=lambda each: xml.number(each.get("index", "0"), "index"))
    unicode = xml.child(best, "Unicode")
    text = "".join(unicode.itertext()).strip() if unicode is not None else ""
    confidence = best.get("conf")
    sure = None if confidence is None else xml.number(confidence, "conf")
    return text or None, sure if sure is not None and 0 <= sure <= 1 else None


def _write_region(parent: Element, zone: Zone, identity: str) -> None:
    region = SubElement(parent, "TextRegion", id=identity)
    _write_polygon(region, zone.polygon)
    regions = [each for each in zone.zones if each.kind is Kind.REGION]
    lines = [each for each in zone.zones if each.kind is Kind.LINE]
    # The schema has inner regions before lines, and the text of the whole last.
    for index, each in enumerate(regions, 1):
        _write_region(region, each, f"{identity}r{index}")
    for index, each in enumerate(lines, 1):
        line = SubElement(region, "TextLine", id=f"{identity}l{index}")
        _write_polygon(line, each.polygon)
        _write_text(line, each)
    _write_text(region, zone)


def _write_polygon(element: Element, polygon: Polygon) -> None:
    text = " ".join(f"{round(x)},{round(y)}" for x, y in polygon)
    SubElement(element, "Coords", points=text)


def _write_text(element: Element, zone: Zone) -> None:
    if zone.text is None:
        return
    sure = {} if zone.confidence is None else {"conf": f"{zone.confidence:.4g}"}
    equivalent = SubElement(element, "TextEquiv", sure)
    SubElement(equivalent, "Unicode").text = xml.clean(zone.text)


def _around(zones: Iterable[Zone]) -> Polygon:
    corners = [point for zone in zones for point in zone.polygon]
    left, right = min(x for x, _ in corners), max(x for x, _ in corners)
    top, bottom = min(y for _, y in corners), max(y for _, y in corners)
    return ((left, top), (right, top), (right, bottom), (left, bottom))

"""ALTO, versions 2 to 4: https://www.loc.gov/standards/alto/."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, SubElement

from longshore.corpus.formats import xml
from longshore.corpus.formats.pages import Kind, Page, Polygon, Zone, image_file, rectangle
from longshore.errors import InvalidRequest

ROOT: Final = "alto"
_NAMESPACE: Final = "http://www.loc.gov/standards/alto/ns-v4#"
_BLOCKS: Final = ("TextBlock", "ComposedBlock")


def read(path: Path, root: Element, folders: tuple[str, ...]) -> Page:
    """Return the page of a file. Its unit of length does not matter: the page's size is known.

    Raises:
        InvalidRequest: it has no page or several, no image beside it, or numbers that are none.
    """
    pages = xml.descendants(root, "Page")
    if len(pages) != 1:
        raise InvalidRequest(
            f"The ALTO file has {len(pages)} pages. Only files of one page, with its image beside "
            "it, can be imported."
        )
    image = xml.image_beside(path, image_named(root))
    page = pages[0]
    spaces = xml.children(
        page, "PrintSpace", "TopMargin", "BottomMargin", "LeftMargin", "RightMargin"
    )
    zones = [zone for space in spaces for zone in _blocks(space, 0)]
    return Page(str(path), image.stem, folders, image_file(image), tuple(zones), _size(root, page))


def image_named(root: Element) -> str:
    """Return what a file calls its image, or ""."""
    names = xml.descendants(root, "fileName")
    return (names[0].text or "").strip() if names else ""


def write(image_name: str, size: tuple[int, int], zones: Iterable[Zone]) -> bytes:
    """Return a page as a file of version 4, in pixels.

    Args:
        image_name: name of the image's file beside it.
        size: width and height of the image in pixels.
        zones: what is on the page; each line is one String.
    """
    root = Element(ROOT, {"xmlns": _NAMESPACE})
    description = SubElement(root, "Description")
    SubElement(description, "MeasurementUnit").text = "pixel"
    source = SubElement(description, "sourceImageInformation")
    SubElement(source, "fileName").text = image_name
    layout = SubElement(root, "Layout")
    sides = {"WIDTH": str(size[0]), "HEIGHT": str(size[1])}
    page = SubElement(layout, "Page", {"ID": "page1", "PHYSICAL_IMG_NR": "1", **sides})
    space = SubElement(page, "PrintSpace", {"HPOS": "0", "VPOS": "0", **sides})
    listed = list(zones)
    loose = tuple(zone for zone in listed if zone.kind is Kind.LINE)
    blocks = [zone for zone in listed if zone.kind is Kind.REGION]
    if loose:
        block = SubElement(space, "TextBlock", {"ID": "b0", **_box(loose)})
        _write_lines(block, loose, "b0")
    for index, zone in enumerate(blocks, 1):
        _write_block(space, zone, f"b{index}")
    return xml.encoded(root)


def _size(root: Element, page: Element) -> tuple[float, float] | None:
    if page.get("WIDTH") and page.get("HEIGHT"):
        size = xml.number(page.get("WIDTH"), "WIDTH"), xml.number(page.get("HEIGHT"), "HEIGHT")
        if min(size) > 0:
            return size
    units = xml.descendants(root, "MeasurementUnit")
    unit = (units[0].text or "").strip().lower() if units else "pixel"
    if unit != "pixel":
        raise InvalidRequest(
            f"Its unit is {unit[:20]!r}, and the page has no WIDTH and HEIGHT to scale it by."
        )
    return None


def _blocks(parent: Element, depth: int) -> list[Zone]:
    if depth > xml.DEPTH:
        raise InvalidRequest(f"Its blocks lie in each other more than {xml.DEPTH} deep.")
    found: list[Zone] = []
    for block in xml.children(parent, *_BLOCKS):
        inner = [
            *[line for each in xml.children(block, "TextLine") if (line := _line(each))],
            *_blocks(block, depth + 1),
        ]
        polygon = _polygon(block)
        if len(polygon) < 3:
            found += inner
        else:
            name = block.get("ID", "")
            found.append(Zone(Kind.REGION, polygon, name, zones=tuple(inner)))
    return found


def _line(line: Element) -> Zone | None:
    polygon = _polygon(line)
    if len(polygon) < 3:
        return None
    parts: list[str] = []
    sure: list[float] = []
    for part in xml.children(line, "String", "SP", "HYP"):
        if xml.local(part) == "SP":
            parts.append(" ")
            continue
        parts.append(part.get("CONTENT", "-" if xml.local(part) == "HYP" else ""))
        if "WC" in part.attrib:
            sure.append(xml.number(part.attrib["WC"], "WC"))
    # Some programs leave the spaces between words out.
    spaced = any(xml.local(part) == "SP" for part in line)
    text = ("" if spaced else " ").join(parts).strip()
    confidence = sum(sure) / len(sure) if sure else None
    good = confidence is not None and 0 <= confidence <= 1
    return Zone(Kind.LINE, polygon, line.get("ID", ""), text or None, confidence if good else None)


def _polygon(element: Element) -> Polygon:
    shape = xml.child(element, "Shape")
    drawn = xml.child(shape, "Polygon") if shape is not None else None
    if drawn is not None and drawn.get("POINTS"):
        return xml.points(drawn.get("POINTS", ""), "POINTS")
    sides = [element.get(name) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
    if None in sides:
        return ()
    left, top, width, height = (xml.number(side, "a side of a block") for side in sides)
    return rectangle(left, top, width, height)


def _write_block(parent: Element, zone: Zone, identity: str) -> None:
    inner = [each for each in zone.zones if each.kind is Kind.REGION]
    lines = tuple(each for each in zone.zones if each.kind is Kind.LINE)
    if not inner:
        block = SubElement(parent, "TextBlock", {"ID": identity, **_box([zone])})
        _write_shape(block, zone.polygon)
        if zone.text is not None and not lines:
            lines = (Zone(Kind.LINE, zone.polygon, "", zone.text, zone.confidence),)
        _write_lines(block, lines, identity)
        return
    composed = SubElement(parent, "ComposedBlock", {"ID": identity, **_box([zone])})
    _write_shape(composed, zone.polygon)
    if lines:
        block = SubElement(composed, "TextBlock", {"ID": f"{identity}b0", **_box(lines)})
        _write_lines(block, lines, f"{identity}b0")
    for index, each in enumerate(inner, 1):
        _write_block(composed, each, f"{identity}b{index}")


def _write_lines(block: Element, lines: Iterable[Zone], identity: str) -> None:
    for index, zone in enumerate(lines, 1):
        line = SubElement(block, "TextLine", {"ID": f"{identity}l{index}", **_box([zone])})
        _write_shape(line, zone.polygon)
        if zone.text is not None:
            sure = {} if zone.confidence is None else {"WC": f"{zone.confidence:.4g}"}
            content = {"CONTENT": xml.clean(zone.text), **_box([zone]), **sure}
            SubElement(line, "String", content)


def _write_shape(element: Element, polygon: Polygon) -> None:
    text = " ".join(f"{round(x)},{round(y)}" for x, y in polygon)
    SubElement(SubElement(element, "Shape"), "Polygon", POINTS=text)


def _box(zones: Iterable[Zone]) -> dict[str, str]:
    corners = [point for zone in zones for point in zone.polygon]
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    width, height = max(x for x, _ in corners) - left, max(y for _, y in corners) - top
    sides = {"HPOS": left, "VPOS": top, "WIDTH": width, "HEIGHT": height}
    return {name: str(round(side)) for name, side in sides.items()}

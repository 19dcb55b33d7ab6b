"""XML of strangers: parsed without the tricks by which it could take memory, files or the network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, indent, tostring

from longshore.corpus.formats.pages import IMAGE_SUFFIXES, Point, Polygon, read_file
from longshore.errors import ConfigurationError, InvalidRequest

XML_BYTES: Final = 64 * 1024 * 1024
DEPTH: Final = 20
"""Deepest nesting of regions in regions."""


def parse(path: Path) -> Element:
    """Return the root of a file.

    Raises:
        InvalidRequest: it is not XML, or declares entities or a document type.
        TooLarge: it has more than `XML_BYTES`.
        ConfigurationError: the library for it is not installed.
    """
    try:
        from defusedxml import DefusedXmlException  # noqa: PLC0415 - only imports of XML need it
        from defusedxml.ElementTree import fromstring  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            "To read XML, install the extra: pip install 'longshore[corpus]'."
        ) from error
    try:
        # Without a document type there are no entities, so nothing that grows or is fetched.
        root: Element = fromstring(read_file(path, XML_BYTES), forbid_dtd=True)
    except ParseError as error:
        raise InvalidRequest(f"The file is not XML: {error}.") from error
    except DefusedXmlException as error:
        raise InvalidRequest(
            "The file declares a document type or entities, which files of this kind do not need. "
            "Remove the declaration."
        ) from error
    return root


def local(element: Element) -> str:
    """Return the name of an element without its namespace, which is another one in each version."""
    return element.tag.rpartition("}")[2]


def children(element: Element, *names: str) -> list[Element]:
    """Return the children that have one of these names, whatever their namespace."""
    return [child for child in element if local(child) in names]


def child(element: Element, name: str) -> Element | None:
    """Return the first child of that name, or None."""
    return next(iter(children(element, name)), None)


def descendants(element: Element, name: str) -> list[Element]:
    """Return all elements of that name at any depth, in the order of the file."""
    return [found for found in element.iter() if local(found) == name]


def number(text: str | None, what: str) -> float:
    """Return a number.

    Raises:
        InvalidRequest: it is none, or not finite.
    """
    try:
        found = float(text or "")
    except ValueError:
        found = float("nan")
    if not -1e9 < found < 1e9:
        raise InvalidRequest(f"{what} is {str(text)[:40]!r}, which is no number to use.")
    return found


def points(text: str, what: str) -> Polygon:
    """Return the points of a text such as "1,2 3,4" or "1 2 3 4".

    Raises:
        InvalidRequest: a part is no number, or there is half a point.
    """
    numbers = [number(part, what) for part in text.replace(",", " ").split()]
    if len(numbers) % 2:
        raise InvalidRequest(f"{what} holds half a point: {text[:80]!r}.")
    found: list[Point] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return tuple(found)


def image_beside(xml: Path, named: str) -> Path:
    """Return the image that belongs to a file: beside it, or one folder above.

    Args:
        xml: the file.
        named: what it calls its image; only the name counts, wherever it says that it lies.

    Raises:
        InvalidRequest: there is none.
    """
    name = named.replace("\\", "/").rpartition("/")[2]
    folders = (xml.parent, xml.parent.parent, xml.parent.parent / "images", xml.parent / "images")
    names = [name] if name and name not in {".", ".."} else []
    for stem in dict.fromkeys((Path(name).stem, xml.stem)):
        names += [f"{stem}{suffix}" for suffix in (*IMAGE_SUFFIXES, ".JPG", ".TIF")]
    for candidate in names:
        for folder in folders:
            path = folder / candidate
            if path.is_file():
                return path
    raise InvalidRequest(f"Its image {(name or xml.stem)[:200]!r} is not beside the file.")


def encoded(root: Element) -> bytes:
    """Return an element and all in it as a file, indented."""
    indent(root)
    data: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return data


def clean(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _UNWRITABLE.sub("", text)


_UNWRITABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

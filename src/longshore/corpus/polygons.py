"""Polygons of elements: bounding boxes, trimming, and undoing an image's rotation and mirroring.

A polygon is a list of [x, y] points in pixels of the whole image, x to the right, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from longshore.corpus import checks
from longshore.corpus.checks import check, shown

Coordinate = int | float
Point = Sequence[Coordinate]
Polygon = Sequence[Point]
PointLists = list[list[int]] | list[list[float]] | list[list[int | float]]
"""A polygon as the API takes it: lists, since JSON has no other sequences."""

_DECIMALS = 6
"""Digits kept of a turned coordinate, so that 99.9999999999 is the hundred that it stands for."""


class BoundingBox(NamedTuple):
    """The smallest upright rectangle around a polygon, in pixels."""

    x: Coordinate
    y: Coordinate
    width: Coordinate
    height: Coordinate


class ImageHolder:
    """What has an image with a zone on it: an Element of the API or a CachedElement.

    `image.py` only needs to know that much; the classes themselves are built on it.
    """

    if TYPE_CHECKING:
        id: Any
        rotation_angle: Any
        mirrored: Any
        polygon: Any


def polygon_bounding_box(polygon: Polygon) -> BoundingBox:
    """Return the bounding box of a polygon.

    Raises:
        ValueError: a point does not have two coordinates, or there is no point.
    """
    across, down = zip(*polygon, strict=True)
    x, y = min(across), min(down)
    return BoundingBox(x, y, max(across) - x, max(down) - y)


def trim_polygon(polygon: Polygon, image_width: int, image_height: int) -> list[list[int]]:
    """Move the points of a polygon that lie outside an image onto its edge.

    Points that fall together are kept once, so that the result may have fewer points; a polygon
    that was closed (last point equal to the first) stays closed.

    Raises:
        AssertionError: the polygon is no list of pairs of integers, or lies outside the image.
    """
    check(isinstance(polygon, list | tuple), f"polygon must be a list, not {shown(polygon)}")
    for point in polygon:
        check(
            isinstance(point, list | tuple) and len(point) == 2,
            f"each point of the polygon must be a list of two coordinates, not {shown(point)}",
        )
        check(
            all(isinstance(coordinate, int) for coordinate in point),
            f"the coordinates of a point must be integers, not {shown(point)}",
        )
    check(
        any(x <= image_width and y <= image_height for x, y in polygon),
        f"the polygon lies outside the image, which is {image_width} by {image_height} pixels",
    )
    trimmed: list[list[int]] = []
    for x, y in polygon:
        inside = [int(min(image_width, max(0, x))), int(min(image_height, max(0, y)))]
        if inside not in trimmed:
            trimmed.append(inside)
    if list(polygon[0]) == list(polygon[-1]):
        trimmed.append(trimmed[0])
    return trimmed


def revert_orientation(
    element: ImageHolder, polygon: PointLists, reverse: bool = False
) -> list[list[int]]:
    """Take a polygon found on an opened image back to the image as it is stored.

    `Element.open_image` turns and mirrors the image as its element says, while the API wants
    polygons of the image without that. Call this on each polygon found before it is sent.

    Args:
        element: the element whose image was opened.
        polygon: a polygon on the opened image; at least three points.
        reverse: go the other way, from the stored image to the opened one.

    Returns:
        The polygon, closed: its last point is its first.

    Raises:
        AssertionError: there is no element, no zone or no polygon.
    """
    check(
        isinstance(element, ImageHolder),
        f"element must be an Element or CachedElement, not {shown(element)}",
    )
    checks.points(polygon, "polygon")
    checks.flag(reverse, "reverse")
    parent = _parent_polygon(element)
    angle = element.rotation_angle or 0
    centre = _centre(parent)
    # Turning moves corners to negative places, and Pillow moves the whole back to start at 0, 0.
    box = polygon_bounding_box([_turned(point, angle, centre) for point in parent])
    points: list[Point] = [tuple(point) for point in polygon]
    if reverse:
        if element.mirrored:
            points = [_mirrored(point, centre) for point in points]
        points = [_turned(point, angle, centre) for point in points]
        points = [(x - box.x, y - box.y) for x, y in points]
    else:
        points = [(x + box.x, y + box.y) for x, y in points]
        points = [_turned(point, -angle, centre) for point in points]
        if element.mirrored:
            points = [_mirrored(point, centre) for point in points]
    if points[0] != points[-1]:
        points.append(points[0])
    return [[int(round(coordinate, _DECIMALS)) for coordinate in point] for point in points]


def _parent_polygon(element: ImageHolder) -> Polygon:
    try:
        polygon: Polygon | None = element.polygon
    except ValueError:
        polygon = None
    if not polygon:
        raise AssertionError(
            f"element {element.id} has no polygon, so its image has no orientation"
        )
    return polygon


def _centre(polygon: Polygon) -> tuple[float, float]:
    box = polygon_bounding_box(polygon)
    return box.x + box.width / 2, box.y + box.height / 2


def _turned(point: Point, angle: float, centre: tuple[float, float]) -> tuple[float, float]:
    """Turn a point clockwise around a centre, by an angle in degrees."""
    if not angle:
        return point[0], point[1]
    radians = math.radians(angle)
    cosine, sine = math.cos(radians), math.sin(radians)
    across, down = point[0] - centre[0], point[1] - centre[1]
    return centre[0] + across * cosine - down * sine, centre[1] + across * sine + down * cosine


def _mirrored(point: Point, centre: tuple[float, float]) -> tuple[float, float]:
    return 2 * centre[0] - point[0], point[1]

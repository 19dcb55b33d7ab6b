"""Polygons of zones, in one form: whole pixels, and the first point again at the end.

So the same zone is the same text, by which it is found again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from longshore import limits
from longshore.surfaces.corpus.scope import refusal


def checked(points: Sequence[Sequence[float]], width: int, height: int, *attr: str | int) -> str:
    """Return a polygon as it is stored.

    Args:
        points: [x, y] in pixels; fractions are rounded.
        width: of the image, in pixels; a point may lie on its edge.
        height: likewise.
        attr: path of the field, for the refusal.

    Raises:
        InvalidRequest: fewer than three different points, a point that is outside of the image or
            no point, or nothing inside.
    """
    name = "polygon" if not attr else str(attr[-1])
    if len(points) > limits.POLYGON_POINTS:
        raise refusal(
            f"{name} has {len(points)} points and may have {limits.POLYGON_POINTS}.", *attr
        )
    ring = []
    for index, point in enumerate(points):
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise refusal(f"{name}: point {index} is not [x, y], two numbers.", *attr)
        x, y = round(point[0]), round(point[1])
        if not (0 <= x <= width and 0 <= y <= height):
            raise refusal(
                f"{name}: the point [{x}, {y}] is outside of the image, which is {width} x "
                f"{height} pixels.",
                *attr,
            )
        ring.append([x, y])
    if len({(x, y) for x, y in ring}) < 3:
        raise refusal(f"{name} has fewer than three different points; give a surface.", *attr)
    if not (_spread(ring, 0) and _spread(ring, 1)):
        raise refusal(f"{name} is a line, with nothing inside; give a surface.", *attr)
    if ring[0] != ring[-1]:
        ring.append(ring[0])
    return msgspec.json.encode(ring).decode()


def _spread(ring: Sequence[Sequence[int]], axis: int) -> int:
    places = [point[axis] for point in ring]
    return max(places) - min(places)

"""Pieces of text and how they become rows, whatever angle the paper was scanned at."""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Piece:
    """One run of text as the recognition found it.

    Attributes:
        text: what was read, in compatibility form (full-width signs become plain ones).
        confidence: how sure the recognition is, 0 to 1.
        corners: top left, top right, bottom right, bottom left, in pixels of the page.
        page: index of the page in the file.
    """

    text: str
    confidence: float
    corners: tuple[Point, Point, Point, Point]
    page: int = 0

    @property
    def box(self) -> Box:
        """Left, top, right, bottom of the upright rectangle around the piece."""
        horizontal = [x for x, _ in self.corners]
        vertical = [y for _, y in self.corners]
        return min(horizontal), min(vertical), max(horizontal), max(vertical)

    @property
    def height(self) -> float:
        """Height of the letters in pixels, measured along the edges and so free of skew."""
        top_left, top_right, bottom_right, bottom_left = self.corners
        return (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2

    @property
    def width(self) -> float:
        """Length of the piece in pixels, measured along the edges."""
        top_left, top_right, bottom_right, bottom_left = self.corners
        return (math.dist(top_left, top_right) + math.dist(bottom_left, bottom_right)) / 2

    @property
    def angle(self) -> float:
        """Slope of the piece's base line in radians; positive falls to the right."""
        _, _, (right, right_y), (left, left_y) = self.corners
        return math.atan2(right_y - left_y, right - left)


@dataclass(frozen=True, slots=True)
class Row:
    """Pieces that stand on one line, from left to right."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        """The text of the row; pieces are two spaces apart, as columns are on paper."""
        return "  ".join(piece.text for piece in self.pieces)

    @property
    def page(self) -> int:
        """Index of the page that the row is on."""
        return self.pieces[0].page

    @property
    def box(self) -> Box:
        """The rectangle around the whole row."""
        return around(self.pieces)

    @property
    def height(self) -> float:
        """Height of the letters in pixels, of the longest piece."""
        return max(self.pieces, key=lambda piece: piece.width).height

    @property
    def confidence(self) -> float:
        """How sure the recognition is of the row, weighted by the length of the pieces."""
        letters = sum(len(piece.text) for piece in self.pieces)
        if letters == 0:
            return 0.0
        return sum(piece.confidence * len(piece.text) for piece in self.pieces) / letters


def plain(text: str) -> str:
    """Return `text` with full-width and other compatibility signs replaced by plain ones."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def around(pieces: Iterable[Piece]) -> Box:
    """Return the smallest upright rectangle that holds all pieces."""
    boxes = [piece.box for piece in pieces]
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )


def rows(pieces: Sequence[Piece]) -> list[Row]:
    """Group the pieces of one page into rows, top to bottom.

    The page's skew is measured first and taken out, a page that lies on its side included; then
    each piece, from left to right, joins the row whose last piece it continues. Comparing with
    the neighbour instead of a common line also follows paper that is curved.
    """
    skew = _skew(pieces)
    placed = sorted(
        (_placed(piece, skew) for piece in pieces if piece.height > 0 and piece.width > 0),
        key=lambda place: (place.left, place.middle),
    )
    chains: list[list[_Place]] = []
    for place in placed:
        best, best_distance = None, 0.5
        for chain in chains:
            last = chain[-1]
            distance = abs(place.middle - last.middle) / min(place.piece.height, last.piece.height)
            overlap = last.right - place.left
            if distance < best_distance and overlap < 0.5 * min(place.width, last.width):
                best, best_distance = chain, distance
        if best is None:
            chains.append([place])
        else:
            best.append(place)
    chains.sort(key=lambda chain: statistics.fmean(place.middle for place in chain))
    return [Row(tuple(place.piece for place in chain)) for chain in chains]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a piece stands once the page is turned upright."""

    left: float
    right: float
    middle: float
    piece: Piece

    @property
    def width(self) -> float:
        return self.right - self.left


def _placed(piece: Piece, skew: float) -> _Place:
    x = statistics.fmean(x for x, _ in piece.corners)
    y = statistics.fmean(y for _, y in piece.corners)
    centre = x * math.cos(skew) + y * math.sin(skew)
    middle = y * math.cos(skew) - x * math.sin(skew)
    return _Place(centre - piece.width / 2, centre + piece.width / 2, middle, piece)


def _skew(pieces: Sequence[Piece]) -> float:
    """Median slope of the longer pieces: short ones are measured too coarsely.

    The median is taken around the mean direction, since angles near a half turn change sign.
    """
    long = [piece for piece in pieces if piece.width > 3 * piece.height]
    if not long:
        return 0.0
    mean = math.atan2(
        sum(math.sin(piece.angle) for piece in long), sum(math.cos(piece.angle) for piece in long)
    )
    apart = [math.remainder(piece.angle - mean, math.tau) for piece in long]
    return mean + statistics.median(apart)

"""A graph of steps as shapes for a template: what stands in each node, and which lines stand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from longshore.dashboard.pages.workflows.layout import Layout, layered

STEPS_MAX: Final = 300
LINES_MAX: Final = 1_500
"""What is larger is shown as a table: nobody can follow its lines."""
NAME_CHARACTERS: Final = 20
SIGNS: Final = {
    "finished": "\N{CHECK MARK}", "failed": "\N{MULTIPLICATION X}", "running": "\N{BLACK RIGHT-POINTING TRIANGLE}",
    "ready": "\N{WHITE CIRCLE}", "waiting": "\N{MIDDLE DOT}", "hold": "\N{DOUBLE VERTICAL LINE}",
    "skipped": "\N{RIGHTWARDS ARROW WITH HOOK}", "cancelled": "\N{CIRCLED DIVISION SLASH}",
    "pending": "\N{MIDDLE DOT}",
}  # fmt: skip
"""States are told by these and by their words, never by colour alone."""


@dataclass(frozen=True, slots=True)
class Face:
    """What stands in a node; `title` is told when somebody points at it."""

    detail: str
    title: str
    href: str
    status: str = ""
    critical: bool = False
    selected: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node with its place."""

    x: int
    y: int
    name: str
    shown: str
    face: Face

    @property
    def sign(self) -> str:
        """The sign of its state."""
        return SIGNS.get(self.face.status, "")


@dataclass(frozen=True, slots=True)
class Edge:
    """A line; critical where both of its ends are."""

    path: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A graph that can be drawn; sizes in pixels."""

    width: int
    height: int
    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)


def picture(before: Mapping[str, Sequence[str]], faces: Mapping[str, Face]) -> Picture | None:
    """Draw a graph, or return None where it is too large to be read."""
    if len(before) > STEPS_MAX or sum(map(len, before.values())) > LINES_MAX:
        return None
    # The same picture is drawn again each second, with other faces.
    placed = _placed(tuple((name, tuple(earlier)) for name, earlier in before.items()))
    return Picture(
        placed.width,
        placed.height,
        [Node(at.x, at.y, at.name, shortened(at.name), faces[at.name]) for at in placed.places],
        [
            Edge(line.path, faces[line.before].critical and faces[line.after].critical)
            for line in placed.lines
        ],
    )


def shortened(name: str, characters: int = NAME_CHARACTERS) -> str:
    """Return a name that fits: its middle is left out, since names often differ at their ends."""
    if len(name) <= characters:
        return name
    head = characters // 2
    return f"{name[:head]}\N{HORIZONTAL ELLIPSIS}{name[len(name) - (characters - head - 1) :]}"


@lru_cache(maxsize=64)
def _placed(graph: tuple[tuple[str, tuple[str, ...]], ...]) -> Layout:
    return layered(dict(graph))

"""Where the nodes of a graph are drawn: in layers from left to right. Pure.

Each node stands one layer behind the farthest of those that it waits for. Edges that pass layers
get a place in each of them, so that they run between the nodes. Then the order within the layers
is improved by barycentres, and the heights are drawn towards the neighbours.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

NODE_WIDTH: Final = 168
NODE_HEIGHT: Final = 44
LAYER_GAP: Final = 56
NODE_GAP: Final = 14
PASS_HEIGHT: Final = 10
"""Height of the place of an edge that passes a layer."""
MARGIN: Final = 12
_SWEEPS: Final = 8
_PLACES_MAX: Final = 6_000
"""More places of passing edges are not ordered: those edges are drawn straight."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is drawn: its left upper corner, in pixels, and its layer from 0 on."""

    name: str
    layer: int
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """An edge, from the node that is waited for to the one that waits; `path` is SVG's `d`."""

    before: str
    after: str
    path: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A graph with all places; sizes in pixels."""

    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    width: int
    height: int


@dataclass(slots=True)
class _Slot:
    """A node, or the place of an edge that passes a layer."""

    layer: int
    height: int
    before: list[_Slot]
    after: list[_Slot]
    order: float = 0.0
    y: float = 0.0


def layered(before: Mapping[str, Sequence[str]]) -> Layout:
    """Place a graph without cycles.

    Args:
        before: the nodes that each one waits for, in the order in which nodes are given.
    """
    before = {name: tuple(dict.fromkeys(earlier)) for name, earlier in before.items()}
    layers = _layers(before)
    slots = {name: _Slot(layer, NODE_HEIGHT, [], []) for name, layer in layers.items()}
    chains = _chains(before, layers, slots)
    rows: dict[int, list[_Slot]] = defaultdict(list)
    passing = [slot for chain in chains.values() for slot in chain[1:-1]]
    for slot in [*slots.values(), *passing]:
        rows[slot.layer].append(slot)
    ordered = [rows[layer] for layer in sorted(rows)]
    _order(ordered)
    _settle(ordered)
    height = max((slot.y + slot.height for row in ordered for slot in row), default=0.0)
    places = tuple(
        Place(name, slot.layer, _left(slot.layer), round(slot.y) + MARGIN)
        for name, slot in slots.items()
    )
    lines = tuple(Line(one, other, _path(chain)) for (one, other), chain in chains.items())
    width = _left(len(ordered) - 1) + NODE_WIDTH + MARGIN if ordered else 2 * MARGIN
    return Layout(places, lines, width, round(height) + 2 * MARGIN)


def crossings(layout: Layout) -> int:
    """Count how often straight lines between the nodes of neighbouring layers cross."""
    at = {place.name: place for place in layout.places}
    by_layer: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for line in layout.lines:
        one, other = at[line.before], at[line.after]
        if other.layer == one.layer + 1:
            by_layer[one.layer].append((one.y, other.y))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for lines in by_layer.values()
        for index, a in enumerate(lines)
        for b in lines[:index]
    )


def _layers(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return the layer of each node: one behind the farthest of those that it waits for."""
    after: dict[str, list[str]] = {name: [] for name in before}
    missing = {name: len(earlier) for name, earlier in before.items()}
    for name, earlier in before.items():
        for each in earlier:
            after[each].append(name)
    layers = {name: 0 for name, count in missing.items() if count == 0}
    ready = list(layers)
    for name in ready:  # It grows while it is walked along.
        for later in after[name]:
            missing[later] -= 1
            layers[later] = max(layers.get(later, 0), layers[name] + 1)
            if missing[later] == 0:
                ready.append(later)
    return {name: layers[name] for name in before}


def _chains(
    before: Mapping[str, Sequence[str]], layers: Mapping[str, int], slots: Mapping[str, _Slot]
) -> dict[tuple[str, str], list[_Slot]]:
    """Return the slots that each edge goes through, linked to each other."""
    passed = sum(
        layers[name] - layers[each] - 1 for name, earlier in before.items() for each in earlier
    )
    chains: dict[tuple[str, str], list[_Slot]] = {}
    for name, earlier in before.items():
        for each in earlier:
            between = range(layers[each] + 1, layers[name]) if passed <= _PLACES_MAX else ()
            inner = [_Slot(layer, PASS_HEIGHT, [], []) for layer in between]
            chain = [slots[each], *inner, slots[name]]
            for one, other in itertools.pairwise(chain):
                one.after.append(other)
                other.before.append(one)
            chains[each, name] = chain
    return chains


def _order(rows: Sequence[list[_Slot]]) -> None:
    """Order each layer by the mean place of its neighbours, forth and back, and keep the best."""
    best, fewest = [list(row) for row in rows], _crossed(rows)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        forth = sweep % 2 == 0
        for row in rows[1:] if forth else list(reversed(rows))[1:]:
            for place, slot in enumerate(row):
                near = slot.before if forth else slot.after
                slot.order = sum(each.order for each in near) / len(near) if near else float(place)
            row.sort(key=lambda slot: slot.order)
            _number(row)
        crossed = _crossed(rows)
        if crossed < fewest:
            best, fewest = [list(row) for row in rows], crossed
    for row, kept in zip(rows, best, strict=True):
        row[:] = kept
        _number(row)


def _number(row: Sequence[_Slot]) -> None:
    for place, slot in enumerate(row):
        slot.order = float(place)


def _crossed(rows: Sequence[list[_Slot]]) -> int:
    for row in rows:
        _number(row)
    return sum(_inversions(row) for row in rows)


def _inversions(row: Sequence[_Slot]) -> int:
    """Count the crossings behind a layer, by a tree of sums over the places of the next one."""
    ends = [int(each) for slot in row for each in sorted(one.order for one in slot.after)]
    size = max(ends, default=0) + 2
    tree = [0] * (size + 1)
    count = 0
    for seen, end in enumerate(ends):
        place, below = end + 1, 0
        while place > 0:
            below += tree[place]
            place -= place & -place
        count += seen - below
        place = end + 1
        while place <= size:
            tree[place] += 1
            place += place & -place
    return count


def _settle(rows: Sequence[list[_Slot]]) -> None:
    """Give heights: in order, with gaps, and as near to the neighbours as that allows."""
    for row in rows:
        top = 0.0
        for slot in row:
            slot.y = top
            top += slot.height + NODE_GAP
    for turn in range(_SWEEPS):
        for row in rows if turn % 2 == 0 else list(reversed(rows)):
            _draw(row, [_wanted(slot, turn % 2 == 0) for slot in row])
    highest = min((slot.y for row in rows for slot in row), default=0.0)
    for row in rows:
        for slot in row:
            slot.y -= highest


def _wanted(slot: _Slot, forth: bool) -> float:
    near = (slot.before or slot.after) if forth else (slot.after or slot.before)
    if not near:
        return slot.y
    return sum(each.y + each.height / 2 for each in near) / len(near) - slot.height / 2


def _draw(row: Sequence[_Slot], wanted: Sequence[float]) -> None:
    """Move a layer towards what its slots want; none leaves its place in the order.

    Slots that would overlap become a block that stands at the mean of what they want.
    """
    blocks: list[tuple[float, int]] = []  # The mean of wanted tops of first slots, and how many.
    heights = [slot.height + NODE_GAP for slot in row]
    begins: list[int] = []
    for index in range(len(row)):
        begins.append(index)
        blocks.append((wanted[index], 1))
        while len(blocks) > 1:
            (top, count), (below, more) = blocks[-2], blocks[-1]
            length = sum(heights[begins[-2] : begins[-1]])
            if below >= top + length:
                break
            blocks[-2:] = [((top * count + (below - length) * more) / (count + more), count + more)]
            begins.pop()
    for begin, (top, count) in zip(begins, blocks, strict=True):
        y = top
        for index in range(begin, begin + count):
            row[index].y = y
            y += heights[index]


def _left(layer: int) -> int:
    return MARGIN + layer * (NODE_WIDTH + LAYER_GAP)


def _path(chain: Sequence[_Slot]) -> str:
    """Return the path of an edge: level through the layers, bent between them."""
    first = chain[0]
    y = round(first.y + first.height / 2) + MARGIN
    parts = [f"M{_left(first.layer) + NODE_WIDTH} {y}"]
    for last, slot in itertools.pairwise(chain):
        x, next_x = _left(last.layer) + NODE_WIDTH, _left(slot.layer)
        next_y = round(slot.y + slot.height / 2) + MARGIN
        bend = (x + next_x) // 2
        parts.append(f"C{bend} {y} {bend} {next_y} {next_x} {next_y}")
        if slot is not chain[-1]:
            parts.append(f"H{next_x + NODE_WIDTH}")
        y = next_y
    return "".join(parts)

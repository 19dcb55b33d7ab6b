"""Graphs in layers: order, room, and lines from node to node."""

from __future__ import annotations

import random

import pytest

from longshore.dashboard.pages.workflows.layout import (
    LAYER_GAP,
    NODE_HEIGHT,
    NODE_WIDTH,
    Layout,
    crossings,
    layered,
)


def at(layout: Layout) -> dict[str, tuple[int, int]]:
    return {place.name: (place.layer, place.y) for place in layout.places}


def check(layout: Layout, before: dict[str, list[str]]) -> None:
    """No node lies upon another or outside, and each waits to the right of what it waits for."""
    places = {place.name: place for place in layout.places}
    assert list(places) == list(before)
    for place in layout.places:
        assert 0 <= place.x <= layout.width - NODE_WIDTH
        assert 0 <= place.y <= layout.height - NODE_HEIGHT
        for other in layout.places:
            apart = abs(place.y - other.y) >= NODE_HEIGHT
            assert place is other or place.layer != other.layer or apart
    edges = [(each, name) for name, earlier in before.items() for each in earlier]
    assert [(line.before, line.after) for line in layout.lines] == edges
    for earlier, later in edges:
        assert places[earlier].x + NODE_WIDTH + LAYER_GAP <= places[later].x


def test_a_step_stands_behind_the_farthest_that_it_waits_for() -> None:
    before = {"d": ["a", "c"], "a": [], "b": ["a"], "c": ["b"], "alone": []}
    layout = layered(before)
    layers = {name: layer for name, (layer, _) in at(layout).items()}
    assert layers == {"a": 0, "b": 1, "c": 2, "d": 3, "alone": 0}
    check(layout, before)


def test_lines_that_cross_are_put_in_order() -> None:
    before = {"a": [], "b": [], "c": [], "x": ["c"], "y": ["b"], "z": ["a"]}
    layout = layered(before)
    assert crossings(layout) == 0
    check(layout, before)


def test_a_chain_is_a_straight_line() -> None:
    before = {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
    assert len({y for _, y in at(layered(before)).values()}) == 1


def test_a_line_that_passes_layers_runs_beside_their_nodes() -> None:
    before = {"a": [], "b": ["a"], "c": ["b"], "d": ["a", "c"]}
    layout = layered(before)
    (long,) = [line for line in layout.lines if (line.before, line.after) == ("a", "d")]
    straight = [line for line in layout.lines if (line.before, line.after) == ("b", "c")]
    assert long.path.count("H") == 2
    assert straight[0].path.count("H") == 0
    check(layout, before)


def test_nothing_is_a_small_empty_picture() -> None:
    layout = layered({})
    assert (layout.places, layout.lines) == ((), ())
    assert layout.width > 0


@pytest.mark.parametrize("seed", range(5))
def test_graphs_of_a_hundred_steps_keep_their_places_apart(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"step{number}" for number in range(100)]
    before = {
        name: sorted(chance.sample(names[:number], min(number, chance.randrange(4))))
        for number, name in enumerate(names)
    }
    layout = layered(before)
    check(layout, before)
    assert layered(before) == layout

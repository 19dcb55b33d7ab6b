"""Graphs of steps, and the order in which ready ones are run."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import InvalidRequest
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.graph import Graph, cycle
from longshore.surfaces.scripts.planning.ordering import (
    LOCAL_S,
    PRIORITY_STEP,
    priority,
    remaining_paths,
)

GLOBAL = Order()
DAY_S = 86_400.0

seconds = st.floats(min_value=0, max_value=30 * DAY_S)


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    """Return steps that wait only for ones with lower numbers, named in any order."""
    count = draw(st.integers(1, 25))
    names = [f"s{number}" for number in range(count)]
    waits = {
        name: draw(st.lists(st.sampled_from(names[:number]), max_size=4)) if number else []
        for number, name in enumerate(names)
    }
    return {name: waits[name] for name in draw(st.permutations(names))}


@st.composite
def runs(draw: st.DrawFn) -> tuple[Graph, dict[str, float], str]:
    """Return a graph, durations, and one of its steps."""
    graph = Graph.of(draw(acyclic()))
    return (
        graph,
        {name: draw(seconds) for name in graph.before},
        draw(st.sampled_from(graph.sorted)),
    )


@given(acyclic())
def test_steps_are_sorted_behind_what_they_wait_for_and_none_is_lost(
    waits: dict[str, list[str]],
) -> None:
    graph = Graph.of(waits)
    place = {name: index for index, name in enumerate(graph.sorted)}
    assert sorted(graph.sorted) == sorted(waits)
    assert all(place[each] < place[name] for name, earlier in waits.items() for each in earlier)
    assert cycle(waits) is None


@given(acyclic(), st.data())
def test_a_circle_is_always_found_and_named_step_by_step(
    waits: dict[str, list[str]], data: st.DataObject
) -> None:
    graph = Graph.of(waits)
    last = data.draw(st.sampled_from(graph.sorted))
    first = data.draw(st.sampled_from(sorted(graph.ancestors(last) | {last})))
    waits[first] = [*waits[first], last]
    found = cycle(waits)
    assert found is not None
    assert len(set(found)) == len(found)
    assert all(later in waits[name] for name, later in pairwise([*found, found[0]]))
    with pytest.raises(InvalidRequest) as refused:
        Graph.of(waits)
    assert all(repr(name)[1:-1] in refused.value.message for name in found)


def test_a_step_that_waits_for_an_unknown_one_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'load' depends on 'transfrom'"):
        Graph.of({"transform": [], "load": ["transfrom"]})


@given(runs())
def test_a_step_is_as_long_as_itself_and_the_longest_of_its_successors(
    run: tuple[Graph, dict[str, float], str],
) -> None:
    graph, durations, _ = run
    paths = remaining_paths(graph, durations, GLOBAL)
    for name, later in graph.after.items():
        assert paths[name] == durations[name] + max((paths[each] for each in later), default=0.0)


@given(runs())
def test_no_step_comes_after_its_successors_in_either_order(
    run: tuple[Graph, dict[str, float], str],
) -> None:
    graph, durations, target = run
    for order in (GLOBAL, Order(path="local", step=target)):
        paths = remaining_paths(graph, durations, order)
        assert set(paths) == set(graph.before)
        for name, later in graph.after.items():
            for each in later:
                assert paths[name] >= paths[each]
                assert priority(100, paths[name]) >= priority(100, paths[each])


@given(runs())
def test_in_local_order_whatever_leads_to_the_target_comes_before_all_else(
    run: tuple[Graph, dict[str, float], str],
) -> None:
    graph, durations, target = run
    paths = remaining_paths(graph, durations, Order(path="local", step=target))
    everywhere = remaining_paths(graph, durations, GLOBAL)
    leading = graph.ancestors(target) | {target}
    assert paths[target] == LOCAL_S + durations[target]
    for name in graph.before:
        if name in leading:
            assert priority(100, paths[name]) >= PRIORITY_STEP * 899 + PRIORITY_STEP // 2
            assert paths[name] - LOCAL_S <= everywhere[name] + 1e-3
        else:
            assert paths[name] == everywhere[name]
            assert priority(100, paths[name]) < PRIORITY_STEP * 899 + PRIORITY_STEP // 2


@given(runs(), st.randoms(use_true_random=False))
def test_paths_do_not_depend_on_the_order_in_which_steps_are_written(
    run: tuple[Graph, dict[str, float], str], chance: object
) -> None:
    graph, durations, target = run
    names = list(graph.before)
    chance.shuffle(names)  # type: ignore[attr-defined]
    other = Graph.of({name: tuple(reversed(graph.before[name])) for name in names})
    for order in (GLOBAL, Order(path="local", step=target)):
        assert remaining_paths(other, durations, order) == remaining_paths(graph, durations, order)


@given(
    st.integers(0, 999), st.integers(0, 999), st.floats(0, 3 * LOCAL_S), st.floats(0, 3 * LOCAL_S)
)
def test_the_event_comes_before_the_path_and_both_fit_into_one_number(
    event: int, other_event: int, path: float, other_path: float
) -> None:
    first, second = priority(event, path), priority(other_event, other_path)
    assert 0 <= first <= 999_999_999
    if event < other_event:
        assert first > second
    if event == other_event and path >= other_path:
        assert first >= second


@settings(max_examples=300)
@given(st.floats(0, 1_000 * 30 * DAY_S))
def test_paths_that_differ_by_more_than_a_ten_thousandth_are_told_apart(path: float) -> None:
    longer = path * 1.0001 + 1e-6
    assert priority(100, longer) > priority(100, path)
    # Behind LOCAL_S a float has no finer step than two microseconds.
    assert priority(100, LOCAL_S + longer + 1e-5) > priority(100, LOCAL_S + path)

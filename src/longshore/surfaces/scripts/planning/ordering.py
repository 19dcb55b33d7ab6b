"""Which ready step comes first: the one with the longest path still to go.

Scheduler and simulator both order by `priority(event_priority, remaining_paths(...)[step])`, the
highest first; among equals the one that was ready first, then the one that was submitted first,
which is the order in which the engine claims.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.graph import Graph

LOCAL_S: Final = 1e10
"""What local order adds to the paths of the target's ancestors: no path takes 300 years."""
PRIORITY_STEP: Final = 1_000_000
"""Works of one event priority have priorities of the engine in a range of this size."""
EVENT_PRIORITY_MAX: Final = 999

_HALF: Final = PRIORITY_STEP // 2
_FINEST_S: Final = 0.01
_SCALE: Final = (_HALF - 1) / math.log1p(LOCAL_S / _FINEST_S)


def remaining_paths(graph: Graph, durations: Mapping[str, float], order: Order) -> dict[str, float]:
    """Return what each step is ordered by: the length of the longest path from its start on.

    Global order: seconds of the longest chain of steps from this one, itself included, to any end.
    Local order: the target and all that it waits for have the seconds of the longest chain to the
    target, plus `LOCAL_S`, and so come before all others, which have what global order gives them.

    Args:
        graph: steps by name.
        durations: expected seconds of each step, 0 for what is settled or has no work.
        order: `order.step` is a name of the graph where the path is local.
    """
    paths = longest_paths(graph, durations)
    if order.path == "local" and order.step is not None:
        target = order.step
        chosen = graph.ancestors(target) | {target}
        to_target: dict[str, float] = {}
        for name in reversed(graph.sorted):
            if name in chosen:
                later = (to_target[each] for each in graph.after[name] if each in chosen)
                # What follows the target counts for nothing on the way to it.
                further = 0.0 if name == target else max(later)
                to_target[name] = durations[name] + further
        paths |= {name: LOCAL_S + length for name, length in to_target.items()}
    return paths


def longest_paths(graph: Graph, durations: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of the longest chain from the start of each step to any end."""
    paths: dict[str, float] = {}
    for name in reversed(graph.sorted):
        paths[name] = durations[name] + max(map(paths.__getitem__, graph.after[name]), default=0.0)
    return paths


def priority(event_priority: int, remaining: float) -> int:
    """Return the engine's priority of a step's work, 0 to 999,999,999; higher is claimed first.

    The event's priority (0 is first, 999 last) comes before everything; within it the step with
    the longer remaining path is first. Lengths are told apart from hundredths of a second to
    years: to 0.01 % of the length, or half a microsecond.

    Args:
        event_priority: 0 to 999.
        remaining: as `remaining_paths` gives it.
    """
    local = remaining >= LOCAL_S
    length_s = min(max(remaining - LOCAL_S if local else remaining, 0.0), LOCAL_S)
    place = int(_SCALE * math.log1p(length_s / _FINEST_S)) + (_HALF if local else 0)
    return (EVENT_PRIORITY_MAX - event_priority) * PRIORITY_STEP + place

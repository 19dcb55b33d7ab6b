"""Which chain of steps decided how long a simulated run took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from longshore.surfaces.scripts.planning.simulating import Outcome, Plan, Task

_SAME_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Link:
    """A step of the chain; `queued` tells that it waited for the slot of the one before it."""

    name: str
    queued: bool


def decisive(plan: Plan, outcome: Outcome) -> list[Link]:
    """Return the steps, from the first to the last, each of which began when the one before ended.

    The last one ended the run. Before a step comes what it waited for, or else what gave it the
    slot or the key that it needed. With more slots than steps that is the critical path.
    """
    tasks = {task.name: task for task in plan.tasks if task.name in outcome.ends}
    last = max(tasks, key=outcome.ends.__getitem__, default=None)
    chain: list[Link] = []
    seen: set[str] = set()
    while last is not None and last not in seen:
        seen.add(last)
        before, queued = _before(plan, outcome, tasks, last)
        if tasks[last].host is not None and tasks[last].duration_s > 0:
            chain.append(Link(last, queued))
        last = before
    return chain[::-1]


def _before(
    plan: Plan, outcome: Outcome, tasks: Mapping[str, Task], name: str
) -> tuple[str | None, bool]:
    begun_s = outcome.starts[name]
    if begun_s <= _SAME_S:
        return None, False
    waited = [each for each in plan.graph.before[name] if each in tasks]
    latest = max(waited, key=outcome.ends.__getitem__, default=None)
    if latest is not None and outcome.ends[latest] >= begun_s - _SAME_S:
        return latest, False
    # It was ready before it began: something made room at that moment, on its host or elsewhere.
    ended = [
        each
        for each, task in tasks.items()
        if abs(outcome.ends[each] - begun_s) <= _SAME_S and task.duration_s > 0 and each != name
    ]
    ended.sort(key=lambda each: tasks[each].host != tasks[name].host)
    return (ended[0], True) if ended else (latest, False)

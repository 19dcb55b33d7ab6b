"""When a run will be over: its steps as they are now, played through to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.graph import Graph
from longshore.surfaces.scripts.planning.ordering import longest_paths
from longshore.surfaces.scripts.planning.simulating import Outcome, Plan, Task, simulate

FLOOR_S: Final = 1.0
"""A running step is expected to take at least so much longer, however long it has run already."""
PROGRESS_MAX: Final = 99
"""Percent shown of what is not over: a forecast is no proof that the end is near."""
_SLACK_S: Final = 1e-6

Phase = Literal["waiting", "queued", "running", "over"]


@dataclass(frozen=True, slots=True)
class LiveStep:
    """A step of a run as it is now; lengths in seconds.

    Attributes:
        phase: waits for others; waits for a worker; runs; is over, or takes no work.
        expected_s: what it takes from its start on.
        elapsed_s: since its present attempt began, where it runs.
        queued_s: since it became ready, where it waits for a worker.
        blocked: it cannot go on as things are, hold or not: what it waits for has failed.
        foreign: it belongs to another run and only takes its slot.
        other fields: as those of simulating.Task.
    """

    name: str
    host: str | None
    phase: Phase
    expected_s: float
    before: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    queued_s: float = 0.0
    keys: tuple[tuple[str, int], ...] = ()
    held: bool = False
    blocked: bool = False
    foreign: bool = False
    event_priority: int = 100
    priority: int | None = None

    @property
    def remaining_s(self) -> float:
        """What is expected to be left of it."""
        if self.phase == "over" or self.host is None:
            return 0.0
        if self.phase == "running":
            return max(self.expected_s - self.elapsed_s, min(FLOOR_S, self.expected_s))
        return self.expected_s

    @property
    def overrun_s(self) -> float:
        """How much longer than expected it has run already."""
        return max(self.elapsed_s - self.expected_s, 0.0) if self.phase == "running" else 0.0

    @property
    def progress(self) -> int:
        """Percent of the expected duration that has passed, below 100 until it is over."""
        if self.phase == "over":
            return 100
        if self.phase != "running":
            return 0
        return percent(self.elapsed_s, self.expected_s)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is expected of a step; times in seconds from now.

    Attributes:
        starts_s: None where it has started already, or never will as things are.
        ends_s: None where it is over already, or never will be as things are.
        slack_s: how much longer it could take without making the longest chain longer.
        critical: it is on the longest chain of what is left, to any end or to the local target.
    """

    starts_s: float | None
    ends_s: float | None
    slack_s: float | None
    critical: bool


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is expected of the rest of a run.

    Attributes:
        remaining_s: until its last step is over.
        chain_s: length of the longest chain of what is left: no number of workers is faster.
        steps: by name.
        stuck: steps that never start as things are: on hold, without a worker, or behind such.
    """

    remaining_s: float
    chain_s: float
    steps: Mapping[str, Estimate]
    stuck: tuple[str, ...]


def plan_rest(steps: Sequence[LiveStep], order: Order, *, holds: bool) -> Plan:
    """Return what is left of a run as a plan; with `holds` steps on hold never start."""
    return Plan.of([_task(step, holds) for step in steps], order)


def continuation(
    steps: Sequence[LiveStep], order: Order, slots: Mapping[str, int], *, holds: bool = True
) -> Continuation:
    """Play the rest of a run through with so many slots on each host.

    Args:
        steps: all steps of the run, in the order of their submission.
        order: how its ready steps are ordered.
        slots: of each host; one that is not named has none.
        holds: whether what is on hold stays so; else as if it were resumed now.
    """
    target = next((step for step in steps if step.name == order.step), None)
    if target is not None and target.phase == "over":
        order = Order()  # What was hurried is there.
    plan = plan_rest(steps, order, holds=holds)
    outcome = simulate(plan, slots)
    own = [step for step in steps if not step.foreign]
    graph = Graph.of({step.name: plan.graph.before[step.name] for step in own})
    durations = {task.name: task.duration_s for task in plan.tasks}
    slack = _slack(graph, durations, order)
    return Continuation(
        remaining_s=max((outcome.ends.get(step.name, 0.0) for step in own), default=0.0),
        chain_s=max(longest_paths(graph, durations).values(), default=0.0),
        steps={step.name: _estimate(step, outcome, slack[step.name]) for step in own},
        stuck=tuple(step.name for step in own if step.name not in outcome.ends),
    )


def percent(elapsed_s: float, expected_s: float) -> int:
    """Return which part of what is expected has passed, in percent, capped below 100."""
    if expected_s <= 0:
        return PROGRESS_MAX
    return min(int(100 * elapsed_s / expected_s), PROGRESS_MAX)


def _task(step: LiveStep, holds: bool) -> Task:
    return Task(
        name=step.name,
        host=None if step.phase == "over" else step.host,
        duration_s=step.remaining_s,
        before=() if step.phase in ("over", "running", "queued") else step.before,
        keys=step.keys,
        running=step.phase == "running",
        submitted=step.phase == "queued",
        held=step.blocked or (holds and step.held and step.phase in ("waiting", "queued")),
        ready_s=-step.queued_s,
        event_priority=step.event_priority,
        priority=step.priority,
    )


def _estimate(step: LiveStep, outcome: Outcome, slack_s: float | None) -> Estimate:
    over = step.phase == "over"
    return Estimate(
        starts_s=None if over or step.phase == "running" else outcome.starts.get(step.name),
        ends_s=None if over else outcome.ends.get(step.name),
        slack_s=None if over else slack_s,
        critical=not over and slack_s is not None and slack_s <= _SLACK_S,
    )


def _slack(graph: Graph, durations: Mapping[str, float], order: Order) -> dict[str, float | None]:
    """Return how far each step is from the longest chain; None for what does not lead to a target."""
    slack: dict[str, float | None] = dict.fromkeys(graph.before)
    if order.path == "local" and order.step is not None:
        chosen = graph.ancestors(order.step) | {order.step}
        graph = Graph.of({name: graph.before[name] for name in graph.sorted if name in chosen})
    tails = longest_paths(graph, durations)
    heads: dict[str, float] = {}
    for name in graph.sorted:
        earlier = (heads[each] + durations[each] for each in graph.before[name])
        heads[name] = max(earlier, default=0.0)
    longest = max(tails.values(), default=0.0)
    return slack | {name: longest - heads[name] - tails[name] for name in heads}

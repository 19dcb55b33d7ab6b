"""Throttles tried one after the other: what each would cost and bring, and how many are enough."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from longshore.surfaces.scripts.planning.simulating import Plan, lower_bound, simulate

KNEE: Final = 1.05
"""The knee is the lowest throttle whose makespan is within 5 % of the shortest of all tried."""
# Sums of the same numbers in another order differ in their last digits.
_SAME: Final = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Trial:
    """One throttle tried.

    Attributes:
        throttle: slots of each host that is not fixed.
        slots: of every host.
        makespan_s: of the run; with samples the median of them.
        high_s: nine of ten samples are no longer; the makespan where there are no samples.
        idle_s: seconds of slots with nothing to do.
        utilisation: used part of the time of all slots, 0 to 1.
        bound_s: no order is shorter: the longest chain, or a host's work over its slots.
        longer: one slot more has made the run longer than the throttle tried before.
        stuck: steps that never start.
    """

    throttle: int
    slots: Mapping[str, int]
    makespan_s: float
    high_s: float
    idle_s: float
    utilisation: float
    bound_s: float
    longer: bool
    stuck: tuple[str, ...]


def try_throttles(
    plan: Plan,
    throttles: Iterable[int],
    *,
    fixed: Mapping[str, int],
    samples: Sequence[Sequence[float]] = (),
) -> list[Trial]:
    """Simulate a plan for each throttle, given in ascending order.

    Args:
        plan: what is to be run; its priorities stay the same, whatever the durations of a sample.
        throttles: slots of each host.
        fixed: slots of hosts that do not change with the throttle.
        samples: durations of all tasks, one list for each sample; none for the plan's own.
    """
    trials: list[Trial] = []
    for throttle in throttles:
        slots = {host: fixed.get(host, throttle) for host in plan.hosts}
        played = [simulate(each, slots) for each in _variants(plan, samples)]
        played.sort(key=lambda outcome: outcome.makespan_s)
        makespan_s = median(outcome.makespan_s for outcome in played)
        trials.append(
            Trial(
                throttle=throttle,
                slots=slots,
                makespan_s=makespan_s,
                high_s=played[(9 * len(played) + 9) // 10 - 1].makespan_s,
                idle_s=median(outcome.idle_s for outcome in played),
                utilisation=median(outcome.utilisation for outcome in played),
                bound_s=lower_bound(plan, slots),
                longer=bool(trials) and makespan_s > trials[-1].makespan_s * _SAME,
                stuck=played[0].stuck,
            )
        )
    return trials


def knee(trials: Sequence[Trial]) -> int | None:
    """Return the lowest throttle whose makespan is within 5 % of the shortest; None without trials."""
    shortest = min((trial.makespan_s for trial in trials), default=0.0)
    return next((each.throttle for each in trials if each.makespan_s <= shortest * KNEE), None)


def sampled(
    plan: Plan, histories: Mapping[str, Sequence[float]], *, count: int, seed: int
) -> list[list[float]]:
    """Return durations of all tasks, `count` times, each drawn from what the step took before.

    Args:
        plan: whose tasks.
        histories: seconds by name of the task; those without keep the duration of the plan.
        count: how many samples.
        seed: the same seed draws the same.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation, to be repeated at will
    return [
        [
            chance.choice(histories[task.name]) if histories.get(task.name) else task.duration_s
            for task in plan.tasks
        ]
        for _ in range(count)
    ]


def _variants(plan: Plan, samples: Sequence[Sequence[float]]) -> list[Plan]:
    return [plan.lasting(durations) for durations in samples] or [plan]

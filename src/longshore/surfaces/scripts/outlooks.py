"""What a workflow would take if it were started now, and with other throttles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from longshore.surfaces.scripts import capacity, simulations
from longshore.surfaces.scripts.capacity import Capacity
from longshore.surfaces.scripts.planning.chains import Link, decisive
from longshore.surfaces.scripts.planning.ordering import longest_paths
from longshore.surfaces.scripts.planning.simulating import Outcome, simulate
from longshore.surfaces.scripts.simulations import Prepared, Request


@dataclass(frozen=True, slots=True)
class Outlook:
    """A workflow, or the rest of a run, played through on the slots that its hosts have now.

    Attributes:
        outcome: nothing else runs, each step takes what is expected of it, holds are lifted.
        chain_s: length of the longest chain: no number of workers is faster.
        critical: names of the steps on it, as the plan has them.
        chain: what decides with these slots.
        expected: seconds of each step that has any, by its name in the plan.
        there: what the hosts have, by folded name.
        shown: names of steps as they are written, by those in the plan.
        without_history: steps whose durations are guesses.
    """

    outcome: Outcome
    chain_s: float
    critical: frozenset[str]
    chain: list[Link]
    expected: Mapping[str, float]
    there: Mapping[str, Capacity]
    shown: Mapping[str, str]
    without_history: list[str]


def of_workflow(connection: Connection, organisation_id: str, name: str) -> Outlook:
    """Look ahead at a run of the newest version that would begin now.

    Raises:
        NotFound: there is no such workflow.
    """
    prepared = simulations.of_workflow(connection, organisation_id, name, Request(throttles=[1]))
    return _outlook(connection, organisation_id, prepared)


def of_run(connection: Connection, organisation_id: str, run_id: str) -> Outlook:
    """Look ahead at the rest of a run, as if nothing else ran.

    Raises:
        NotFound: the organisation has no such run.
    """
    prepared = simulations.of_run(connection, organisation_id, run_id, Request(throttles=[1]))
    return _outlook(connection, organisation_id, prepared)


def chains(prepared: Prepared, trials: list[dict[str, Any]]) -> list[list[Link]]:
    """Return for each trial of `simulations.play` the chain that decides; steps as they are written."""
    return [
        [
            Link(prepared.shown.get(link.name, link.name), link.queued)
            for link in decisive(prepared.plan, simulate(prepared.plan, trial["slots"]))
        ]
        for trial in trials
    ]


def _outlook(connection: Connection, organisation_id: str, prepared: Prepared) -> Outlook:
    plan = prepared.plan
    there = capacity.of_hosts(connection, organisation_id, plan.hosts)
    outcome = simulate(plan, {name: each.slots for name, each in there.items()})
    durations = {task.name: task.duration_s for task in plan.tasks}
    tails = longest_paths(plan.graph, durations)
    longest = max(tails.values(), default=0.0)
    return Outlook(
        outcome=outcome,
        chain_s=longest,
        critical=_critical(plan.graph.before, plan.graph.sorted, durations, tails),
        chain=decisive(plan, outcome),
        expected={task.name: task.duration_s for task in plan.tasks if task.host is not None},
        there=there,
        shown=prepared.shown,
        without_history=list(prepared.about["without_history"]),
    )


def _critical(
    before: Mapping[str, tuple[str, ...]],
    ordered: tuple[str, ...],
    durations: Mapping[str, float],
    tails: Mapping[str, float],
) -> frozenset[str]:
    """Return the steps that have no slack."""
    longest = max(tails.values(), default=0.0)
    heads: dict[str, float] = {}
    for name in ordered:
        heads[name] = max((heads[each] + durations[each] for each in before[name]), default=0.0)
    return frozenset(name for name in ordered if heads[name] + tails[name] >= longest - 1e-6)

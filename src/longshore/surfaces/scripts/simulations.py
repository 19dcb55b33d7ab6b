"""What-if: a workflow from its beginning, or the rest of a run, with one throttle after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from longshore import limits
from longshore.clock import SECOND_US
from longshore.errors import InvalidRequest, TooLarge
from longshore.storage import now_us
from longshore.surfaces.scripts import durations, live, workflows
from longshore.surfaces.scripts.definition.model import Name, Order, Status, Step, Workflow
from longshore.surfaces.scripts.definition.suggesting import hint
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.live import folded_order
from longshore.surfaces.scripts.planning.forecasting import plan_rest
from longshore.surfaces.scripts.planning.ordering import longest_paths
from longshore.surfaces.scripts.planning.simulating import Plan, Task
from longshore.surfaces.scripts.planning.throttles import (
    Trial,
    knee,
    sampled,
    try_throttles,
)

KNEE_RULE: Final = "the lowest throttle whose makespan is within 5 % of the shortest of all tried"
ASSUMPTIONS: Final = (
    "every attempt succeeds, conditions hold and flags are set",
    "nothing else runs on the hosts, and each has workers for its throttle",
    "starting a step takes no time",
)

Slots = Annotated[int, Meta(ge=1, le=10_000)]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be tried.

    Attributes:
        throttles: slots of each host that is not fixed, each tried by itself.
        hosts: hosts with so many slots whatever the throttle.
        order: how ready steps are ordered; None for as the workflow or the run says.
        holds: whether what is on hold never starts, or is taken as resumed.
        samples: with 0 each step takes what is expected of it; else so many runs, in which each
            takes what it took some time before; makespans are then medians.
        seed: of the samples; the same seed gives the same answer.
    """

    throttles: Annotated[list[Slots], Meta(min_length=1, max_length=limits.SIMULATED_THROTTLES)]
    hosts: dict[Name, Slots] = {}
    order: Order | None = None
    holds: Literal["ignored", "honoured"] = "ignored"
    samples: Annotated[int, Meta(ge=0, le=1_000)] = 0
    seed: Annotated[int, Meta(ge=0, le=2**53)] = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was read from the database, so that the simulation needs it no more.

    Attributes:
        about: the beginning of the answer.
        shown: names of steps as they are written, by the names in the plan.
        fixed: slots of hosts that stay what they are, by folded name.
        histories: seconds that each step took before, by the names in the plan.
    """

    about: Mapping[str, Any]
    plan: Plan
    order: Order
    shown: Mapping[str, str]
    fixed: Mapping[str, int]
    histories: Mapping[str, Sequence[float]]


def of_workflow(
    connection: Connection, organisation_id: str, name: str, request: Request
) -> Prepared:
    """Read what the newest version of a workflow would run, from its beginning.

    Raises:
        NotFound: there is no such workflow.
        InvalidRequest: the request names a step or host that the workflow has not.
    """
    found = workflows.get(connection, organisation_id, name)
    workflow = workflows.document(connection, found.id, found.version)
    weekday = datetime.fromtimestamp(now_us(connection) / SECOND_US, tz=UTC).weekday()
    forecasts = durations.forecasts(connection, found.id, workflow.steps, weekday=weekday)
    shown = {fold(each): each for each in workflow.steps}
    order = _order(request.order or workflow.order, shown)
    tasks: list[Task] = []
    histories: dict[str, Sequence[float]] = {}
    fans = live.fans(connection, found.id, workflow)
    known = _samples(connection, found.id, weekday, request)
    for each, step in workflow.steps.items():
        made = _tasks(each, step, forecasts[each].seconds, fans.get(each), request)
        tasks += made
        histories |= {task.name: known.get(fold(each), ()) for task in made}
    return Prepared(
        about={
            "workflow": found.name,
            "version": found.version,
            "run_id": None,
            "without_history": [each for each, told in forecasts.items() if told.no_history],
        },
        plan=Plan.of(tasks, order),
        order=order,
        shown=shown,
        fixed=_fixed(request, workflow),
        histories=histories,
    )


def of_run(
    connection: Connection, organisation_id: str, run_id: int | str, request: Request
) -> Prepared:
    """Read what is left of a run.

    Raises:
        NotFound: the organisation has no such run.
        InvalidRequest: the request names a step or host that the run has not.
    """
    rest = live.read(connection, organisation_id, run_id)
    shown = {name: row.name for name, row in rest.rows.items()}
    order = _order(request.order or rest.run.order, shown)
    missing = [each for each, expected in rest.forecasts.items() if expected.no_history]
    known = _samples(connection, rest.run.workflow_id, live.weekday_of(rest.run), request)
    return Prepared(
        about={
            "workflow": rest.run.workflow,
            "version": rest.run.version,
            "run_id": rest.run.id,
            "without_history": missing,
        },
        plan=plan_rest(rest.steps, order, holds=request.holds == "honoured"),
        order=order,
        shown=shown,
        fixed=_fixed(request, rest.seen.workflow),
        histories={
            step.name: known.get(fold(rest.rows[step.name].definition), ())
            for step in rest.steps
            if step.phase in ("waiting", "queued") and step.name in rest.rows and step.host
        },
    )


def play(prepared: Prepared, request: Request) -> dict[str, Any]:
    """Try the throttles and return the answer; it needs no database, and may take a second.

    Raises:
        TooLarge: it would take many seconds.
    """
    plan = prepared.plan
    throttles = sorted(set(request.throttles))
    played = len(plan.tasks) * len(throttles) * max(request.samples, 1)
    if played > limits.SIMULATED_STEPS:
        raise TooLarge(
            f"{len(throttles)} throttles with {max(request.samples, 1)} samples of "
            f"{len(plan.tasks)} steps are {played} steps to simulate, and "
            f"{limits.SIMULATED_STEPS} may be. Ask for fewer throttles or samples."
        )
    samples = (
        sampled(plan, prepared.histories, count=request.samples, seed=request.seed)
        if request.samples
        else ()
    )
    trials = try_throttles(plan, throttles, fixed=prepared.fixed, samples=samples)
    chain = max(
        longest_paths(plan.graph, {task.name: task.duration_s for task in plan.tasks}).values(),
        default=0.0,
    )
    shortest = min(trials, key=lambda trial: (trial.makespan_s, trial.throttle))
    step = prepared.order.step
    return {
        **prepared.about,
        "order": {
            "path": prepared.order.path,
            "step": None if step is None else prepared.shown[step],
        },
        "holds": request.holds,
        "samples": request.samples,
        "seed": request.seed,
        "steps": len(plan.tasks),
        "hosts": plan.hosts,
        "critical_path_s": _seconds(chain),
        "knee": knee(trials),
        "knee_rule": KNEE_RULE,
        "shortest": shortest.throttle,
        "longer_with_more": [trial.throttle for trial in trials if trial.longer],
        "stuck": [prepared.shown.get(name, name) for name in trials[0].stuck],
        "trials": [_trial(trial) for trial in trials],
        "assumptions": [*ASSUMPTIONS, _hold_words(request)],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "throttle": trial.throttle,
        "slots": dict(trial.slots),
        "makespan_s": _seconds(trial.makespan_s),
        "high_s": _seconds(trial.high_s),
        "idle_s": _seconds(trial.idle_s),
        "utilisation": round(trial.utilisation, 4),
        "bound_s": _seconds(trial.bound_s),
        "longer": trial.longer,
    }


def _samples(
    connection: Connection, workflow_id: str, weekday: int, request: Request
) -> dict[str, tuple[float, ...]]:
    if not request.samples:
        return {}
    return durations.samples(connection, workflow_id, weekday=weekday)


def _tasks(name: str, step: Step, seconds: float, fan: int | None, request: Request) -> list[Task]:
    """Return the tasks of one step of a definition: one, or the instances of its matrix."""
    folded = fold(name)
    before = tuple(map(fold, step.depends_on))
    if step.status is Status.INACTIVE:
        return [Task(folded, None, 0.0, before)]
    held = step.status is Status.HOLD and request.holds == "honoured"
    names = [folded] if fan is None else [f"{folded}[#{number}]" for number in range(fan)]
    made = [
        Task(each, fold(step.host), seconds, before, keys=live.keys_of(step), held=held)
        for each in names
    ]
    return made if fan is None else [*made, Task(folded, None, 0.0, tuple(names) or before)]


def _fixed(request: Request, workflow: Workflow) -> dict[str, int]:
    known = {fold(step.host): step.host for step in workflow.steps.values()}
    for step in workflow.steps.values():
        known |= {fold(host): host for host in step.other_hosts}
    for name in request.hosts:
        if fold(name) not in known:
            raise InvalidRequest(
                f"No step of {workflow.workflow} runs on host {name!r}"
                f"{hint(name, list(known.values()))}"
            )
    return {fold(name): slots for name, slots in request.hosts.items()}


def _order(order: Order, shown: Mapping[str, str]) -> Order:
    checked = checked_order(order, list(shown.values()))
    return folded_order(checked)


def checked_order(order: Order, names: Sequence[str]) -> Order:
    """Return an order with its step as the definition writes it.

    Raises:
        InvalidRequest: a local order names no step, a global one names one, or the step is none
            of `names`.
    """
    if order.path == "global":
        if order.step is not None:
            raise InvalidRequest(
                f"Global order has no step, and {order.step!r} is given. Ask for the path local."
            )
        return order
    if order.step is None:
        raise InvalidRequest("Local order needs the step that is to be finished soon.")
    known = {fold(name): name for name in names}
    found = known.get(fold(order.step))
    if found is None:
        raise InvalidRequest(f"There is no step {order.step!r}{hint(order.step, names)}")
    return Order(path="local", step=found)


def _hold_words(request: Request) -> str:
    if request.holds == "ignored":
        return "holds are ignored: what is on hold is taken as resumed"
    return "holds are honoured: what is on hold never starts, nor what waits for it"


def _seconds(value: float) -> float:
    return round(value, 3)

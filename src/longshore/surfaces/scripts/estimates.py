"""When a run will be over, step by step, as it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from longshore.clock import SECOND_US, iso, to_us
from longshore.surfaces.scripts import capacity, live
from longshore.surfaces.scripts.board import OVER, RunStep
from longshore.surfaces.scripts.capacity import Capacity
from longshore.surfaces.scripts.live import Rest
from longshore.surfaces.scripts.planning.forecasting import (
    Continuation,
    Estimate,
    LiveStep,
    continuation,
    percent,
)

ASSUMPTIONS: Final = (
    "each running step takes what is expected of it, and at least a second more",
    "every attempt succeeds, conditions hold and flags are set",
    "hosts keep their workers and throttles",
    "of other runs, only what is running or ready now takes slots",
)

_PENDING: Final = "the run, which waits for its turn, begins now"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the rest of a run.

    Attributes:
        rest: the run with its steps as they are now.
        there: what its hosts have now, by folded name.
        stands: as things are.
        resumed: as if all holds were lifted now.
    """

    rest: Rest
    there: Mapping[str, Capacity]
    stands: Continuation
    resumed: Continuation


def expect(connection: Connection, organisation_id: str, run_id: int | str) -> Expected:
    """Play the rest of a run through.

    Raises:
        NotFound: the organisation has no such run.
    """
    rest = live.read(connection, organisation_id, run_id)
    there = capacity.of_hosts(connection, organisation_id, rest.hosts)
    slots = {name: each.slots for name, each in there.items()}
    others = live.foreign(connection, rest)
    steps = [*rest.steps, *others]
    expected = continuation(steps, rest.order, slots)
    resumed = expected
    if expected.stuck:
        resumed = continuation(steps, rest.order, slots, holds=False)
    return Expected(rest, there, expected, resumed)


def of_run(connection: Connection, organisation_id: str, run_id: int | str) -> dict[str, Any]:
    """Return when a run will be over, as it stands, and each of its steps.

    Raises:
        NotFound: the organisation has no such run.
    """
    return _answer(expect(connection, organisation_id, run_id))


def _answer(told: Expected) -> dict[str, Any]:
    rest, there, expected, resumed = told.rest, told.there, told.stands, told.resumed
    run = rest.run
    over = run.state in OVER
    end_us = run.finished_us if over and run.finished_us is not None else rest.at_us
    elapsed_s = 0.0 if run.started_us is None else max((end_us - run.started_us) / SECOND_US, 0.0)
    stuck = {name for name in expected.stuck if name in rest.rows}
    remaining_s = None if over or expected.stuck else expected.remaining_s
    shown = {step.name: step for step in rest.steps}
    return {
        "run_id": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "state": run.state,
        "order": msgspec.to_builtins(run.order),
        "at": iso(rest.at_us),
        "elapsed_s": _seconds(elapsed_s),
        "remaining_s": _seconds(0.0 if over else remaining_s),
        "estimated_finish": iso(run.finished_us) if over else _moment(rest, remaining_s),
        "progress": _progress(over, elapsed_s, remaining_s),
        "rest_finish": None if over else _moment(rest, expected.remaining_s),
        "finish_if_resumed": (
            None if over or resumed.stuck else _moment(rest, resumed.remaining_s)
        ),
        "critical_path_s": _seconds(expected.chain_s),
        "critical_path": [
            row.name for name, row in rest.rows.items() if expected.steps[name].critical
        ],
        "stuck": [row.name for name, row in rest.rows.items() if name in stuck],
        "hosts": [_host(each) for each in there.values()],
        "steps": [
            _step(rest, row, shown[name], expected.steps[name], stuck=name in stuck)
            for name, row in rest.rows.items()
        ],
        "assumptions": [*ASSUMPTIONS, *([_PENDING] if run.state == "pending" else [])],
    }


def _step(
    rest: Rest, row: RunStep, step: LiveStep, estimate: Estimate, *, stuck: bool
) -> dict[str, Any]:
    forecast = rest.forecasts[row.definition]
    running = step.phase == "running"
    return {
        "name": row.name,
        "status": rest.seen.status(row),
        "area": row.area,
        "host": row.host,
        "held": rest.seen.hold(row),
        "expected_s": _seconds(forecast.seconds),
        "basis": forecast.basis,
        "no_history": forecast.no_history,
        "elapsed_s": _seconds(step.elapsed_s) if running else None,
        "overrun_s": _seconds(step.overrun_s) if running else None,
        "progress": step.progress if row.kind == "step" else None,
        "estimated_start": _moment(rest, estimate.starts_s),
        "estimated_finish": iso(row.finished_us) or _moment(rest, estimate.ends_s),
        "on_critical_path": estimate.critical,
        "slack_s": _seconds(estimate.slack_s),
        "stuck": stuck,
    }


def _host(each: Capacity) -> dict[str, Any]:
    return {
        "host": each.name,
        "slots": each.slots,
        "throttle": each.throttle,
        "workers": each.workers,
        "worker_slots": each.worker_slots,
    }


def _progress(over: bool, elapsed_s: float, remaining_s: float | None) -> int | None:
    if over:
        return 100
    return None if remaining_s is None else percent(elapsed_s, elapsed_s + remaining_s)


def _moment(rest: Rest, from_now_s: float | None) -> str | None:
    return None if from_now_s is None else iso(rest.at_us + to_us(from_now_s))


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 3)

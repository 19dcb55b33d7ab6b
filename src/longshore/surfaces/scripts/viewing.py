"""Runs and their steps as they are told: the dashboard's words, counts, trees and attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from longshore.clock import iso
from longshore.engine import works
from longshore.engine.states import State
from longshore.engine.works import Work
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts import holds, turns, workflows
from longshore.surfaces.scripts.board import Run, RunStep
from longshore.surfaces.scripts.definition.model import Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.tables import (
    scripts_attempts,
    scripts_runs,
    scripts_steps,
    scripts_workflows,
)

STATUSES: Final = (
    "waiting", "ready", "running", "hold", "finished", "failed", "skipped", "cancelled",
)  # fmt: skip
"""What a step can be, in the dashboard's words."""
RUN_STATES: Final = ("pending", "running", "finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which runs are listed; None leaves it open. `before` is the id that all of them are below."""

    workflow: str | None = None
    state: str | None = None
    trigger: str | None = None
    event: str | None = None
    business_date: str | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class StepFilter:
    """Which steps are listed; None leaves it open. `name` is a part of the name, in any case."""

    name: str | None = None
    status: str | None = None
    area: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A run with its steps, as they are now.

    Attributes:
        works: those of active steps.
        attempts: the latest attempt of the present work of each step that has one.
    """

    run: Run
    workflow: Workflow
    steps: Mapping[str, RunStep]
    works: Mapping[str, Work]
    attempts: Mapping[str, int] = field(default_factory=dict)

    def hold(self, step: RunStep) -> str | None:
        """Say why a step that has not begun is on hold, or None."""
        if step.settled or self.status(step, mark_holds=False) == "running":
            return None
        return holds.of_step(self.run, step, self.steps.get(step.parent_id or ""))

    def status(self, step: RunStep, *, mark_holds: bool = True) -> str:
        """Return the dashboard's word for where a step is."""
        if step.state not in ("waiting", "active"):
            return step.state
        work = self.works.get(step.work_id or "")
        if step.state == "active" and (
            step.kind == "matrix" or (work is not None and work.state is State.RUNNING)
        ):
            return "running"
        if mark_holds and self.hold(step) is not None:
            return "hold"
        return "ready" if step.state == "active" else "waiting"

    def own(self) -> list[RunStep]:
        """Return the steps that have work of their own: not those that stand for a matrix."""
        return [step for step in self.steps.values() if step.kind == "step"]


def see(connection: Connection, organisation_id: str, run_id: int | str) -> Seen:
    """Read a run with its steps.

    Raises:
        NotFound: the organisation has no such run.
    """
    run = boards.get(connection, organisation_id, run_id)
    steps = boards.steps_of(connection, run.id)
    found = works.get_many(connection, [step.work_id for step in steps if step.work_id])
    active = {step.work_id for step in steps if step.state == "active"}
    return Seen(
        run=run,
        workflow=workflows.document(connection, run.workflow_id, run.version),
        steps={step.id: step for step in steps},
        works={work_id: work for work_id, work in found.items() if work_id in active},
        attempts={work_id: work.attempt for work_id, work in found.items()},
    )


def show(connection: Connection, organisation_id: str, run_id: int | str) -> dict[str, Any]:
    """Return a run with its counts and areas."""
    seen = see(connection, organisation_id, run_id)
    run = seen.run
    return {
        **_run(run),
        "why": why_run(connection, seen),
        "held": _held(run.held_us, run.held_by, run.held_why),
        "counts": _counts(seen, seen.own()),
        "areas": areas(seen),
    }


def listing(
    connection: Connection, organisation_id: str, wanted: Filter, *, limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """Return runs, the newest first, each with its counts.

    Raises:
        InvalidRequest: there is no such state.
    """
    query = _listed(organisation_id, wanted).limit(limit).offset(offset)
    runs = [boards.run_of(row) for row in connection.execute(query)]
    rows = connection.execute(
        select(scripts_steps.c.run_id, scripts_steps.c.state, func.count().label("steps"))
        .where(scripts_steps.c.run_id.in_([run.id for run in runs]), scripts_steps.c.kind == "step")
        .group_by(scripts_steps.c.run_id, scripts_steps.c.state)
    )
    counts: dict[int, dict[str, int]] = {run.id: {} for run in runs}
    for row in rows:
        counts[row.run_id][row.state] = row.steps
    return [{**_run(run), "steps": counts[run.id]} for run in runs]


def steps(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    wanted: StepFilter | None = None,
) -> list[dict[str, Any]]:
    """Return the steps of a run.

    Raises:
        InvalidRequest: there is no such status.
    """
    wanted = wanted or StepFilter()
    if wanted.status is not None and wanted.status not in STATUSES:
        raise InvalidRequest(
            f"{wanted.status[:40]!r} is no status; there are {', '.join(STATUSES)}."
        )
    seen = see(connection, organisation_id, run_id)
    return [
        step_row(seen, step)
        for step in seen.steps.values()
        if (wanted.name is None or fold(wanted.name) in step.folded)
        and (wanted.status is None or seen.status(step) == wanted.status)
        and (wanted.area is None or fold(wanted.area) == fold(step.area))
        and (wanted.host is None or fold(wanted.host) == fold(step.host))
    ]


def step(
    connection: Connection, organisation_id: str, run_id: int | str, name: str
) -> dict[str, Any]:
    """Return one step with its attempts, and the steps before and after it.

    Raises:
        NotFound: there is no such run, or it has no such step.
    """
    seen = see(connection, organisation_id, run_id)
    found = named(seen, name)
    definition = seen.workflow.steps[found.definition]
    after = [
        each for each, told in seen.workflow.steps.items() if found.definition in told.depends_on
    ]
    return {
        **step_row(seen, found),
        "script": definition.script,
        "command": definition.command,
        "depends_on": definition.depends_on,
        "needed_by": after,
        "matrix": found.values,
        "attempts": attempts(connection, [found.id]),
    }


def attempts(connection: Connection, step_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the attempts of steps that are over, the oldest first."""
    table = scripts_attempts
    rows = connection.execute(
        select(table)
        .where(table.c.step_id.in_(step_ids))
        .order_by(table.c.work_id, table.c.attempt)
    )
    return [
        {
            "work_id": row.work_id,
            "attempt": row.attempt,
            "outcome": row.outcome,
            "exit_code": row.exit_code,
            "script_sha256": row.script_sha256,
            "host": row.host,
            "started": iso(row.started_us),
            "ended": iso(row.ended_us),
        }
        for row in rows
    ]


def named(seen: Seen, name: str) -> RunStep:
    """Return the step of a run by its name, whatever its case; NotFound if it has none."""
    for each in seen.steps.values():
        if each.folded == fold(name):
            return each
    raise boards.no_step(seen.run.id, name, [each.name for each in seen.steps.values()])


def why_step(seen: Seen, found: RunStep) -> str:
    """Say in words why a step is where it is."""
    work = seen.works.get(found.work_id or "")
    if work is not None and work.state is State.RUNNING:
        number = found.attempts_before + work.attempt
        return f"attempt {number} runs on host {found.host} since {iso(work.started_us)}"
    return seen.hold(found) or found.why


def why_run(connection: Connection, seen: Seen) -> str:
    """Say in words why a run is where it is."""
    run = seen.run
    if run.state == "pending":
        return _why_pending(connection, run)
    if run.state == "running":
        counts = Counter(seen.status(step) for step in seen.own())
        left = [f"{counts[word]} {word}" for word in STATUSES[:4] if counts[word]]
        return f"{', '.join(left) or 'no steps left'}"
    if run.state == "failed":
        bad = [each.name for each in seen.own() if each.state in ("failed", "cancelled")]
        return (
            f"{', '.join(bad[:5])} did not succeed; rerun from there, or skip it or force it ok "
            "to let the rest go on"
        )
    if run.state == "cancelled" and run.finished_us is None:
        return "it is cancelled; its last processes are being stopped"
    return f"{run.state} at {iso(run.finished_us)}"


def areas(seen: Seen) -> list[dict[str, Any]]:
    """Return the areas of a run with their counts, in the order of the definition."""
    order = {fold(name): name for name in seen.workflow.areas}
    for each in seen.steps.values():
        order.setdefault(fold(each.area), each.area)
    on_hold = set(seen.run.areas_on_hold)
    return [
        {
            "name": name,
            "held": folded in on_hold,
            "counts": _counts(seen, [each for each in seen.own() if fold(each.area) == folded]),
        }
        for folded, name in order.items()
    ]


def step_row(seen: Seen, found: RunStep) -> dict[str, Any]:
    """Return a step as one row of the dashboard."""
    work = seen.works.get(found.work_id or "")
    running = work is not None and work.state is State.RUNNING
    return {
        "name": found.name,
        "status": seen.status(found),
        "state": found.state,
        "area": found.area,
        "host": found.host,
        "kind": found.kind,
        "step": found.definition,
        "why": why_step(seen, found),
        "held": seen.hold(found),
        "forced": found.forced,
        "attempt": found.attempts_before + seen.attempts.get(found.work_id or "", 0),
        "work_id": found.work_id,
        "priority": None if work is None else work.priority,
        "started": iso(work.started_us if running and work else found.started_us),
        "finished": iso(found.finished_us),
    }


def _why_pending(connection: Connection, run: Run) -> str:
    if run.held_us is not None:
        return f"on hold since {iso(run.held_us)} by {run.held_by}: {run.held_why or 'no reason'}"
    blocking = (
        turns.blocking(connection, run.organisation_id, run.event_folded)
        if run.event_folded is not None
        else None
    )
    if blocking is not None:
        return (
            f"run {blocking} of the event has failed and its errors stop the others; rerun it "
            "to success, or cancel it"
        )
    return "waits for its turn: so many runs of its event go on as may at once"


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "workflow": run.workflow,
        "version": run.version,
        "state": run.state,
        "trigger": run.trigger,
        "started_by": run.started_by,
        "event_id": run.event_id,
        "event": run.event_folded,
        "business_date": run.business_date,
        "priority": run.priority,
        "group_id": run.group_id,
        "created": iso(run.created_us),
        "started": iso(run.started_us),
        "finished": iso(run.finished_us),
    }


def _counts(seen: Seen, chosen: Iterable[RunStep]) -> dict[str, int]:
    return dict.fromkeys(STATUSES, 0) | Counter(seen.status(each) for each in chosen)


def _held(since_us: int | None, by: str | None, why: str | None) -> dict[str, Any] | None:
    return None if since_us is None else {"since": iso(since_us), "by": by, "reason": why}


def _listed(organisation_id: str, wanted: Filter) -> Select[Any]:
    query = boards.RUNS.where(scripts_runs.c.organisation_id == organisation_id)
    if wanted.state is not None and wanted.state not in RUN_STATES:
        raise InvalidRequest(
            f"{wanted.state[:40]!r} is no state of a run; there are {', '.join(RUN_STATES)}."
        )
    if wanted.workflow is not None:
        query = query.where(
            scripts_workflows.c.organisation_id == organisation_id,
            scripts_workflows.c.folded == fold(wanted.workflow),
        )
    for column, value in (
        (scripts_runs.c.state, wanted.state),
        (scripts_runs.c.trigger, wanted.trigger),
        (scripts_runs.c.event_folded, None if wanted.event is None else fold(wanted.event)),
        (scripts_runs.c.business_date, wanted.business_date),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.before is not None:
        query = query.where(scripts_runs.c.id < wanted.before)
    return query.order_by(scripts_runs.c.id.desc())

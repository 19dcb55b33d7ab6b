"""A run as planning sees it: its steps as they are now, with what is expected of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from longshore.clock import SECOND_US
from longshore.engine.choosing import constant
from longshore.engine.states import State
from longshore.engine.tables import works as works_table
from longshore.storage import now_us
from longshore.surfaces.scripts import durations, hosts, viewing
from longshore.surfaces.scripts.board import OVER, Run, RunStep
from longshore.surfaces.scripts.definition.model import Order, Status, Step, Workflow
from longshore.surfaces.scripts.durations import Forecast
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.planning.forecasting import LiveStep, Phase
from longshore.surfaces.scripts.tables import (
    scripts_runs,
    scripts_step_works,
    scripts_steps,
)
from longshore.surfaces.scripts.viewing import Seen

FOREIGN_WORKS: Final = 1_000
"""So many running and so many ready works of other runs are looked at, at most."""


UNKNOWN: Final = Forecast(durations.DEFAULT_S, "default")


@dataclass(frozen=True, slots=True)
class Rest:
    """A run with its steps, and what is expected of them.

    Attributes:
        seen: the run, its definition, its steps and their works.
        rows: its steps by folded name, in the order of the definition.
        forecasts: by the name of the step in the definition.
        steps: what is simulated: those of `rows`, and instances expected of matrices.
        at_us: when this was so.
    """

    seen: Seen
    rows: Mapping[str, RunStep]
    forecasts: Mapping[str, Forecast]
    steps: Sequence[LiveStep]
    at_us: int

    @property
    def run(self) -> Run:
        """The row of the run."""
        return self.seen.run

    @property
    def order(self) -> Order:
        """The run's order, by the folded name of its target."""
        return folded_order(self.seen.run.order)

    @property
    def hosts(self) -> list[str]:
        """Folded names of all hosts that the rest needs."""
        return list(dict.fromkeys(step.host for step in self.steps if step.host is not None))


def folded_order(order: Order) -> Order:
    """Return an order by the folded name of its step."""
    return Order(path=order.path, step=None if order.step is None else fold(order.step))


def read(connection: Connection, organisation_id: str, run_id: int | str) -> Rest:
    """Read a run for planning.

    Raises:
        NotFound: the organisation has no such run.
    """
    seen = viewing.see(connection, organisation_id, run_id)
    run = seen.run
    rows = {row.folded: row for row in seen.steps.values()}
    forecasts = durations.forecasts(
        connection, run.workflow_id, seen.workflow.steps, weekday=weekday_of(run)
    )
    at_us = now_us(connection)
    counts = fans(connection, run.workflow_id, seen.workflow)
    steps = _Reader(seen, rows, forecasts, counts, at_us).steps()
    return Rest(seen=seen, rows=rows, forecasts=forecasts, steps=steps, at_us=at_us)


def weekday_of(run: Run) -> int:
    """Return the weekday of a run's business date, 0 for Monday."""
    return date.fromisoformat(run.business_date).weekday()


def fans(connection: Connection, workflow_id: str, workflow: Workflow) -> dict[str, int]:
    """Return how many instances each matrix of a definition is expected to have, by its name.

    That is the number of its combinations; where they come from the payload of another step, how
    many the last finished run had, or 1.
    """
    counts: dict[str, int] = {}
    for name, step in workflow.steps.items():
        if step.matrix:
            counts[name] = 1
            for values in step.matrix.values():
                counts[name] *= len(values) if isinstance(values, list) else 1
    dynamic = {
        name
        for name in counts
        if not all(isinstance(values, list) for values in workflow.steps[name].matrix.values())
    }
    return counts | (_last_fans(connection, workflow_id, dynamic) if dynamic else {})


def _last_fans(connection: Connection, workflow_id: str, names: set[str]) -> dict[str, int]:
    last = (
        select(scripts_runs.c.id)
        .where(scripts_runs.c.workflow_id == workflow_id, scripts_runs.c.state == "finished")
        .order_by(scripts_runs.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(scripts_steps.c.definition, func.count())
        .where(scripts_steps.c.run_id == last, scripts_steps.c.parent_id.is_not(None))
        .group_by(scripts_steps.c.definition)
    )
    return {name: count for name, count in rows if name in names}


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a run is read from, on the way to its LiveSteps."""

    seen: Seen
    rows: Mapping[str, RunStep]
    forecasts: Mapping[str, Forecast]
    fans: Mapping[str, int]
    at_us: int

    def steps(self) -> list[LiveStep]:
        instances: dict[str, list[str]] = {row.id: [] for row in self.rows.values()}
        for name, row in self.rows.items():
            if row.parent_id is not None:
                instances[row.parent_id].append(name)
        made: list[LiveStep] = []
        for name, row in self.rows.items():
            if row.kind == "matrix":
                made += self._fan(name, row, instances[row.id])
            else:
                made.append(self._step(name, row))
        return made

    def _fan(self, name: str, row: RunStep, known: list[str]) -> list[LiveStep]:
        """Return the step that stands for all instances, and instances that are not known yet."""
        if row.settled:
            return [_nothing(name, "over")]
        if known or row.state == "active":
            return [_nothing(name, "waiting", tuple(known), blocked=self._blocked(row))]
        virtual = [
            self._waiting(f"{name}[#{number}]", row)
            for number in range(self.fans.get(row.definition, 1))
        ]
        definition = self.seen.workflow.steps[row.definition]
        before = tuple(each.name for each in virtual) or tuple(map(fold, definition.depends_on))
        return [*virtual, _nothing(name, "waiting", before, blocked=self._blocked(row))]

    def _step(self, name: str, row: RunStep) -> LiveStep:
        if row.settled or self.seen.run.state in OVER:
            # What needs a step that did not succeed is blocked; the step itself is over.
            return _nothing(name, "over")
        waiting = self._waiting(name, row)
        work = self.seen.works.get(row.work_id or "")
        if row.state != "active" or work is None:
            return waiting
        running = work.state is State.RUNNING
        return LiveStep(
            name=name,
            host=waiting.host,
            phase="running" if running else "queued",
            expected_s=waiting.expected_s,
            before=waiting.before,
            elapsed_s=_since(work.started_us, self.at_us) if running else 0.0,
            queued_s=0.0 if running else _since(work.due_us, self.at_us),
            keys=waiting.keys,
            held=self.seen.hold(row) is not None,
            event_priority=self.seen.run.priority,
        )

    def _waiting(self, name: str, row: RunStep) -> LiveStep:
        definition = self.seen.workflow.steps[row.definition]
        before = tuple(map(fold, definition.depends_on))
        if definition.status is Status.INACTIVE:
            return _nothing(name, "waiting", before, blocked=self._blocked(row))
        return LiveStep(
            name=name,
            host=fold(row.host),
            phase="waiting",
            expected_s=self.forecasts[row.definition].seconds,
            before=before,
            keys=keys_of(definition),
            held=self.seen.hold(row) is not None,
            blocked=self._blocked(row),
            event_priority=self.seen.run.priority,
        )

    def _blocked(self, row: RunStep) -> bool:
        """Whether a step needs one that did not succeed, without a condition on how it ended."""
        definition = self.seen.workflow.steps[row.definition]
        handled = {fold(condition.step) for condition in definition.when}
        return any(
            self.rows[fold(name)].state in ("failed", "cancelled") and fold(name) not in handled
            for name in definition.depends_on
        )


def keys_of(step: Step) -> tuple[tuple[str, int], ...]:
    """Return the concurrency keys of a step with their limits."""
    return tuple((each.key, each.limit) for each in step.concurrency)


def foreign(connection: Connection, rest: Rest) -> list[LiveStep]:
    """Return what of other runs is running or ready now on the hosts that a run needs.

    Steps of theirs that are not ready yet are left out, and of each kind at most `FOREIGN_WORKS` are looked at.
    """
    queue_of = {
        host.queue_id: host.folded
        for host in hosts.listing(connection, rest.run.organisation_id)
        if host.folded in rest.hosts
    }
    rows = [
        row
        for state in ("running", "queued")
        for row in connection.execute(_elsewhere(state, list(queue_of), rest.run.id))
    ]
    expected = _expected_elsewhere(connection, rest, {row.workflow_id for row in rows})
    made: list[LiveStep] = []
    for row in rows:
        running = row.state == "running"
        made.append(
            LiveStep(
                name=f"work {row.id}",  # No step is called so.
                host=queue_of[row.queue_id],
                phase="running" if running else "queued",
                expected_s=expected[row.workflow_id].get(fold(row.definition), UNKNOWN).seconds,
                elapsed_s=_since(row.started_us, rest.at_us) if running else 0.0,
                queued_s=0.0 if running else _since(row.due_us, rest.at_us),
                foreign=True,
                priority=row.priority,
            )
        )
    return made


def _elsewhere(state: str, queue_ids: Sequence[int], run_id: int) -> Select[Any]:
    """Return the query for the works of other runs that are in a state."""
    table = works_table
    # The state is written out, since the indexes of works are for single states.
    return (
        select(table, scripts_steps.c.definition, scripts_runs.c.workflow_id)
        .join(scripts_step_works, scripts_step_works.c.work_id == table.c.id)
        .join(scripts_steps, scripts_steps.c.id == scripts_step_works.c.step_id)
        .join(scripts_runs, scripts_runs.c.id == scripts_step_works.c.run_id)
        .where(
            table.c.queue_id.in_(queue_ids),
            table.c.state == constant(state),
            scripts_step_works.c.run_id != run_id,
        )
        .order_by(table.c.priority.desc(), table.c.due_us, table.c.id)
        .limit(FOREIGN_WORKS)
    )


def _expected_elsewhere(
    connection: Connection, rest: Rest, workflow_ids: Iterable[str]
) -> dict[str, dict[str, Forecast]]:
    weekday = weekday_of(rest.run)
    return {
        workflow_id: durations.remembered(connection, workflow_id, weekday=weekday)
        for workflow_id in workflow_ids
    }


def _nothing(
    name: str, phase: Phase, before: tuple[str, ...] = (), *, blocked: bool = False
) -> LiveStep:
    """Return a step that takes neither a slot nor time."""
    return LiveStep(name, None, phase, 0.0, before=before, blocked=blocked)


def _since(start_us: int | None, at_us: int) -> float:
    return 0.0 if start_us is None else max((at_us - start_us) / SECOND_US, 0.0)

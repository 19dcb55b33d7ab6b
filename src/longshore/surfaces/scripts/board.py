"""A run with its steps in memory: read under a lock, changed, and written back in one go.

Whatever changes a run takes the lock of its row first, so that two steps which end at the same
time cannot both miss that the other one has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from longshore.errors import NotFound
from longshore.storage import now_us
from longshore.surfaces.scripts import workflows
from longshore.surfaces.scripts.definition.model import Order, Step, Workflow
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.planning.graph import Graph
from longshore.surfaces.scripts.tables import (
    scripts_runs,
    scripts_steps,
    scripts_workflows,
)

SETTLED: Final = frozenset({"finished", "failed", "skipped", "cancelled"})
"""States in which a step is over, until somebody lets it run again."""
OVER: Final = frozenset({"finished", "failed", "cancelled"})
"""States of runs that are over."""


@dataclass(slots=True)
class RunStep:
    """A row of scripts_steps; see there."""

    id: str
    run_id: int
    organisation_id: str
    name: str
    folded: str
    definition: str
    kind: str
    parent_id: str | None
    matrix: str | None
    position: int
    area: str
    host: str
    state: str
    why: str
    forced: bool
    held_us: int | None
    held_by: str | None
    held_why: str | None
    work_id: str | None
    attempts_before: int
    started_us: int | None
    finished_us: int | None

    @property
    def settled(self) -> bool:
        return self.state in SETTLED

    @property
    def values(self) -> dict[str, Any]:
        """The values of an instance of a matrix, by name."""
        return {} if self.matrix is None else msgspec.json.decode(self.matrix)


@dataclass(slots=True)
class Run:
    """A row of scripts_runs, with its workflow."""

    id: int
    organisation_id: str
    group_id: str
    workflow_id: str
    version: int
    trigger: str
    started_by: str
    event_id: int | None
    event_folded: str | None
    priority: int
    business_date: str
    state: str
    ordering: str
    held_areas: str
    held_us: int | None
    held_by: str | None
    held_why: str | None
    created_us: int
    started_us: int | None
    finished_us: int | None
    workflow: str
    workflow_held_us: int | None
    workflow_held_by: str | None
    workflow_held_why: str | None

    @property
    def areas_on_hold(self) -> list[str]:
        return msgspec.json.decode(self.held_areas, type=list[str])

    @property
    def order(self) -> Order:
        return msgspec.json.decode(self.ordering, type=Order)


_COLUMNS: Final = [scripts_steps.c[name] for name in RunStep.__dataclass_fields__]
RUNS: Final = (
    select(
        scripts_runs,
        scripts_workflows.c.name.label("workflow"),
        scripts_workflows.c.held_us.label("workflow_held_us"),
        scripts_workflows.c.held_by.label("workflow_held_by"),
        scripts_workflows.c.held_why.label("workflow_held_why"),
    )
    .select_from(scripts_runs)
    .join(scripts_workflows, scripts_workflows.c.id == scripts_runs.c.workflow_id)
)
_CHANGING: Final = tuple(
    name
    for name in RunStep.__dataclass_fields__
    if name not in ("id", "run_id", "organisation_id", "definition", "kind", "parent_id")
)
_RUN_CHANGING: Final = (
    "state", "ordering", "held_areas", "held_us", "held_by", "held_why", "started_us",
    "finished_us",
)  # fmt: skip


@dataclass(slots=True)
class Board:
    """A run, its definition and its steps, while one transaction changes them.

    Attributes:
        actor: who changes it, for the history of works.
        steps: all steps by id, in the order of the definition.
    """

    connection: Connection
    run: Run
    workflow: Workflow
    actor: str
    steps: dict[str, RunStep]
    _named: dict[str, RunStep] = field(default_factory=dict)
    _before: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    _run_before: tuple[Any, ...] = ()
    _graph: Graph | None = None

    def __post_init__(self) -> None:
        """Remember how everything was, so that only what has changed is written."""
        self._named = {step.folded: step for step in self.steps.values()}
        self._before = {step.id: _changing(step) for step in self.steps.values()}
        self._run_before = _run_changing(self.run)

    @property
    def graph(self) -> Graph:
        """The graph of the definition's steps, by their names."""
        if self._graph is None:
            steps = self.workflow.steps
            self._graph = Graph.of({name: step.depends_on for name, step in steps.items()})
        return self._graph

    def definition(self, step: RunStep) -> Step:
        """Return what the run's version of the workflow says of a step."""
        return self.workflow.steps[step.definition]

    def named(self, name: str) -> RunStep | None:
        """Return the step of that name, whatever its case."""
        return self._named.get(fold(name))

    def require(self, name: str) -> RunStep:
        """Return the step of that name, whatever its case.

        Raises:
            NotFound: the run has none; the message names those that it has.
        """
        found = self.named(name)
        if found is None:
            raise no_step(self.run.id, name, [step.name for step in self.steps.values()])
        return found

    def parent(self, step: RunStep) -> RunStep | None:
        """Return the step that stands for all instances of the matrix of which `step` is one."""
        return None if step.parent_id is None else self.steps[step.parent_id]

    def instances(self, step: RunStep) -> list[RunStep]:
        """Return the instances of a matrix."""
        return [each for each in self.steps.values() if each.parent_id == step.id]

    def earlier(self, step: RunStep) -> list[RunStep]:
        """Return the steps that a step of the definition depends on."""
        return [self._named[fold(name)] for name in self.definition(step).depends_on]

    def later(self, names: Collection[str]) -> set[str]:
        """Return the folded names of all steps after those named, directly or over others."""
        found: set[str] = set()
        wanted = {fold(name) for name in names}
        while wanted:
            # Few rounds, each over all steps: graphs are a thousand steps at most.
            wanted = {
                fold(name)
                for name, step in self.workflow.steps.items()
                if not wanted.isdisjoint(map(fold, step.depends_on))
            } - found
            found |= wanted
        return found

    def top(self) -> Iterator[RunStep]:
        """Give the steps of the definition, without instances."""
        return (step for step in list(self.steps.values()) if step.parent_id is None)

    def add(self, step: RunStep) -> None:
        """Take in an instance that was just made; `save` inserts it."""
        self.steps[step.id] = step
        self._named[step.folded] = step

    def drop(self, step: RunStep) -> None:
        """Forget an instance that the run has no more."""
        del self.steps[step.id], self._named[step.folded]
        self._before.pop(step.id, None)

    def settle(self, step: RunStep, state: str, why: str) -> None:
        """Note that a step is over."""
        step.state, step.why = state, why
        step.finished_us = now_us(self.connection)

    def save(self) -> None:
        """Write what has changed."""
        new = [asdict(step) for step in self.steps.values() if step.id not in self._before]
        if new:
            self.connection.execute(insert(scripts_steps), new)
        changed = [
            step
            for step in self.steps.values()
            if step.id in self._before and _changing(step) != self._before[step.id]
        ]
        if changed:
            self.connection.execute(
                _UPDATE,
                [
                    {
                        "of_id": step.id,
                        **{f"to_{name}": getattr(step, name) for name in _CHANGING},
                    }
                    for step in changed
                ],
            )
        if _run_changing(self.run) != self._run_before:
            self.connection.execute(
                update(scripts_runs)
                .where(scripts_runs.c.id == self.run.id)
                .values({name: getattr(self.run, name) for name in _RUN_CHANGING})
            )
        self.__post_init__()


_UPDATE: Final = (
    update(scripts_steps)
    .where(scripts_steps.c.id == bindparam("of_id"))
    .values({name: bindparam(f"to_{name}") for name in _CHANGING})
)


def load(connection: Connection, run_id: int, *, actor: str) -> Board | None:
    """Lock a run and read it with its steps; None if it was deleted."""
    run = lock(connection, run_id)
    if run is None:
        return None
    return Board(
        connection=connection,
        run=run,
        workflow=workflows.document(connection, run.workflow_id, run.version),
        actor=actor,
        steps={step.id: step for step in steps_of(connection, run_id)},
    )


def load_own(
    connection: Connection, organisation_id: str, run_id: int | str, *, actor: str
) -> Board:
    """Lock and read a run of an organisation.

    Raises:
        NotFound: it has no such run.
    """
    run = get(connection, organisation_id, run_id)
    board = load(connection, run.id, actor=actor)
    if board is None:
        raise no_run(run_id)
    return board


def lock(connection: Connection, run_id: int) -> Run | None:
    """Read a run that nobody else may change until this transaction ends."""
    lock_all(connection, [run_id])
    row = connection.execute(RUNS.where(scripts_runs.c.id == run_id)).one_or_none()
    return None if row is None else run_of(row)


def lock_all(connection: Connection, run_ids: Collection[int]) -> None:
    """Keep others from changing these runs until this transaction ends."""
    # SQLite has one writer at a time and needs no lock.
    if connection.dialect.name == "postgresql":
        connection.execute(
            select(scripts_runs.c.id)
            .where(scripts_runs.c.id.in_(sorted(run_ids)))
            .order_by(scripts_runs.c.id)
            .with_for_update()
        )


def get(connection: Connection, organisation_id: str, run_id: int | str) -> Run:
    """Return a run of an organisation, as it is now.

    Raises:
        NotFound: it has no such run.
    """
    row = None
    if (number := as_id(run_id)) is not None:
        row = connection.execute(
            RUNS.where(
                scripts_runs.c.id == number, scripts_runs.c.organisation_id == organisation_id
            )
        ).one_or_none()
    if row is None:
        raise no_run(run_id)
    return run_of(row)


def as_id(run_id: int | str) -> int | None:
    """Return the number that a run's id stands for, or None where it can be none."""
    text = str(run_id)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        return None
    return int(text)


def steps_of(connection: Connection, run_id: int) -> list[RunStep]:
    """Return the steps of a run in the order of the definition."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(scripts_steps.c.run_id == run_id)
        .order_by(scripts_steps.c.position, scripts_steps.c.id)
    )
    return [RunStep(*row) for row in rows]


def steps_by_id(connection: Connection, step_ids: Sequence[str]) -> dict[str, RunStep]:
    """Return steps by their ids."""
    rows = connection.execute(select(*_COLUMNS).where(scripts_steps.c.id.in_(step_ids)))
    return {row.id: RunStep(*row) for row in rows}


def runs_by_id(connection: Connection, run_ids: Sequence[int]) -> dict[int, Run]:
    """Return runs by their ids."""
    rows = connection.execute(RUNS.where(scripts_runs.c.id.in_(run_ids)))
    return {row.id: run_of(row) for row in rows}


def areas_text(folded: Collection[str]) -> str:
    """Return the areas on hold as they are kept."""
    return msgspec.json.encode(sorted(folded)).decode()


def no_run(run_id: int | str) -> NotFound:
    """Return the error for a run that is not there, or another organisation's."""
    return NotFound(
        f"There is no run {str(run_id)[:40]!r}. List the runs with `longshore workflow runs`."
    )


def no_step(run_id: int, name: str, names: Sequence[str]) -> NotFound:
    """Return the error for a step that a run does not have."""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return NotFound(f"Run {run_id} has no step {name[:100]!r}. Its steps are: {shown}.")


def run_of(row: Row[Any]) -> Run:
    return Run(**row._asdict())


def _changing(step: RunStep) -> tuple[Any, ...]:
    return tuple(getattr(step, name) for name in _CHANGING)


def _run_changing(run: Run) -> tuple[Any, ...]:
    return tuple(getattr(run, name) for name in _RUN_CHANGING)

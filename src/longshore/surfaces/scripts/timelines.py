"""A run over time: what was, what is, and what is expected, for whoever draws it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from longshore.surfaces.scripts import estimates
from longshore.surfaces.scripts.board import OVER, RunStep
from longshore.surfaces.scripts.estimates import Expected
from longshore.surfaces.scripts.hosts import fold
from longshore.surfaces.scripts.live import Rest
from longshore.surfaces.scripts.tables import scripts_attempts, scripts_step_works
from longshore.surfaces.scripts.viewing import Seen


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt of a step that is over; `number` counts over all works that the step has had."""

    work_id: str
    number: int
    outcome: str
    exit_code: int | None
    host: str
    started_us: int | None
    ended_us: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run with all that is known of its times.

    Attributes:
        expected: what is expected of its rest.
        attempts: those that are over, by the ids of the steps, the oldest first.
        earlier: the steps that each one waits for, by its id; the one that stands for a matrix
            waits for its instances.
        decisive: ids of the steps that decided when the run was over, or so far: the one that
            ended last, the one of those it waited for that ended last, and so on.
    """

    expected: Expected
    attempts: Mapping[str, Sequence[Attempt]]
    earlier: Mapping[str, Sequence[RunStep]]
    decisive: frozenset[str]

    @property
    def rest(self) -> Rest:
        """The run with its steps as they are now."""
        return self.expected.rest

    @property
    def seen(self) -> Seen:
        """The run, its definition, its steps and their works."""
        return self.expected.rest.seen

    @property
    def over(self) -> bool:
        """Whether the run is over, unless somebody lets something of it run again."""
        return self.rest.run.state in OVER

    def ready_us(self, step: RunStep) -> int | None:
        """Return when the last of those that a step waits for had ended, or None if not all have."""
        ends = [other.finished_us for other in self.earlier[step.id]]
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        begun = self.rest.run.started_us
        return max(known, default=begun) if begun is None else max([begun, *known])

    def critical(self, step: RunStep) -> bool:
        """Whether a step is on the longest chain of what is left, or was on that of a run that is over."""
        if self.over:
            return step.id in self.decisive
        return self.expected.stands.steps[step.folded].critical


def of_run(connection: Connection, organisation_id: str, run_id: int | str) -> Timeline:
    """Read a run with its times.

    Raises:
        NotFound: the organisation has no such run.
    """
    expected = estimates.expect(connection, organisation_id, run_id)
    seen = expected.rest.seen
    earlier = _earlier(seen, expected.rest.rows)
    return Timeline(expected, _attempts(connection, seen.run.id), earlier, _decisive(seen, earlier))


def _attempts(connection: Connection, run_id: int) -> dict[str, list[Attempt]]:
    works, attempts = scripts_step_works, scripts_attempts
    rows = connection.execute(
        select(attempts, works.c.attempts_before)
        .join(works, works.c.work_id == attempts.c.work_id)
        .where(works.c.run_id == run_id)
        .order_by(works.c.attempts_before, attempts.c.attempt)
    )
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for row in rows:
        found[row.step_id].append(
            Attempt(
                work_id=row.work_id,
                number=row.attempts_before + row.attempt,
                outcome=row.outcome,
                exit_code=row.exit_code,
                host=row.host,
                started_us=row.started_us,
                ended_us=row.ended_us,
            )
        )
    return dict(found)


def _earlier(seen: Seen, rows: Mapping[str, RunStep]) -> dict[str, list[RunStep]]:
    instances: defaultdict[str, list[RunStep]] = defaultdict(list)
    for step in seen.steps.values():
        if step.parent_id is not None:
            instances[step.parent_id].append(step)
    return {
        step.id: instances.get(step.id)
        or [rows[fold(name)] for name in seen.workflow.steps[step.definition].depends_on]
        for step in seen.steps.values()
    }


def _decisive(seen: Seen, earlier: Mapping[str, Sequence[RunStep]]) -> frozenset[str]:
    found: set[str] = set()
    left: Sequence[RunStep] = list(seen.steps.values())
    while True:
        ended = [step for step in left if step.finished_us is not None and step.id not in found]
        last = max(ended, key=_end_us, default=None)
        if last is None:
            return frozenset(found)
        found.add(last.id)
        left = earlier[last.id]


def _end_us(step: RunStep) -> int:
    return step.finished_us or 0

"""How long steps take: what is remembered of each, and what is expected of the next run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from sqlalchemy import Connection, delete, func, insert, or_, select

from longshore.clock import SECOND_US
from longshore.storage import now_us
from longshore.surfaces.scripts import hosts
from longshore.surfaces.scripts.definition.model import Status, Step
from longshore.surfaces.scripts.tables import scripts_durations

HISTORY: Final = 20
"""So many of the last successes are looked at; so many of each weekday are kept."""
WEEKDAY_SAMPLES: Final = 4
"""From so many successes of a weekday on, only those of that weekday count."""
DEFAULT_S: Final = 60.0
"""What is expected of a step without history whose definition does not say either."""

_UNKNOWN: Final = Step(host="none")

Basis = Literal["weekday", "history", "definition", "default", "inactive"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a step is expected to take, and why.

    Attributes:
        seconds: of one attempt that succeeds.
        basis: median of the last successes of the same weekday, of the last successes whatever
            their weekday, `expected_s` of the definition, or the default for want of both; a
            step that the definition takes out is expected to take nothing.
        samples: seconds of the successes that it was taken from, the newest first.
    """

    seconds: float
    basis: Basis
    samples: tuple[float, ...] = ()

    @property
    def no_history(self) -> bool:
        """Whether the step has never succeeded before, so that this is a guess."""
        return self.basis in ("definition", "default")


def record(
    connection: Connection,
    organisation_id: str,
    workflow_id: str,
    step: str,
    *,
    duration_us: int,
    weekday: int,
) -> None:
    """Remember how long an attempt took that has succeeded; others tell nothing.

    Args:
        connection: the transaction.
        organisation_id: whose workflow it is.
        workflow_id: of which workflow.
        step: name of the step in the definition, whatever its case; instances of a matrix share it.
        duration_us: from its start to its end.
        weekday: of the business date, 0 for Monday.
    """
    folded = hosts.fold(step)
    connection.execute(
        insert(scripts_durations).values(
            organisation_id=organisation_id,
            workflow_id=workflow_id,
            step=folded,
            duration_us=max(duration_us, 0),
            weekday=weekday,
            at_us=now_us(connection),
        )
    )
    older = (
        select(scripts_durations.c.id)
        .where(
            scripts_durations.c.workflow_id == workflow_id,
            scripts_durations.c.step == folded,
            scripts_durations.c.weekday == weekday,
        )
        .order_by(scripts_durations.c.id.desc())
        .limit(10 * HISTORY)
        .offset(HISTORY)
        # Two reports at once must not wait for each other's deletions: one of them does them.
        .with_for_update(skip_locked=True)
    )
    ids = connection.execute(older).scalars().all()
    if ids:
        connection.execute(delete(scripts_durations).where(scripts_durations.c.id.in_(ids)))


def forecasts(
    connection: Connection, workflow_id: str, steps: Mapping[str, Step], *, weekday: int
) -> dict[str, Forecast]:
    """Return what is expected of each step of a definition, by the names in `steps`.

    Args:
        connection: the transaction.
        workflow_id: of which workflow.
        steps: steps of its definition by name.
        weekday: of the business date, 0 for Monday.
    """
    known = _history(connection, workflow_id, weekday)
    return {
        name: forecast(known.get(hosts.fold(name), []), step, weekday=weekday)
        for name, step in steps.items()
    }


def remembered(connection: Connection, workflow_id: str, *, weekday: int) -> dict[str, float]:
    """Return the seconds expected of each step of a workflow that has history, by folded name."""
    return {
        name: forecast(history, _UNKNOWN, weekday=weekday).seconds
        for name, history in _history(connection, workflow_id, weekday).items()
    }


def forecast(history: list[tuple[int, float]], step: Step, *, weekday: int) -> Forecast:
    """Return what is expected of a step from its (weekday, seconds), the newest first."""
    if step.status is Status.INACTIVE:
        return Forecast(0.0, "inactive")
    same_day = tuple(seconds for day, seconds in history if day == weekday)[:HISTORY]
    if len(same_day) >= WEEKDAY_SAMPLES:
        return Forecast(median(same_day), "weekday", same_day)
    if history:
        last = tuple(seconds for _, seconds in history[:HISTORY])
        return Forecast(median(last), "history", last)
    if step.expected_s is not None:
        return Forecast(step.expected_s, "definition")
    return Forecast(DEFAULT_S, "default")


def _history(
    connection: Connection, workflow_id: str, weekday: int
) -> dict[str, list[tuple[int, float]]]:
    place = func.row_number().over(
        partition_by=scripts_durations.c.step, order_by=scripts_durations.c.id.desc()
    )
    numbered = (
        select(scripts_durations, place.label("place"))
        .where(scripts_durations.c.workflow_id == workflow_id)
        .subquery()
    )
    # No more than HISTORY of a weekday are kept, so that all of one may be read.
    rows = connection.execute(
        select(numbered.c.step, numbered.c.weekday, numbered.c.duration_us)
        .where(or_(numbered.c.place <= HISTORY, numbered.c.weekday == weekday))
        .order_by(numbered.c.id.desc())
    )
    found: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for step, day, duration_us in rows:
        found[step].append((day, duration_us / SECOND_US))
    return found

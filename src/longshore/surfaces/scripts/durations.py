"""How long steps take: what is remembered of each, and what is expected of the next run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, union_all

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


Basis = Literal["weekday", "history", "definition", "default", "inactive"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a step is expected to take, and why.

    Attributes:
        seconds: of one attempt that succeeds.
        basis: median of the last successes of the same weekday, of the last successes whatever
            their weekday, `expected_s` of the definition, or the default for want of both; a
            step that the definition takes out is expected to take nothing.
    """

    seconds: float
    basis: Basis

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
    duration_us = max(duration_us, 0)  # A clock that was set back tells nothing better.
    known = _known(connection, workflow_id, folded)
    last = [duration_us, *(row.duration_us for row in known[: HISTORY - 1])]
    same_day = [row for row in known if row.weekday == weekday]
    day = [duration_us, *(row.duration_us for row in same_day[: HISTORY - 1])]
    connection.execute(
        insert(scripts_durations).values(
            organisation_id=organisation_id,
            workflow_id=workflow_id,
            step=folded,
            duration_us=duration_us,
            weekday=weekday,
            median_us=round(median(last)),
            weekday_median_us=round(median(day)) if len(day) >= WEEKDAY_SAMPLES else None,
            at_us=now_us(connection),
        )
    )
    _forget(connection, [row.id for row in same_day[HISTORY - 1 :]])


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
    known = remembered(connection, workflow_id, weekday=weekday)
    return {name: _forecast(step, known.get(hosts.fold(name))) for name, step in steps.items()}


def remembered(connection: Connection, workflow_id: str, *, weekday: int) -> dict[str, Forecast]:
    """Return what is expected of each step of a workflow that has history, by folded name."""
    table = scripts_durations
    newest = [
        select(func.max(table.c.id)).where(table.c.workflow_id == workflow_id, *more)
        .group_by(table.c.step)
        for more in ((), (table.c.weekday == weekday,))
    ]  # fmt: skip
    rows = connection.execute(
        select(table.c.step, table.c.weekday, table.c.median_us, table.c.weekday_median_us)
        .where(table.c.id.in_(union_all(*newest)))
        .order_by(table.c.id)
    )
    found: dict[str, Forecast] = {}
    of_day: dict[str, Forecast] = {}
    for step, day, median_us, weekday_median_us in rows:
        found[step] = Forecast(median_us / SECOND_US, "history")
        if day == weekday and weekday_median_us is not None:
            of_day[step] = Forecast(weekday_median_us / SECOND_US, "weekday")
    return found | of_day


def samples(
    connection: Connection, workflow_id: str, *, weekday: int
) -> dict[str, tuple[float, ...]]:
    """Return the seconds that forecasts are the medians of, by folded name, the newest first."""
    table = scripts_durations
    rows = connection.execute(
        select(table.c.step, table.c.weekday, table.c.duration_us)
        .where(table.c.workflow_id == workflow_id)
        .order_by(table.c.id.desc())
    )
    last: defaultdict[str, list[float]] = defaultdict(list)
    of_day: defaultdict[str, list[float]] = defaultdict(list)
    for step, day, duration_us in rows:
        last[step].append(duration_us / SECOND_US)
        if day == weekday:
            of_day[step].append(duration_us / SECOND_US)
    return {
        step: tuple(of_day[step] if len(of_day[step]) >= WEEKDAY_SAMPLES else every)[:HISTORY]
        for step, every in last.items()
    }


def _forecast(step: Step, known: Forecast | None) -> Forecast:
    if step.status is Status.INACTIVE:
        return Forecast(0.0, "inactive")
    if known is not None:
        return known
    if step.expected_s is not None:
        return Forecast(step.expected_s, "definition")
    return Forecast(DEFAULT_S, "default")


def _known(connection: Connection, workflow_id: str, folded: str) -> Sequence[Row[int, int, int]]:
    """Return what is kept of a step, the newest first."""
    table = scripts_durations
    return connection.execute(
        select(table.c.id, table.c.weekday, table.c.duration_us)
        .where(table.c.workflow_id == workflow_id, table.c.step == folded)
        .order_by(table.c.id.desc())
    ).all()


def _forget(connection: Connection, ids: Sequence[int]) -> None:
    if not ids:
        return
    table = scripts_durations
    # Two reports at once must not wait for each other's deletions: one of them does them.
    free = select(table.c.id).where(table.c.id.in_(ids)).with_for_update(skip_locked=True)
    taken = connection.execute(free).scalars().all()
    connection.execute(delete(table).where(table.c.id.in_(taken)))

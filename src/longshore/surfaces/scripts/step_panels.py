"""One step of a run with all that a person looks at: why, attempts, payload, and what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select

from longshore.engine import insights, logs
from longshore.engine.logs import Line
from longshore.engine.tables import works
from longshore.surfaces.scripts import payloads, viewing
from longshore.surfaces.scripts.board import RunStep
from longshore.surfaces.scripts.definition.model import Step
from longshore.surfaces.scripts.tables import scripts_step_works
from longshore.surfaces.scripts.viewing import Seen

LINES: Final = 200
"""So many of the last lines of an attempt are shown."""
_PAYLOAD_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Panel:
    """A step of a run.

    Attributes:
        why: why it is where it is, with what the engine knows of its work.
        needed_by: names of the steps of the definition that wait for it.
        instances: of a step that stands for a matrix.
        payload: JSON text as it was stored, at most so much that it can be shown; or None.
        payload_characters: length of the whole of it.
        work_ids: all works that it has had, the newest first.
        lines: the last ones that its latest attempt has printed.
        printed: the attempt that they are of, counted over all works, or None.
    """

    seen: Seen
    row: RunStep
    definition: Step
    why: str
    needed_by: list[str]
    instances: list[RunStep]
    payload: str | None
    payload_characters: int
    work_ids: list[str]
    lines: list[Line]
    printed: int | None


def read(connection: Connection, seen: Seen, name: str) -> Panel:
    """Read a step of a run that was read in the same transaction.

    Raises:
        NotFound: the run has no such step.
    """
    row = viewing.named(seen, name)
    payload = payloads.current(connection, seen.run.id, [row.id]).get(row.id)
    had = _works(connection, row.id)
    lines, printed = _lines(connection, had)
    return Panel(
        seen=seen,
        row=row,
        definition=seen.workflow.steps[row.definition],
        why=_why(connection, seen, row),
        needed_by=[
            each for each, told in seen.workflow.steps.items() if row.definition in told.depends_on
        ],
        instances=[each for each in seen.steps.values() if each.parent_id == row.id],
        payload=None if payload is None else payload[:_PAYLOAD_CHARACTERS],
        payload_characters=len(payload or ""),
        work_ids=[each.work_id for each in had],
        lines=lines,
        printed=printed,
    )


def _why(connection: Connection, seen: Seen, row: RunStep) -> str:
    text = viewing.why_step(seen, row)
    if row.work_id is None or row.work_id not in seen.works:
        return text
    # What the engine says begins with its own word for the state.
    return f"{text}; {insights.why(connection, row.work_id).text.partition(': ')[2]}"


def _works(connection: Connection, step_id: str) -> list[Any]:
    table = scripts_step_works
    rows = connection.execute(
        select(
            table.c.work_id,
            table.c.attempts_before,
            func.coalesce(works.c.attempt, 0).label("attempt"),
        )
        .join(works, works.c.id == table.c.work_id, isouter=True)
        .where(table.c.step_id == step_id)
        .order_by(table.c.attempts_before.desc(), table.c.work_id.desc())
    )
    return list(rows)


def _lines(connection: Connection, had: list[Any]) -> tuple[list[Line], int | None]:
    """Return what the latest attempt has printed; the one before it where that has not begun."""
    for work in had:
        for attempt in range(work.attempt, max(work.attempt - 2, 0), -1):
            found = logs.latest(connection, work.work_id, attempt, limit=LINES)
            if found:
                return found, work.attempts_before + attempt
    return [], None

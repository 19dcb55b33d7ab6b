"""What the steps of a run have printed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from longshore.clock import iso
from longshore.engine import logs
from longshore.surfaces.scripts import viewing
from longshore.surfaces.scripts.tables import scripts_step_works


def read(
    connection: Connection,
    organisation_id: str,
    run_id: int | str,
    *,
    step: str | None = None,
    after: int = 0,
    limit: int,
) -> dict[str, Any]:
    """Return lines of a run, or of one step of it, from the line behind `after`.

    `ended` says that no more comes, unless somebody lets something run again. Attempts are
    counted over all works that a step has had.

    Raises:
        NotFound: there is no such run or step.
    """
    # The state is read first: lines are written before the end of an attempt is reported.
    seen = viewing.see(connection, organisation_id, run_id)
    table = scripts_step_works
    query = select(table.c.work_id, table.c.step_id, table.c.attempts_before)
    if step is None:
        over = seen.run.finished_us is not None
        query = query.where(table.c.run_id == seen.run.id)
    else:
        found = viewing.named(seen, step)
        over = found.settled
        own = [found.id, *(each.id for each in seen.steps.values() if each.parent_id == found.id)]
        query = query.where(table.c.step_id.in_(own))
    known = {row.work_id: row for row in connection.execute(query)}
    lines = logs.read(connection, list(known), after=after, limit=limit)
    names = {each.id: each.name for each in seen.steps.values()}
    return {
        "lines": [
            {
                "seq": line.seq,
                "step": names.get(known[line.work_id].step_id),
                "work_id": line.work_id,
                "attempt": known[line.work_id].attempts_before + line.attempt,
                "at": iso(line.at_us),
                "stream": line.stream,
                "text": line.text,
            }
            for line in lines
        ],
        "next": lines[-1].seq if lines else after,
        "ended": over and len(lines) < limit,
    }

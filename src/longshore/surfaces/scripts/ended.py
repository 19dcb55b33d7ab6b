"""What follows from the end of a run: others of its event may start, and what waits for its end."""

from __future__ import annotations

from sqlalchemy import Connection

from longshore.surfaces.scripts import triggers, turns
from longshore.surfaces.scripts.board import Run


def follow_run(connection: Connection, run: Run) -> list[int]:
    """Do what follows from the end of a run; return the runs that are to be advanced for it."""
    triggers.on_run_ended(connection, run)
    if run.event_folded is None:
        return []
    return turns.pick(connection, run.organisation_id, run.event_folded)

"""Starting the runs of an event that wait for their turn."""

from __future__ import annotations

from sqlalchemy import Connection

from longshore.surfaces.scripts import advancing, turns


def admit(connection: Connection, organisation_id: str, event_folded: str, *, actor: str) -> None:
    """Start pending runs of an event as far as its parallel limit and stop on error allow."""
    for run_id in turns.pick(connection, organisation_id, event_folded):
        advancing.advance(connection, run_id, actor=actor)

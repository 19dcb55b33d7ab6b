"""What a key reaches of works: one of a workspace sees nothing of the runs of other workspaces.

Only runs of apps belong to workspaces; works of other surfaces are the organisation's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, or_, select

from longshore.access import Principal
from longshore.engine import queues
from longshore.engine.filtering import Filter
from longshore.engine.tables import queues as queues_table
from longshore.engine.works import Work
from longshore.surfaces.apps import runs
from longshore.surfaces.apps.catalogue import SURFACE as APPS
from longshore.surfaces.apps.tables import app_runs


def reachable(principal: Principal, wanted: Filter) -> Filter:
    """Return a filter that leaves out what the key does not reach."""
    return of_workspace(principal.organisation_id, principal.workspace_name, wanted)


def of_workspace(organisation_id: str, workspace: str | None, wanted: Filter) -> Filter:
    """Return a filter that leaves out the runs of other workspaces; None means all of them."""
    if workspace is None:
        return wanted
    of_apps = select(queues_table.c.id).where(
        queues_table.c.organisation_id == organisation_id, queues_table.c.surface == APPS
    )

    def within(columns: Any) -> ColumnElement[bool]:
        own_run = exists().where(
            app_runs.c.id == columns.group_id,
            app_runs.c.organisation_id == organisation_id,
            app_runs.c.output_workspace == workspace,
        )
        return or_(columns.queue_id.not_in(of_apps), own_run)

    return replace(wanted, within=within)


def reaches(connection: Connection, principal: Principal, work: Work) -> bool:
    """Return whether a key of the work's organisation reaches it."""
    if principal.workspace_name is None:
        return True
    if queues.get(connection, work.queue_id).surface != APPS:
        return True
    return work.group_id is not None and (
        runs.find(connection, principal, work.group_id) is not None
    )

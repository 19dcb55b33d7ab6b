"""The list of runs, the newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.parameters import OptionalNumber
from longshore.surfaces.scripts import viewing, workflows
from longshore.surfaces.scripts.viewing import Filter

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_PATH: Final = "/ui/workflow-runs"
_TRIGGERS: Final = ("event", "schedule", "manual", "flag", "workflow", "backfill")


@dataclass(frozen=True, slots=True)
class _Found:
    runs: list[dict[str, Any]]
    more: bool
    names: list[str]


@router.get(_PATH)
async def list_runs(
    call: Viewer,
    workflow: str = "",
    state: str = "",
    trigger: str = "",
    date: str = "",
    before: OptionalNumber = None,
) -> Response:
    """List runs by workflow, state, what started them, and business date."""
    chosen = {"workflow": workflow, "state": state, "trigger": trigger, "date": date}
    wanted = Filter(
        workflow=workflow or None,
        state=state or None,
        trigger=trigger or None,
        business_date=date or None,
        before=before,
    )
    found = await call.read(_read, call.principal.organisation_id, wanted)
    older = None
    if found.more:
        older = addressed(_PATH, **chosen, before=found.runs[-1]["id"])
    return templating.render(
        call,
        "workflows/runs.html",
        runs=found.runs,
        older=older,
        newer=addressed(_PATH, **chosen) if before is not None else None,
        chosen=chosen,
        names=found.names,
        states=viewing.RUN_STATES,
        triggers=_TRIGGERS,
    )


def _read(connection: Connection, organisation_id: str, wanted: Filter) -> _Found:
    runs = viewing.listing(connection, organisation_id, wanted, limit=ROWS + 1)
    names = [each.name for each in workflows.listing(connection, organisation_id, retired=True)]
    return _Found(runs[:ROWS], len(runs) > ROWS, names)

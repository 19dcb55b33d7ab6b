"""The list of schedules: in words, with their next instants and what came of the last."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.surfaces.scripts import timetables

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_PATH: Final = "/ui/schedules"


@router.get(_PATH)
async def list_schedules(call: Viewer, workflow: str = "", after: str = "") -> Response:
    """List the schedules that are in force, by the names of their workflows."""
    found = await call.read(
        timetables.listing,
        call.principal.organisation_id,
        after=(workflow, after) if after else None,
        limit=ROWS + 1,
    )
    older = None
    if len(found) > ROWS:
        last = found[ROWS - 1]
        older = addressed(_PATH, workflow=last.folded, after=last.id)
    return templating.render(
        call,
        "schedules/list.html",
        schedules=found[:ROWS],
        older=older,
        newer=_PATH if after else None,
    )

"""The list of workflows: how their last runs went, what starts them, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.formats import length
from longshore.surfaces.scripts import workflow_lists
from longshore.surfaces.scripts.workflow_lists import Brief, Listed

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
BAR_HEIGHT: Final = 28
_PATH: Final = "/ui/workflows"


@dataclass(frozen=True, slots=True)
class Bar:
    """A run as a bar: as high as it was long, beside the longest of them."""

    x: int
    y: int
    height: int
    state: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A workflow with its bars, the oldest run first."""

    listed: Listed
    bars: list[Bar]


@router.get(_PATH)
async def list_workflows(call: Viewer, name: str = "", after: str = "", held: str = "") -> Response:
    """List workflows by a part of their names."""
    found = await call.read(
        workflow_lists.listing,
        call.principal.organisation_id,
        text=name,
        after=after,
        held=bool(held),
        limit=ROWS + 1,
    )
    older = None
    if len(found) > ROWS:
        older = addressed(_PATH, name=name, held=held, after=found[ROWS - 1].workflow.folded)
    newer = addressed(_PATH, name=name, held=held) if after else None
    return templating.render(
        call,
        "workflows/list.html",
        rows=[Row(each, bars(each.runs)) for each in found[:ROWS]],
        name=name,
        held=held,
        older=older,
        newer=newer,
    )


def bars(runs: list[Brief]) -> list[Bar]:
    """Draw the last runs of a workflow, given with the newest first."""
    longest = max((run.took_s or 0.0 for run in runs), default=0.0) or 1.0
    drawn = []
    for place, run in enumerate(reversed(runs)):
        # What runs yet has no length: it is drawn as high as the longest.
        share = 1.0 if run.took_s is None else run.took_s / longest
        height = max(round(BAR_HEIGHT * share), 3)
        took = "" if run.took_s is None else f", {length(run.took_s)}"
        title = f"run {run.id} for {run.business_date}: {run.state}{took}"
        drawn.append(Bar(place * 8, BAR_HEIGHT - height, height, run.state, title))
    return drawn

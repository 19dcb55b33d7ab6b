"""The list of runs, and the queue of documents that need a person."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.access import Principal
from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.pages.runs.shared import REVIEWS, RUNS
from longshore.dashboard.parameters import Number
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import reviews, viewing
from longshore.surfaces.apps.review_finding import Filter as ReviewFilter
from longshore.surfaces.apps.viewing import Filter, Row
from longshore.wire.apps import RunStatus
from longshore.wire.reviews import ReviewState

router = APIRouter(include_in_schema=False)

ROWS: Final = 25
REVIEW_ROWS: Final = 50
WAITING: Final = 1_000
"""So far documents that wait are counted."""
_STATES: Final = [
    RunStatus.RUNNING,
    RunStatus.COMPLETE,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
]


@router.get(RUNS)
async def list_runs(
    call: Viewer,
    app: str = "",
    state: str = "",
    workspace: str = "",
    q: str = "",
    before: str = "",
) -> Response:
    """List runs, the newest first."""
    wanted = Filter(app, state, workspace, q)

    def read(
        connection: Connection, principal: Principal
    ) -> tuple[list[Row], bool, list[str], list[str], int]:
        rows, more = viewing.listing(
            connection, principal, wanted, before=_before(before), limit=ROWS
        )
        return (
            rows,
            more,
            viewing.app_names(connection, principal),
            viewing.workspaces(connection, principal),
            reviews.waiting(connection, principal, most=WAITING),
        )

    rows, more, apps, workspaces, waiting = await call.read(read, call.principal)
    values = {"app": app, "state": state, "workspace": workspace, "q": q}
    older = None
    if more:
        last = rows[-1].run
        older = addressed(RUNS, **values, before=f"{last.started_us}.{last.id}")
    return templating.render(
        call,
        "runs/list.html",
        rows=rows,
        apps=apps,
        workspaces=workspaces,
        states=_STATES,
        waiting=waiting,
        most=WAITING,
        wanted=wanted,
        newest=addressed(RUNS, **values) if before else None,
        older=older,
    )


@router.get(REVIEWS)
async def list_reviews(
    call: Viewer,
    state: str = "",
    app: str = "",
    run: str = "",
    after: Number = 0,
) -> Response:
    """List documents that wait for a person, those first that wait longest."""
    wanted = ReviewFilter(state or None, run or None, app or None)
    found = await call.read(reviews.listing, call.principal, wanted, after=after, limit=REVIEW_ROWS)
    apps = await call.read(viewing.app_names, call.principal)
    values = {"state": state, "app": app, "run": run}
    return templating.render(
        call,
        "runs/reviews.html",
        reviews=found.reviews,
        apps=apps,
        states=[each for each in ReviewState if each is not ReviewState.NONE],
        state=state,
        app=app,
        run=run,
        newest=addressed(REVIEWS, **values) if after else None,
        older=addressed(REVIEWS, **values, after=found.next) if found.next else None,
    )


def _before(text: str) -> tuple[int, str] | None:
    """Return where the page before ended, from the address."""
    if not text:
        return None
    started, separator, run_id = text.partition(".")
    if not separator or not started.isdecimal() or not started.isascii() or len(started) > 18:
        raise InvalidRequest("The address of this page is not one that a list gave. Begin anew.")
    if "\0" in run_id:
        raise InvalidRequest("The address of this page is not one that a list gave. Begin anew.")
    return int(started), run_id

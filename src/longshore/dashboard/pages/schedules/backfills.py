"""Backfill: first which runs it would start, then the button that starts them."""

from __future__ import annotations

from typing import Any, Final, Literal

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.forms import read_form
from longshore.dashboard.pages.workflows.acting import payload_of, whole_number
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import backfilling, workflows
from longshore.surfaces.scripts.backfilling import Backfill, Backfilled

router = APIRouter(include_in_schema=False)
Which = Literal["all", "working", "holidays", "last_working_day_of_month"]
_DAYS: Final[tuple[Which, ...]] = ("all", "working", "holidays", "last_working_day_of_month")
_PRIORITY: Final = 500


@router.get("/ui/schedules/backfill")
async def preview(
    call: Viewer,
    workflow: str = "",
    first: str = "",
    last: str = "",
    days: str = "all",
    again: str = "",
) -> Response:
    """Show which runs a backfill would start; nothing is started."""
    chosen = {"workflow": workflow, "first": first, "last": last, "days": days, "again": again}
    wanted = None
    if workflow and first and last:
        wanted = Backfill(first=first, last=last, days=_days(days), all=bool(again), dry_run=True)
    names, found = await call.read(_read, call.principal.organisation_id, workflow, wanted)
    return templating.render(
        call,
        "schedules/backfill.html",
        names=names,
        chosen=chosen,
        days=_DAYS,
        found=found,
        priority=_PRIORITY,
    )


@router.post("/ui/schedules/backfill")
async def start(request: Request, call: Operator) -> Response:
    """Start the runs."""
    form = await read_form(request)
    priority = whole_number(form, "priority", _PRIORITY)
    if not 0 <= priority <= 999:
        raise InvalidRequest(f"The priority is {priority}; give 0 to 999, lower comes first.")
    reason = form.reason()
    wanted = Backfill(
        first=form.text("first"),
        last=form.text("last"),
        days=_days(form.text("days")),
        all=bool(form.text("again")),
        priority=priority,
        payload=payload_of(form),
        reason=reason,
    )
    done = await call.write(
        "workflows.backfill",
        backfilling.backfill,
        call.principal.organisation_id,
        form.text("workflow"),
        wanted,
        actor=call.principal.key_id,
        target=lambda backfilled: backfilled.workflow.id,
        detail={"first": wanted.first, "last": wanted.last, "reason": reason},
    )
    to = f"/ui/workflow-runs?workflow={done.workflow.name}&trigger=backfill"
    return templating.done(f"{len(done.runs)} runs of {done.workflow.name} have begun.", to=to)


def _read(
    connection: Connection, organisation_id: str, name: str, wanted: Any
) -> tuple[list[str], Backfilled | None]:
    names = [each.name for each in workflows.listing(connection, organisation_id)]
    if wanted is None:
        return names, None
    return names, backfilling.backfill(connection, organisation_id, name, wanted, actor="")


def _days(text: str) -> Which:
    if text not in _DAYS:
        raise InvalidRequest(f"{text[:40]!r} are no days; take one of {', '.join(_DAYS)}.")
    return text

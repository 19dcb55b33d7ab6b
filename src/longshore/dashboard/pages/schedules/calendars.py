"""The calendar of a workflow: a month of its business dates as a table."""

from __future__ import annotations

from datetime import date, timedelta

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Viewer
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import months, starting, timetables, workflows
from longshore.surfaces.scripts.months import Month

router = APIRouter(include_in_schema=False)


@router.get("/ui/schedules/calendar")
async def show_calendar(call: Viewer, workflow: str = "", month: str = "") -> Response:
    """Show a month of a workflow; of the first one with a schedule unless it is named."""
    names, found, today = await call.read(
        _read, call.principal.organisation_id, workflow, _month(month) if month else None
    )
    before = after = ""
    if found is not None:
        before = (found.first - timedelta(days=1)).strftime("%Y-%m")
        after = (found.first + timedelta(days=32)).strftime("%Y-%m")
    return templating.render(
        call,
        "schedules/calendar.html",
        names=names,
        month=found,
        before=before,
        after=after,
        today=today,
    )


def _read(
    connection: Connection, organisation_id: str, name: str, wanted: tuple[int, int] | None
) -> tuple[list[str], Month | None, date]:
    names = [each.name for each in workflows.listing(connection, organisation_id)]
    today = date.fromisoformat(starting.today(connection))
    if not name:
        scheduled = timetables.listing(connection, organisation_id, limit=1)
        name = scheduled[0].workflow if scheduled else names[0] if names else ""
    if not name:
        return names, None, today
    year, month = wanted or (today.year, today.month)
    found = months.of_workflow(connection, organisation_id, name, year, month)
    return names, found, today


def _month(text: str) -> tuple[int, int]:
    year, _, month = text.partition("-")
    parts = (year, month)
    if not all(each.isascii() and each.isdigit() and len(each) <= 4 for each in parts):
        raise InvalidRequest(f"{text[:20]!r} is no month. Give YYYY-MM.")
    return int(year), int(month)

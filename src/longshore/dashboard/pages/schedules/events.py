"""Events: those that were accepted, the names that start something, and a form to post one."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.dashboard.pages.workflows.acting import payload_of
from longshore.dashboard.parameters import OptionalNumber
from longshore.surfaces.scripts import event_lists, events
from longshore.surfaces.scripts.event_lists import Accepted, Defined

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_PATH: Final = "/ui/schedules/events"


@router.get(_PATH)
async def list_events(call: Viewer, name: str = "", before: OptionalNumber = None) -> Response:
    """List events, the newest first."""
    found, defined = await call.read(_read, call.principal.organisation_id, name, before)
    older = None
    if len(found) > ROWS:
        older = addressed(_PATH, name=name, before=found[ROWS - 1].id)
    return templating.render(
        call,
        "schedules/events.html",
        events=found[:ROWS],
        defined=defined,
        name=name,
        older=older,
        newer=addressed(_PATH, name=name) if before is not None else None,
    )


@router.post(_PATH)
async def post_event(request: Request, call: Operator) -> Response:
    """Accept an event, once for its key."""
    form = await read_form(request)
    name, key = form.text("name"), form.text("key") or None
    posted = await call.write(
        "events.post",
        events.post,
        call.principal.organisation_id,
        name,
        payload_of(form),
        source=form.text("source") or None,
        key=key,
        actor=call.principal.key_name,
        target=lambda made: str(made.run_id),
        detail={"event": name[:64], "key": None if key is None else key[:255]},
    )
    to = f"/ui/workflow-runs/{posted.run_id}"
    if posted.repeated:
        return templating.done(f"That event came before: it is run {posted.run_id}.", to=to)
    return templating.done(f"The event has started run {posted.run_id}.", to=to)


def _read(
    connection: Connection, organisation_id: str, name: str, before: int | None
) -> tuple[list[Accepted], list[Defined]]:
    found = event_lists.accepted(
        connection, organisation_id, name=name, before=before, limit=ROWS + 1
    )
    return found, event_lists.defined(connection, organisation_id)

"""Hosts: who serves them, what runs and waits there, their throttles and holds."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.dashboard.pages.workflows.acting import whole_number
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import host_pages, host_status
from longshore.surfaces.scripts.hosts import fold

router = APIRouter(include_in_schema=False)
ROWS: Final = 50
_PATH: Final = "/ui/hosts"


@router.get(_PATH)
async def list_hosts(call: Viewer, name: str = "", state: str = "", after: str = "") -> Response:
    """List hosts by name."""
    everything = await call.read(host_status.listing, call.principal.organisation_id)
    found = [
        each
        for each in everything
        if fold(name) in each.host.folded
        and (not state or each.state == state)
        and each.host.folded > after
    ]
    older = None
    if len(found) > ROWS:
        older = addressed(_PATH, name=name, state=state, after=found[ROWS - 1].host.folded)
    return templating.render(
        call,
        "hosts/list.html",
        hosts=found[:ROWS],
        name=name,
        state=state,
        older=older,
        newer=addressed(_PATH, name=name, state=state) if after else None,
        online=sum(each.state == "online" for each in everything),
        lost=sum(each.state == "lost" for each in everything),
        slots=sum(each.slots for each in everything),
        running=sum(each.running for each in everything),
        queued=sum(each.queued for each in everything),
    )


@router.get(f"{_PATH}/{{name}}")
async def show_host(name: str, call: Viewer) -> Response:
    """Show one host."""
    found = await call.read(host_pages.read, call.principal.organisation_id, name)
    return templating.render(call, "hosts/host.html", found=found)


@router.post(f"{_PATH}/{{name}}/throttle")
async def throttle(name: str, request: Request, call: Operator) -> Response:
    """Set how many steps may run at once; a lower number drains, and kills nothing."""
    form = await read_form(request)
    most = whole_number(form, "throttle", -1) if form.text("throttle") else None
    await call.write(
        "hosts.throttle",
        host_status.throttle,
        call.principal.organisation_id,
        name,
        most,
        target=lambda status: status.host.name,
        detail={"throttle": most, "reason": form.reason()},
    )
    told = "has no throttle now" if most is None else f"runs at most {most} steps at once now"
    return templating.done(f"{name} {told}.")


@router.post(f"{_PATH}/{{name}}/hold")
async def hold(name: str, request: Request, call: Operator) -> Response:
    """Let no step be claimed from a host; what runs goes on."""
    form = await read_form(request)
    if not form.text("reason"):
        raise InvalidRequest("Say why: whoever sees that nothing starts there wants to know.")
    reason = form.reason()
    await call.write(
        "queues.hold",
        host_pages.hold,
        call.principal.organisation_id,
        name,
        actor=call.principal.key_name,
        why=reason,
        target=lambda queue: str(queue.id),
        detail={"host": name, "why": reason},
    )
    return templating.done(f"{name} is on hold: no step is claimed from it.")


@router.post(f"{_PATH}/{{name}}/release")
async def release(name: str, request: Request, call: Operator) -> Response:
    """Let steps be claimed from a host again."""
    form = await read_form(request)
    await call.write(
        "queues.release",
        host_pages.release,
        call.principal.organisation_id,
        name,
        target=lambda queue: str(queue.id),
        detail={"host": name, "reason": form.reason()},
    )
    return templating.done(f"{name} goes on.")


@router.post(_PATH)
async def create(request: Request, call: Operator) -> Response:
    """Make a host before a worker serves it, so that workflows can name it."""
    form = await read_form(request)
    status = await call.write(
        "hosts.create",
        host_status.create,
        call.principal.organisation_id,
        form.text("name"),
        actor=call.principal.key_id,
        target=lambda made: made.host.name,
    )
    return templating.done(f"{status.host.name} is there.", to=f"{_PATH}/{status.host.name}")

"""Routes of hosts: list, make, throttle."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from longshore.clock import iso
from longshore.edge.body import struct_body
from longshore.surfaces.scripts import host_status
from longshore.surfaces.scripts.host_status import HostStatus
from longshore.surfaces.scripts.routes.shared import PREFIX, Operator, Reader, answer

router = APIRouter(prefix=PREFIX, tags=["scripts"])


class Throttle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Most steps that may run at once on a host, or null; and why."""

    throttle: int | None
    reason: Annotated[str, Meta(max_length=1_000)] = ""


@router.get("/hosts")
async def list_hosts(call: Reader) -> Response:
    """List hosts with their workers, what runs and waits there, and their throttles."""
    found = await call.read(host_status.listing, call.principal.organisation_id)
    return answer([_shown(each) for each in found])


@router.get("/hosts/{name}")
async def get_host(name: str, call: Reader) -> Response:
    """Show one host."""
    return answer(_shown(await call.read(host_status.get, call.principal.organisation_id, name)))


@router.put("/hosts/{name}")
async def create_host(name: str, call: Operator) -> Response:
    """Make a host before a worker serves it, so that workflows can name it."""
    return await call.change(
        "hosts.create",
        host_status.create,
        call.principal.organisation_id,
        name,
        actor=call.principal.key_id,
        target=_target,
        render=_shown,
    )


@router.post("/hosts/{name}/throttle")
async def throttle_host(name: str, request: Request, call: Operator) -> Response:
    """Set how many steps may run at once on a host; a lower number drains, and kills nothing."""
    wanted = await struct_body(request, Throttle)
    return await call.change(
        "hosts.throttle",
        host_status.throttle,
        call.principal.organisation_id,
        name,
        wanted.throttle,
        target=_target,
        detail={"throttle": wanted.throttle, "reason": wanted.reason},
        render=_shown,
    )


def _target(status: HostStatus) -> str:
    return status.host.name


def _shown(status: HostStatus) -> dict[str, Any]:
    return {
        "name": status.host.name,
        "state": status.state,
        "workers": status.workers,
        "slots": status.slots,
        "throttle": status.throttle,
        "running": status.running,
        "queued": status.queued,
        "held": status.held,
        "seen_at": iso(status.seen_us),
        "created_at": iso(status.host.created_us),
    }

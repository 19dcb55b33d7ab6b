"""The server about itself: who you are to it, and what it allows."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission
from longshore.edge.callers import Reader
from longshore.edge.responses import json_response

router = APIRouter(tags=["server"])


@router.get("/whoami")
async def whoami(call: Reader) -> Response:
    """Say which key, role, organisation and workspace the request acts as."""
    who = call.principal
    return json_response(
        {
            "key_id": who.key_id,
            "key_name": who.key_name,
            "role": who.role,
            "organisation": who.organisation_name,
            "organisation_id": who.organisation_id,
            "workspace": who.workspace_name,
            "permissions": sorted(name for name in Permission if who.allows(name)),
        }
    )


@router.get("/limits")
async def list_limits(call: Reader) -> Response:
    """List the limits of this server; the unit ends the name."""
    found = {name.lower(): value for name, value in vars(limits).items() if name.isupper()}
    found.pop("mib")
    return json_response({"limits": found})

"""Services in Longshore's own API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.surfaces.pipelines import metadata

router = APIRouter(tags=["services"])
Reader = Annotated[Call, Depends(allow(Permission.READ))]
Developer = Annotated[Call, Depends(allow(Permission.DEVELOP))]


@router.get("/services")
async def list_services(call: Reader) -> Response:
    """List the services with their versions, and how many live workers serve each."""
    return json_response(await call.read(metadata.listing, call.principal.organisation_id))


@router.delete("/services/{version_id}")
async def delete_version(version_id: str, call: Developer) -> Response:
    """Delete a version of a service that nobody uses; the service goes with its last version."""
    return await call.change(
        "services.delete",
        metadata.remove,
        call.principal.organisation_id,
        version_id,
        target=version_id,
        render=lambda gone: gone,
    )

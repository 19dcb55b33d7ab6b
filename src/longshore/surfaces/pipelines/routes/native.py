"""Services in Longshore's own API."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from longshore.edge.callers import Developer, Reader
from longshore.edge.responses import json_response
from longshore.surfaces.pipelines import metadata

router = APIRouter(tags=["services"])


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

"""Routes of the settings of a bucket."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.callers import Developer, Reader
from longshore.surfaces.buckets import settings
from longshore.surfaces.buckets.routes.shared import answer

router = APIRouter(prefix="/buckets/settings", tags=["buckets"])


@router.get("/{pipeline}")
async def get_settings(pipeline: str, call: Reader) -> Response:
    """Show the settings of a bucket; lengths in seconds, null for "for ever" or "no limit"."""
    return answer(await call.read(settings.get, call.principal, pipeline))


@router.put("/{pipeline}")
async def put_settings(pipeline: str, request: Request, call: Developer) -> Response:
    """Change those settings that the body names, and show all of them."""
    changes = await body.json_object(request)
    return answer(
        await call.write(
            "buckets.configure",
            settings.put,
            call.principal,
            pipeline,
            changes,
            target=pipeline,
            detail=changes,
        )
    )

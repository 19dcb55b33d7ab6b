"""Routes of products and plots."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from longshore.edge.callers import Reader
from longshore.surfaces.buckets import artifacts
from longshore.surfaces.buckets.routes.shared import answer

router = APIRouter(prefix="/buckets/artifacts", tags=["buckets"])


@router.get("/{work_id}")
async def list_artifacts(work_id: str, call: Reader) -> Response:
    """List what a work names as its products and plots, in its bucket or among the results.

    Where `blob_id` is given, GET /longshore/v1/blobs/{blob_id} has the bytes.
    """
    return answer(await call.read(artifacts.listing, call.principal, work_id))

"""Routes of actions on everything that matches."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.callers import Operator, Reader
from longshore.surfaces.buckets import actions
from longshore.surfaces.buckets.routes.shared import answer

router = APIRouter(prefix="/buckets/actions", tags=["buckets"])


@router.post("", status_code=202)
async def start_action(request: Request, call: Operator) -> Response:
    """Retry, cancel or delete all works that match `query`, or those of `ids`, by a job.

    Only works that were deposited before the request are touched.
    """
    wanted = actions.requested(await body.json_object(request))
    base = call.request.url.path
    return await call.change(
        f"buckets.{wanted.action}",
        actions.start,
        call.principal,
        wanted,
        target=lambda started: str(started["id"]),
        render=lambda started: started,
        status=202,
        headers=lambda started: {"Location": f"{base}/{started['id']}"},
        detail={"query": wanted.query, "ids": None if wanted.ids is None else len(wanted.ids)},
    )


@router.get("/{job_id}")
async def get_action(job_id: str, call: Reader) -> Response:
    """Show where an action stands and what it has done so far."""
    return answer(await call.read(actions.status, call.principal, job_id))

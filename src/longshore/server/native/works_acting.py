"""Doing something to all works that fit a filter, or to one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge.body import described, json_body, json_object, parse
from longshore.edge.call import Call
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.server.native import views
from longshore.surfaces.works import acting, changing
from longshore.surfaces.works.possible import Action

router = APIRouter(tags=["works"])


class Because(BaseModel):
    """Why something is done to a work."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=1, max_length=limits.NAME_CHARACTERS)


class ActionWish(BaseModel):
    """What is to be done to all works that fit a filter."""

    action: Action
    q: str = Field(description="The filter; it may not be empty.")
    reason: str = Field(description="Kept in the audit log and with each work.")
    expected: int | None = Field(
        default=None, description="How many works were counted; more than that are refused."
    )


@router.post("/works/actions", status_code=202, openapi_extra=described(ActionWish))
async def start_action(request: Request, call: Operator) -> Response:
    """Retry, cancel, hold, release or delete all works that fit a filter, by a job.

    Only works that were submitted before the request are touched, each as far as its surface
    allows it; the answer to GET tells how many were skipped and why. With `expected`, it is
    refused where more works fit than that.
    """
    wish = acting.wished(await json_object(request))
    await call.read(acting.check_expected, call.principal, wish)
    base = call.request.url.path
    return await call.change(
        f"works.{wish.action}_matching",
        acting.start,
        call.principal,
        wish,
        target=lambda started: str(started["id"]),
        render=lambda started: started,
        status=202,
        headers=lambda started: {"Location": f"{base}/{started['id']}"},
        detail={"filter": wish.wanted.text, "reason": wish.reason, "expected": wish.expected},
    )


@router.get("/works/actions/{job_id}")
async def get_action(job_id: str, call: Reader) -> Response:
    """Show where an action stands and what it has done so far."""
    return json_response(await call.read(acting.status, call.principal, job_id))


@router.post("/works/{work_id}/hold", openapi_extra=described(Because))
async def hold_work(work_id: str, request: Request, call: Operator) -> Response:
    """Let nobody claim a work that is queued or waits, until it is released."""
    return await _change(work_id, request, call, Action.HOLD)


@router.post("/works/{work_id}/release", openapi_extra=described(Because))
async def release_work(work_id: str, request: Request, call: Operator) -> Response:
    """Let a held work go."""
    return await _change(work_id, request, call, Action.RELEASE)


@router.post("/works/{work_id}/retry", openapi_extra=described(Because))
async def retry_work(work_id: str, request: Request, call: Operator) -> Response:
    """Let a work that failed or was cancelled run again, now."""
    return await _change(work_id, request, call, Action.RETRY)


async def _change(work_id: str, request: Request, call: Call, action: Action) -> Response:
    why: Any = parse(Because, await json_body(request)).why
    return await call.change(
        f"works.{action}",
        changing.one,
        call.principal,
        work_id,
        action,
        actor=call.principal.key_id,
        why=why,
        target=work_id,
        render=views.work,
        detail={"reason": why},
    )

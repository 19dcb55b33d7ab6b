"""Queues and workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission
from longshore.edge.body import described, json_body, parse
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.engine import insights, queues, workers
from longshore.errors import NotFound
from longshore.server.native import views

router = APIRouter(tags=["queues"])
Reader = Annotated[Call, Depends(allow(Permission.READ))]
Operator = Annotated[Call, Depends(allow(Permission.OPERATE))]


class Hold(BaseModel):
    """Why nothing may be claimed from a queue for now."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=1, max_length=limits.NAME_CHARACTERS)


@router.get("/queues")
async def list_queues(call: Reader) -> Response:
    """List the organisation's queues with their counts."""
    found = await call.read(insights.queue_counts, call.principal.organisation_id)
    return json_response({"queues": [views.queue_counts(entry) for entry in found]})


@router.post("/queues/{queue_id}/hold", openapi_extra=described(Hold))
async def hold_queue(queue_id: int, request: Request, call: Operator) -> Response:
    """Let nothing more be claimed from a queue until it is released; what runs goes on."""
    wish = parse(Hold, await json_body(request))

    def hold(connection: Connection) -> queues.Queue:
        _check_visible(connection, call, queue_id)
        return queues.hold(connection, queue_id, actor=call.principal.key_id, why=wish.why)

    return await call.change("queues.hold", hold, target=str(queue_id), render=views.queue)


@router.post("/queues/{queue_id}/release")
async def release_queue(queue_id: int, call: Operator) -> Response:
    """Let works be claimed from a queue again."""

    def release(connection: Connection) -> queues.Queue:
        _check_visible(connection, call, queue_id)
        return queues.release(connection, queue_id)

    return await call.change("queues.release", release, target=str(queue_id), render=views.queue)


@router.get("/workers")
async def list_workers(call: Reader) -> Response:
    """List the organisation's workers, the newest first."""
    found = await call.read(workers.listing, call.principal.organisation_id)
    return json_response({"workers": [views.worker(worker) for worker in found]})


def _check_visible(connection: Connection, call: Call, queue_id: int) -> None:
    known = queues.listing(connection, call.principal.organisation_id)
    if queue_id not in {queue.id for queue in known}:
        raise NotFound(f"There is no queue {queue_id}. List the queues to see which there are.")

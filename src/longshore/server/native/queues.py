"""Queues and workers."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.clock import iso
from longshore.edge.body import described, json_body, parse
from longshore.edge.call import Call
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.engine import insights, measures, queues, workers
from longshore.errors import InvalidRequest, NotFound
from longshore.server.native import views
from longshore.storage import now_us

router = APIRouter(tags=["queues"])


def _exact(connection: Connection, organisation_id: str) -> tuple[list[insights.QueueCounts], int]:
    at_us = now_us(connection)
    return insights.queue_counts(connection, organisation_id), at_us


_EXACT: Final = "exact"
_COUNTS: Final = {_EXACT: _exact, "census": measures.census_counts}


class Hold(BaseModel):
    """Why nothing may be claimed from a queue for now."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=1, max_length=limits.NAME_CHARACTERS)


@router.get("/queues")
async def list_queues(call: Reader, counts: str = _EXACT) -> Response:
    """List the organisation's queues with their counts, and as of when these are (`counted`).

    They are exact, for which all works are read; with `?counts=census` they are those of the last
    census, some seconds old, which costs the same however many works there are.
    """
    if counts not in _COUNTS:
        raise InvalidRequest(f"`counts` is {counts[:80]!a}; give exact or census.")
    found, counted_us = await call.read(_COUNTS[counts], call.principal.organisation_id)
    return json_response(
        {"counted": iso(counted_us), "queues": [views.queue_counts(entry) for entry in found]}
    )


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

"""Works and groups: what they are, why they are where they are, what they printed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge.body import optional_object
from longshore.edge.call import Call
from longshore.edge.callers import Operator, Reader
from longshore.edge.jobs import SYSTEM
from longshore.edge.paging import Page, paging
from longshore.edge.responses import json_response
from longshore.engine import insights, logs, queues, works
from longshore.errors import Conflict, InvalidRequest
from longshore.server.native import views
from longshore.surfaces.pipelines.pipelines import SURFACE as PIPELINES
from longshore.surfaces.works import explaining
from longshore.surfaces.works.possible import JOBS_TO_FINISH, REFUSED, Action, job_of

router = APIRouter(tags=["works"])


@router.get("/works/{work_id}")
async def get_work(work_id: str, call: Reader) -> Response:
    """Show a work as it is now."""
    return json_response(views.work(await call.read(_visible, call, work_id)))


@router.get("/works/{work_id}/why")
async def get_why(work_id: str, call: Reader) -> Response:
    """Say in one sentence why a work is where it is, with the facts behind it."""
    return json_response(await call.read(explaining.why, call.principal, work_id))


@router.get("/works/{work_id}/events")
async def get_events(work_id: str, call: Reader) -> Response:
    """List every change of a work, oldest first."""

    def history(connection: Connection) -> list[works.Event]:
        _visible(connection, call, work_id)
        return works.events(connection, work_id)

    events = await call.read(history)
    return json_response({"events": [views.event(event) for event in events]})


@router.get("/works/{work_id}/logs")
async def get_logs(
    work_id: str, call: Reader, after: int = 0, limit: int = limits.PAGE_ROWS
) -> Response:
    """List what a work printed, from the line behind `after`; `ended` says that no more comes."""
    if after < 0 or limit < 1:
        raise InvalidRequest("after must be 0 or more, and limit 1 or more.")

    def read(connection: Connection) -> dict[str, Any]:
        # The state is read first: lines are written before the end of an attempt is reported.
        final = _visible(connection, call, work_id).final
        rows = min(limit, limits.PAGE_ROWS)
        lines = logs.read(connection, [work_id], after=after, limit=rows)
        return {
            "lines": [views.line(line) for line in lines],
            "next": lines[-1].seq if lines else after,
            "ended": final and len(lines) < rows,
        }

    return json_response(await call.read(read))


@router.post("/works/{work_id}/cancel")
async def cancel_work(work_id: str, request: Request, call: Operator) -> Response:
    """Cancel a work; a running one is told to stop. Optional body: {"why": text}."""
    why = await _why(request)

    def cancel(connection: Connection) -> works.Cancelled:
        _check_cancel(connection, _visible(connection, call, work_id))
        return works.cancel(connection, [work_id], actor=call.principal.key_id, why=why)

    return await call.change("works.cancel", cancel, target=work_id, render=views.cancelled)


@router.get("/groups/{group_id}/works")
async def get_group_works(
    group_id: str, call: Reader, page: Annotated[Page, Depends(paging)]
) -> Response:
    """List the works of a group (such as the files of a run) with its counts."""

    def read(connection: Connection) -> dict[str, Any]:
        found = explaining.visible_group(connection, call.principal, group_id)
        return {
            "counts": insights.group_counts(connection, group_id),
            "works": [views.work(work) for work in found[page.offset : page.offset + page.limit]],
        }

    return json_response(await call.read(read))


@router.post("/groups/{group_id}/cancel")
async def cancel_group(group_id: str, request: Request, call: Operator) -> Response:
    """Cancel all works of a group that are not over. Optional body: {"why": text}."""
    why = await _why(request)

    def cancel(connection: Connection) -> works.Cancelled:
        for work in explaining.visible_group(connection, call.principal, group_id)[:1]:
            _check_cancel(connection, work)
        return works.cancel_group(connection, group_id, actor=call.principal.key_id, why=why)

    return await call.change("groups.cancel", cancel, target=group_id, render=views.cancelled)


def _check_cancel(connection: Connection, work: works.Work) -> None:
    """Refuse to cancel what others would wait for: a chunk by itself, some jobs of the server."""
    surface = queues.get(connection, work.queue_id).surface
    if surface == SYSTEM and job_of(works.payload(connection, work.id)) in JOBS_TO_FINISH:
        raise Conflict(f"{work.id} cannot be cancelled: {REFUSED[SYSTEM, Action.CANCEL]}.")
    if surface == PIPELINES:
        raise Conflict(
            f"{work.id} is a chunk of a pipeline: {REFUSED[PIPELINES, Action.CANCEL]}.",
            details={"pipeline": work.group_id},
        )


async def _why(request: Request) -> str:
    why = (await optional_object(request)).get("why", "asked for through the API")
    if not isinstance(why, str) or len(why) > limits.NAME_CHARACTERS:
        raise InvalidRequest(f"why must be a text of up to {limits.NAME_CHARACTERS} characters.")
    return why


def _visible(connection: Connection, call: Call, work_id: str) -> works.Work:
    """Return a work that the caller's key reaches; any other does not exist for them."""
    return explaining.visible(connection, call.principal, work_id)

"""Works and groups: what they are, why they are where they are, what they printed."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Permission, keys
from longshore.edge.body import optional_object
from longshore.edge.call import Call, allow
from longshore.edge.paging import Page, paging
from longshore.edge.responses import json_response
from longshore.engine import insights, logs, works
from longshore.errors import InvalidRequest, NotFound
from longshore.server.native import views
from longshore.surfaces.scripts import HELD, SURFACE, explaining

router = APIRouter(tags=["works"])
Reader = Annotated[Call, Depends(allow(Permission.READ))]
_KEY: Final = re.compile(r"\bky_[0-9a-v]{26}\b")
Operator = Annotated[Call, Depends(allow(Permission.OPERATE))]


@router.get("/works/{work_id}")
async def get_work(work_id: str, call: Reader) -> Response:
    """Show a work as it is now."""
    return json_response(views.work(await call.read(_visible, call, work_id)))


@router.get("/works/{work_id}/why")
async def get_why(work_id: str, call: Reader) -> Response:
    """Say in one sentence why a work is where it is, with the facts behind it."""

    def explain(connection: Connection) -> insights.Why:
        _visible(connection, call, work_id)
        why = insights.why(connection, work_id)
        if why.facts["surface"] in (SURFACE, HELD):
            why = _of_step(connection, call, why)
        return _with_names(connection, call, why)

    return json_response(await call.read(explain))


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
        _visible(connection, call, work_id)
        return works.cancel(connection, [work_id], actor=call.principal.key_id, why=why)

    return await call.change("works.cancel", cancel, target=work_id, render=views.cancelled)


@router.get("/groups/{group_id}/works")
async def get_group_works(
    group_id: str, call: Reader, page: Annotated[Page, Depends(paging)]
) -> Response:
    """List the works of a group (such as the files of a run) with its counts."""

    def read(connection: Connection) -> dict[str, Any]:
        found = _visible_group(connection, call, group_id)
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
        _visible_group(connection, call, group_id)
        return works.cancel_group(connection, group_id, actor=call.principal.key_id, why=why)

    return await call.change("groups.cancel", cancel, target=group_id, render=views.cancelled)


def _of_step(connection: Connection, call: Call, why: insights.Why) -> insights.Why:
    """Say of the work of a step of a workflow what is to be said of the step."""
    told = explaining.work(connection, call.principal.organisation_id, why.work_id)
    if told is None:
        return why
    return replace(why, text=told["text"], facts={**why.facts, **told["facts"]})


def _with_names(connection: Connection, call: Call, why: insights.Why) -> insights.Why:
    """Call keys by their names: a client that withdraws holds its works by its key."""
    text = why.text
    for key_id in set(_KEY.findall(text)):
        try:
            key = keys.get(connection, call.principal.organisation_id, key_id)
        except NotFound:
            continue
        text = text.replace(key_id, f"key {key.name!r} ({key_id})")
    return replace(why, text=text)


async def _why(request: Request) -> str:
    why = (await optional_object(request)).get("why", "asked for through the API")
    if not isinstance(why, str) or len(why) > limits.NAME_CHARACTERS:
        raise InvalidRequest(f"why must be a text of up to {limits.NAME_CHARACTERS} characters.")
    return why


def _visible(connection: Connection, call: Call, work_id: str) -> works.Work:
    """Return a work of the caller's organisation; any other does not exist for them."""
    if works.organisation_of(connection, work_id) != call.principal.organisation_id:
        raise NotFound(f"There is no work {work_id!r}. It may have been deleted; check the id.")
    return works.get(connection, work_id)


def _visible_group(connection: Connection, call: Call, group_id: str) -> list[works.Work]:
    found = works.of_group(connection, group_id)
    if found and (works.organisation_of(connection, found[0].id) == call.principal.organisation_id):
        return found
    raise NotFound(f"There is no group {group_id!r}. It may have been deleted; check the id.")

"""Routes of runs, their results and their deletion."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.callers import Operator, Reader
from longshore.edge.responses import json_response
from longshore.surfaces.apps import run_deletion, runs, starting
from longshore.surfaces.apps.results import Detail
from longshore.surfaces.apps.routes.shared import long_page
from longshore.surfaces.apps.run_deletion import Parts
from longshore.surfaces.apps.runs import Filter
from longshore.wire import apps as wire

router = APIRouter(prefix="/v2/apps", tags=["runs"])


@router.post("/runs", openapi_extra=body.described(wire.RunRequest))
async def create_run(request: Request, call: Operator) -> Response:
    """Start a run of an app over the files of a batch or folder."""
    wanted = body.parse(wire.RunRequest, await body.json_body(request))
    return await call.change(
        "runs.create",
        starting.create,
        call.principal,
        wanted,
        networks=call.context.outbound.allowed,
        target=lambda made: made.id,
        render=lambda made: made,
    )


class RunQuery(BaseModel):
    """The query of a listing of runs; what is given must all hold."""

    app_id: str | None = None
    app_name: str | None = None
    deployment_id: str | None = None
    username: str | None = None
    run_id: str | None = None
    status: list[str] = []
    output_workspaces: list[str] = []
    from_timestamp: int | None = None
    """Seconds; 24 hours before the end of the window unless given."""
    to_timestamp: int | None = None
    """Seconds; now unless given."""
    limit: int | None = None
    offset: int | None = None
    sort_by: str | None = None
    """`start_timestamp` (default) or `status`."""
    order: str | None = None
    """`DESCENDING` (default) or `ASCENDING`."""


@router.get("/runs")
async def list_runs(call: Reader, query: Annotated[RunQuery, Query()]) -> Response:
    """List runs; without from_timestamp those of the last 24 hours."""
    wanted = Filter(
        app_id=query.app_id,
        app_name=query.app_name,
        deployment_id=query.deployment_id,
        username=query.username,
        run_id=query.run_id,
        status=query.status,
        output_workspaces=query.output_workspaces,
        from_s=query.from_timestamp,
        to_s=query.to_timestamp,
        sort_by=query.sort_by,
        order=query.order,
    )
    page = long_page(query.limit, query.offset)
    return json_response(await call.read(runs.listing, call.principal, wanted, page))


@router.get("/runs/{run_id}")
async def get_run(run_id: str, call: Reader) -> Response:
    """Show a run; while it is RUNNING, `msg` says what it waits for."""
    return json_response(await call.read(runs.status, call.principal, run_id))


@router.get("/runs/{run_id}/results")
async def get_results(
    run_id: str,
    call: Reader,
    file_offset: int = 0,
    include_confidence_scores: bool = False,
    include_source_info: bool = False,
    include_review_results: bool = False,
    include_validation_results: bool = False,
) -> Response:
    """Show one page of the results of a finished run."""
    detail = Detail(
        confidence=include_confidence_scores,
        source=include_source_info,
        review=include_review_results,
        validation=include_validation_results,
    )
    return json_response(
        await call.read(runs.page_of_results, call.principal, run_id, detail, file_offset)
    )


@router.post("/runs/{run_id}/cancel")
async def cancel_run(run_id: str, call: Operator) -> Response:
    """Stop a run; files that are done keep their results."""
    return json_response(
        await call.write("runs.cancel", runs.cancel, call.principal, run_id, target=run_id)
    )


@router.delete("/runs/{run_id}", status_code=202)
async def delete_run(
    run_id: str,
    call: Operator,
    delete_db_data: bool = True,
    delete_input: bool = True,
    delete_output: bool = True,
    delete_logs: bool = True,
) -> Response:
    """Delete parts of a run: its record at once, the others by jobs."""
    parts = Parts(record=delete_db_data, input=delete_input, output=delete_output, logs=delete_logs)
    deleted = await call.write(
        "runs.delete",
        run_deletion.delete_run,
        call.principal,
        run_id,
        parts,
        target=run_id,
        detail={
            "delete_db_data": delete_db_data,
            "delete_input": delete_input,
            "delete_output": delete_output,
            "delete_logs": delete_logs,
        },
    )
    return json_response(deleted, 202)

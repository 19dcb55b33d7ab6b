"""Pipelines: what is in their buffers, how fast they are, which records failed and why."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Developer, Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.surfaces.pipelines import browsing, ending, metadata
from longshore.surfaces.pipelines import pipelines as stored

router = APIRouter(include_in_schema=False)

PIPELINES: Final = 25
COUNTED: Final = 1_000
"""Most chunks of a pipeline that the list sums."""
ROWS: Final = 50
FAILED: Final = 25
"""Failed records on a page, or a few more: those of whole chunks."""


@router.get("/ui/pipelines")
async def list_pipelines(call: Viewer, before: str | None = None) -> Response:
    """List the pipelines, the newest first."""
    found, older = await call.read(
        browsing.pipelines_page,
        call.principal.organisation_id,
        before=before,
        limit=PIPELINES,
        most=COUNTED,
    )
    return templating.render(
        call,
        "pipelines/list.html",
        pipelines=found,
        newest="/ui/pipelines" if before is not None else None,
        older=None if older is None else addressed("/ui/pipelines", before=older),
    )


@router.get("/ui/pipelines/services")
async def list_services(call: Viewer) -> Response:
    """List the services with their versions."""
    found = await call.read(metadata.listing, call.principal.organisation_id)
    return templating.render(call, "pipelines/services.html", services=found["services"])


@router.post("/ui/pipelines/services/{version_id}/delete")
async def delete_version(version_id: str, request: Request, call: Developer) -> Response:
    """Delete a version of a service that nobody uses."""
    form = await read_form(request)
    gone = await call.write(
        "services.delete",
        metadata.remove,
        call.principal.organisation_id,
        version_id,
        target=version_id,
        detail={"reason": form.reason()},
    )
    return templating.done(f"{gone['uri']} is deleted.")


@router.get("/ui/pipelines/{pipeline_id}")
async def show_pipeline(pipeline_id: str, call: Viewer) -> Response:
    """Show one pipeline as it is now."""
    look = await call.read(browsing.look, call.principal.organisation_id, pipeline_id)
    pipeline = look.overview.pipeline
    failed: list[browsing.FailedRecord] = []
    more = None
    closed = 0
    if look.overview.sums.records_failed or look.overview.more:
        failed, more, closed = await call.read(
            browsing.failed_records, pipeline, after=None, most=FAILED
        )
    address = _address(pipeline_id)
    return templating.render(
        call,
        "pipelines/one.html",
        look=look,
        pipeline=pipeline,
        sums=look.overview.sums,
        address=address,
        retries=await call.read(browsing.retries, pipeline),
        failed=failed,
        closed=closed,
        older=None if more is None else addressed(f"{address}/failed", after=more),
        chart=_chart(look.rates),
    )


@router.get("/ui/pipelines/{pipeline_id}/chunks")
async def show_chunks(
    pipeline_id: str, call: Viewer, state: str = "", after: str | None = None
) -> Response:
    """Show the chunks of a pipeline."""
    pipeline = await call.read(stored.get, call.principal.organisation_id, pipeline_id)
    found = await call.read(browsing.chunks, pipeline, state=state or None, after=after, limit=ROWS)
    address = f"{_address(pipeline_id)}/chunks"
    return templating.render(
        call,
        "pipelines/chunks.html",
        pipeline=pipeline,
        address=_address(pipeline_id),
        chunks=found.chunks,
        state=state,
        states=browsing.STATES,
        newest=addressed(address, state=state) if after is not None else None,
        older=None if found.after is None else addressed(address, state=state, after=found.after),
    )


@router.get("/ui/pipelines/{pipeline_id}/failed")
async def show_failed(pipeline_id: str, call: Viewer, after: str | None = None) -> Response:
    """Show the records that failed, each with its error."""
    pipeline = await call.read(stored.get, call.principal.organisation_id, pipeline_id)
    failed, more, closed = await call.read(
        browsing.failed_records, pipeline, after=after, most=FAILED
    )
    address = f"{_address(pipeline_id)}/failed"
    return templating.render(
        call,
        "pipelines/failed.html",
        pipeline=pipeline,
        address=_address(pipeline_id),
        failed=failed,
        closed=closed,
        newest=address if after is not None else None,
        older=None if more is None else addressed(address, after=more),
    )


@router.post("/ui/pipelines/{pipeline_id}/end")
async def end(pipeline_id: str, request: Request, call: Operator) -> Response:
    """Close a pipeline, or cancel it."""
    form = await read_form(request)
    wish = form.text("batch_status")
    await call.write(
        "pipelines.end",
        ending.end,
        call.principal.organisation_id,
        pipeline_id,
        wish,
        actor=call.principal.key_id,
        target=pipeline_id,
        detail={"batch_status": wish[:80], "reason": form.reason()},
    )
    told = {
        "closed": "takes no more chunks; what was pushed is computed and can be pulled.",
        "cancelled": "is cancelled, and what was in its buffers is dropped.",
    }
    return templating.done(f"The pipeline {told[wish]}")


@router.post("/ui/pipelines/{pipeline_id}/delete")
async def delete(pipeline_id: str, request: Request, call: Operator) -> Response:
    """Cancel a pipeline and delete it with all its chunks."""
    form = await read_form(request)
    await call.write(
        "pipelines.delete",
        ending.delete_soon,
        call.principal,
        pipeline_id,
        target=pipeline_id,
        detail={"reason": form.reason()},
    )
    return templating.done("The pipeline is cancelled and being deleted.", to="/ui/pipelines")


@router.post("/ui/pipelines/{pipeline_id}/retry")
async def retry(pipeline_id: str, request: Request, call: Operator) -> Response:
    """Queue the chunks that wait for their next attempt now."""
    form = await read_form(request)
    count = await call.write(
        "pipelines.retry",
        browsing.retry_now,
        call.principal.organisation_id,
        pipeline_id,
        actor=call.principal.key_id,
        target=pipeline_id,
        detail={"reason": form.reason()},
    )
    return templating.done(f"{count:,} chunks are queued again.")


def _address(pipeline_id: str) -> str:
    return f"/ui/pipelines/{quote(pipeline_id, safe='')}"


def _chart(rates: browsing.Rates) -> dict[str, Any]:
    return {
        "times": rates.times_s,
        "series": [
            {"label": "records", "values": rates.records, "tone": "accent"},
            {"label": "of them failed", "values": rates.failed, "tone": "bad"},
        ],
    }

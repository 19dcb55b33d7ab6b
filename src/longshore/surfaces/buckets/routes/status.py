"""Routes that count works, audit them, and say what answers here."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from longshore import __version__
from longshore.edge.callers import Reader
from longshore.surfaces.buckets import auditing, viewing
from longshore.surfaces.buckets.routes.shared import Reporter, answer

router = APIRouter(prefix="/buckets", tags=["buckets"])


@router.head("/version", include_in_schema=False)
@router.get("/version")
async def version() -> Response:
    """Say what answers here; the published client looks for this without a key."""
    return answer({"service": "buckets", "version": __version__})


@router.get("/status")
async def status(call: Reader) -> Response:
    """Count the works of all buckets by status."""
    return answer(await call.read(viewing.status, call.principal.organisation_id))


@router.get("/status/pipelines")
async def pipelines(call: Reader) -> Response:
    """Name the buckets that hold works."""
    return answer(await call.read(viewing.pipelines, call.principal.organisation_id))


@router.get("/status/details/{pipeline}")
async def details(pipeline: str, call: Reader) -> Response:
    """Count the works of one bucket by status; one that is not there has none."""
    return answer(await call.read(viewing.status, call.principal.organisation_id, pipeline))


@router.get("/audit/failed")
async def failed(call: Reporter) -> Response:
    """Queue the failed works that have attempts left; the answer is how many."""
    principal = call.principal
    return answer(
        await call.context.database.write(
            auditing.failed, principal.organisation_id, actor=principal.key_id
        )
    )


@router.get("/audit/expired")
async def expired(call: Reporter) -> Response:
    """Fail the running works whose time limit is over; the answer is how many."""
    principal = call.principal
    return answer(
        await call.context.database.write(
            auditing.expired, principal.organisation_id, actor=principal.key_id
        )
    )


@router.get("/audit/stale/{days}")
async def stale(days: float, call: Reader) -> Response:
    """Count the works that were made more than so many days ago; nothing is changed."""
    return answer(await call.read(auditing.stale, call.principal.organisation_id, days))

"""Runs of workflows, their steps, and what those printed."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

from fastapi import APIRouter, Depends
from starlette.responses import Response

from longshore import limits
from longshore.edge.paging import Page, paging
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import dashboard, explaining, printed, viewing
from longshore.surfaces.scripts.routes.shared import PREFIX, Reader, answer
from longshore.surfaces.scripts.viewing import Filter, StepFilter

router = APIRouter(prefix=PREFIX, tags=["scripts"])
_LOOK_S: Final = 0.3
"""How often a request that waits for log lines looks for some."""


@router.get("/runs")
async def list_runs(
    call: Reader,
    page: Annotated[Page, Depends(paging)],
    workflow: str | None = None,
    state: str | None = None,
    trigger: str | None = None,
    event: str | None = None,
    business_date: str | None = None,
) -> Response:
    """List runs, the newest first, with the number of their steps by state."""
    wanted = Filter(workflow, state, trigger, event, business_date)
    found = await call.read(
        viewing.listing,
        call.principal.organisation_id,
        wanted,
        limit=page.limit,
        offset=page.offset,
    )
    return answer({"runs": found})


@router.get("/runs/{run_id}")
async def show_run(run_id: str, call: Reader) -> Response:
    """Show a run with its counts and areas."""
    return answer(await call.read(viewing.show, call.principal.organisation_id, run_id))


@router.get("/runs/{run_id}/steps")
async def list_steps(
    run_id: str,
    call: Reader,
    name: str | None = None,
    status: str | None = None,
    area: str | None = None,
    host: str | None = None,
    estimates: bool = False,
) -> Response:
    """List the steps of a run; those whose name has `name` in it, of a status, area or host.

    With `estimates`, also when each will be done, and whether it is on the critical path.
    """
    found = await call.read(
        dashboard.steps,
        call.principal.organisation_id,
        run_id,
        StepFilter(name, status, area, host),
        with_estimates=estimates,
    )
    return answer({"steps": found})


@router.get("/runs/{run_id}/steps/{name}")
async def show_step(run_id: str, name: str, call: Reader) -> Response:
    """Show a step with its attempts."""
    return answer(await call.read(viewing.step, call.principal.organisation_id, run_id, name))


@router.get("/runs/{run_id}/why")
async def why_run(run_id: str, call: Reader) -> Response:
    """Say why a run, and each step that is left of it, is where it is."""
    return answer(await call.read(explaining.run, call.principal.organisation_id, run_id))


@router.get("/runs/{run_id}/steps/{name}/why")
async def why_step(run_id: str, name: str, call: Reader) -> Response:
    """Say why a step is where it is."""
    return answer(await call.read(explaining.step, call.principal.organisation_id, run_id, name))


@router.get("/runs/{run_id}/steps/{name}/tree")
async def show_tree(run_id: str, name: str, call: Reader) -> Response:
    """Show what a step depends on, and what depends on it, all the way."""
    return answer(await call.read(dashboard.tree, call.principal.organisation_id, run_id, name))


@router.get("/runs/{run_id}/logs")
async def read_logs(
    run_id: str,
    call: Reader,
    step: str | None = None,
    after: int = 0,
    limit: int = limits.PAGE_ROWS,
    wait: float = 0.0,
) -> Response:
    """List what the steps of a run printed, from the line behind `after`.

    With `wait`, an answer without lines takes up to so many seconds. `ended` says that no more
    comes.
    """
    if after < 0 or limit < 1 or not wait >= 0:
        raise InvalidRequest("after and wait must be 0 or more, and limit 1 or more.")
    until_s = time.monotonic() + min(wait, limits.CLAIM_WAIT_S)
    while True:
        found = await call.read(
            printed.read,
            call.principal.organisation_id,
            run_id,
            step=step,
            after=after,
            limit=min(limit, limits.PAGE_ROWS),
        )
        rest_s = until_s - time.monotonic()
        if found["lines"] or found["ended"] or rest_s <= 0 or call.context.stopping:
            return answer(found)
        await asyncio.sleep(min(_LOOK_S, rest_s))

"""Operating runs: start, hold, resume, skip, force ok, rerun, cancel, delete. All is audited."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.body import check_depth, decoded, raw_body
from longshore.edge.call import Call
from longshore.surfaces.scripts import board as boards
from longshore.surfaces.scripts import (
    deciding,
    deleting,
    operating,
    payloads,
    rerunning,
    starting,
    workflows,
)
from longshore.surfaces.scripts.routes.bodies import PAYLOAD_BODY_BYTES, body_of, documented
from longshore.surfaces.scripts.routes.shared import PREFIX, Operator, answer

router = APIRouter(prefix=PREFIX, tags=["scripts"])
Reason = Annotated[str, Meta(max_length=1_000)]
RequiredReason = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run is started with; the date is today's in UTC, the version the newest, unless given."""

    payload: Any = None
    business_date: str | None = None
    version: int | None = None
    priority: Annotated[int, Meta(ge=0, le=999)] = starting.PRIORITY


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done; kept in the audit log."""

    reason: Reason = ""


class MustSayWhy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is done that changes what a run leads to; kept with it."""

    reason: RequiredReason


class Rerun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is run again: failed steps, everything from a step on, or the whole as a new run."""

    mode: Literal["failed", "step", "from_step", "whole"] = "failed"
    step: str | None = None
    reason: Reason = ""


@router.post("/workflows/{name}/runs", status_code=201, openapi_extra=documented(Start))
async def start_run(name: str, request: Request, call: Operator) -> Response:
    """Start a run of a workflow; every step can read `payload` as the event's payload."""
    wanted = await body_of(request, Start, limit_bytes=PAYLOAD_BODY_BYTES)

    def start(connection: Connection) -> boards.Run:
        organisation_id = call.principal.organisation_id
        found = workflows.get(connection, organisation_id, name)
        payload = None if wanted.payload is None else payloads.text_of(wanted.payload).encode()
        run_id = starting.start(
            connection,
            organisation_id,
            found.id,
            trigger="manual",
            started_by=call.principal.key_name,
            payload=payload,
            business_date=wanted.business_date or starting.today(connection),
            version=wanted.version,
            priority=wanted.priority,
            actor=call.principal.key_name,
        )
        return boards.get(connection, organisation_id, run_id)

    return await call.change(
        "runs.start",
        start,
        target=lambda run: str(run.id),
        render=lambda run: {"id": run.id, "workflow": run.workflow, "version": run.version},
        status=201,
        detail={"workflow": name, "business_date": wanted.business_date},
    )


@router.post("/workflows/{name}/hold", openapi_extra=documented(Why))
async def hold_workflow(name: str, request: Request, call: Operator) -> Response:
    """Put all runs of a workflow on hold, also those to come; what runs goes on."""
    why = await _why(request)
    return await _change(
        call,
        "workflows.hold",
        operating.hold_workflow,
        name,
        target=name,
        reason=why,
        render=lambda run_ids: {"runs": run_ids},
    )


@router.post("/workflows/{name}/resume", openapi_extra=documented(Why))
async def resume_workflow(name: str, request: Request, call: Operator) -> Response:
    """Lift the hold of a workflow."""
    why = await _why(request)
    return await _change(
        call,
        "workflows.resume",
        operating.resume_workflow,
        name,
        target=name,
        detail={"reason": why},
        render=lambda run_ids: {"runs": run_ids},
    )


@router.post("/runs/{run_id}/hold", openapi_extra=documented(Why))
async def hold_run(run_id: str, request: Request, call: Operator) -> Response:
    """Put a run on hold: nothing of it begins, what runs goes on."""
    return await _hold(call, request, run_id)


@router.post("/runs/{run_id}/resume", openapi_extra=documented(Why))
async def resume_run(run_id: str, request: Request, call: Operator) -> Response:
    """Lift the hold of a run; its steps and areas may have holds of their own."""
    return await _resume(call, request, run_id)


@router.post("/runs/{run_id}/areas/{area}/hold", openapi_extra=documented(Why))
async def hold_area(run_id: str, area: str, request: Request, call: Operator) -> Response:
    """Put all steps of an area on hold."""
    return await _hold(call, request, run_id, area=area)


@router.post("/runs/{run_id}/areas/{area}/resume", openapi_extra=documented(Why))
async def resume_area(run_id: str, area: str, request: Request, call: Operator) -> Response:
    """Lift the hold of an area."""
    return await _resume(call, request, run_id, area=area)


@router.post("/runs/{run_id}/steps/{name}/hold", openapi_extra=documented(Why))
async def hold_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Put a step on hold: it begins no attempt, and what depends on it waits."""
    return await _hold(call, request, run_id, step=name)


@router.post("/runs/{run_id}/steps/{name}/resume", openapi_extra=documented(Why))
async def resume_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Lift the hold of a step."""
    return await _resume(call, request, run_id, step=name)


@router.post("/runs/{run_id}/steps/{name}/skip", openapi_extra=documented(MustSayWhy))
async def skip_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Leave a step out, so that what depends on it goes on. Needs a reason."""
    why = (await body_of(request, MustSayWhy)).reason
    return await _change(
        call,
        "runs.skip",
        deciding.skip,
        run_id,
        name,
        target=run_id,
        reason=why,
        detail={"step": name},
        render=lambda names: {"skipped": names},
    )


@router.post("/runs/{run_id}/steps/{name}/force-ok", openapi_extra=documented(MustSayWhy))
async def force_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Take a step for finished, whatever became of it. Needs a reason."""
    why = (await body_of(request, MustSayWhy)).reason
    return await _change(
        call,
        "runs.force_ok",
        deciding.force_ok,
        run_id,
        name,
        target=run_id,
        reason=why,
        detail={"step": name},
        render=lambda names: {"forced": names},
    )


@router.post("/runs/{run_id}/steps/{name}/cancel", openapi_extra=documented(MustSayWhy))
async def cancel_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Cancel a step; a running one is told to stop. Needs a reason."""
    why = (await body_of(request, MustSayWhy)).reason
    return await _change(
        call,
        "runs.cancel_step",
        deciding.cancel_step,
        run_id,
        name,
        target=run_id,
        reason=why,
        detail={"step": name},
        render=asdict,
    )


@router.post("/runs/{run_id}/cancel", openapi_extra=documented(MustSayWhy))
async def cancel_run(run_id: str, request: Request, call: Operator) -> Response:
    """Cancel a run; the answer lists what is cancelled, what is stopping, and what was over."""
    why = (await body_of(request, MustSayWhy)).reason
    return await _change(
        call,
        "runs.cancel",
        deciding.cancel_run,
        run_id,
        target=run_id,
        reason=why,
        render=asdict,
    )


@router.post("/runs/{run_id}/rerun", openapi_extra=documented(Rerun))
async def rerun_run(run_id: str, request: Request, call: Operator) -> Response:
    """Run steps of a run again, or (mode whole) start a new run with the same input.

    `failed`: the steps that failed or were cancelled, and what comes after them and is not
    finished. `step`: one step, and the same. `from_step`: one step and all that comes after it.
    """
    wanted = await _optional(request, Rerun)
    return await _rerun(call, run_id, wanted)


@router.post("/runs/{run_id}/steps/{name}/rerun", openapi_extra=documented(Why))
async def rerun_step(run_id: str, name: str, request: Request, call: Operator) -> Response:
    """Run a step again, and what comes after it and is not finished."""
    return await _rerun(call, run_id, Rerun("step", name, await _why(request)))


@router.delete("/runs/{run_id}")
async def delete_run(run_id: str, call: Operator) -> Response:
    """Delete a run that is over, with what its steps stored and printed."""
    organisation_id = call.principal.organisation_id
    run = await call.read(boards.get, organisation_id, run_id)
    # The audit entry comes with the first part: a deletion that is interrupted is known.
    left = await call.write(
        "runs.delete", deleting.delete_some, organisation_id, run.id, target=str(run.id)
    )
    while left:
        left = await call.context.database.write(deleting.delete_some, organisation_id, run.id)
    return answer({"id": run.id})


async def _hold(call: Call, request: Request, run_id: str, **what: str) -> Response:
    return await _change(
        call,
        "runs.hold",
        operating.hold,
        run_id,
        target=run_id,
        reason=await _why(request),
        detail=what,
        render=lambda names: {"on_hold": names},
        **what,
    )


async def _resume(call: Call, request: Request, run_id: str, **what: str) -> Response:
    return await _change(
        call,
        "runs.resume",
        operating.resume,
        run_id,
        target=run_id,
        detail={**what, "reason": await _why(request)},
        render=lambda names: {"on_hold": names},
        **what,
    )


async def _rerun(call: Call, run_id: str, wanted: Rerun) -> Response:
    detail = {"mode": wanted.mode, "step": wanted.step, "reason": wanted.reason}
    if wanted.mode == "whole":
        return await _change(
            call,
            "runs.rerun",
            rerunning.rerun_whole,
            run_id,
            target=run_id,
            detail=detail,
            render=lambda new_id: {"id": new_id, "again": []},
        )
    return await _change(
        call,
        "runs.rerun",
        rerunning.rerun,
        run_id,
        wanted.mode,
        target=run_id,
        detail=detail,
        render=lambda names: {"id": boards.as_id(run_id), "again": names},
        step=wanted.step,
    )


async def _change(
    call: Call,
    action: str,
    service: Any,
    /,
    *given: Any,
    target: str,
    render: Any,
    detail: dict[str, Any] | None = None,
    **more: Any,
) -> Response:
    """Do what a service does for the caller's organisation, and answer; the reason is audited."""
    kept = {**(detail or {}), **({"reason": more["reason"]} if "reason" in more else {})}
    return await call.change(
        action,
        service,
        call.principal.organisation_id,
        *given,
        target=target,
        render=render,
        detail=kept,
        actor=call.principal.key_name,
        **more,
    )


async def _why(request: Request) -> str:
    why: Why = await _optional(request, Why)
    return why.reason


async def _optional(request: Request, form: Any) -> Any:
    """Return a body that may be left out."""
    data = await raw_body(request, limit_bytes=64 * 1024)
    if not data.strip():
        return form()
    check_depth(data)
    return decoded(data, form)

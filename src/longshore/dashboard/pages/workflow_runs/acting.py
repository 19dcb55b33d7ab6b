"""What people do to a run and its steps: the same services as the API's, with a reason, audited."""

from __future__ import annotations

from typing import Any, Final, cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator
from longshore.dashboard.forms import Form, read_form
from longshore.edge.call import Call
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import deciding, operating, rerunning, switching
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.rerunning import Mode

router = APIRouter(include_in_schema=False)
_RUN: Final = "/ui/workflow-runs/{run_id}"
_MODES: Final = ("failed", "step", "from_step")


@router.post(f"{_RUN}/hold")
async def hold(run_id: str, request: Request, call: Operator) -> Response:
    """Put a run, or an area or a step of it, on hold."""
    form = await read_form(request)
    what = _part(form)
    names = await _do(
        call, "runs.hold", operating.hold, run_id, reason=form.reason(), detail=what, **what
    )
    return templating.done(f"{_told(run_id, what)} is on hold: {_steps(names)}.")


@router.post(f"{_RUN}/resume")
async def resume(run_id: str, request: Request, call: Operator) -> Response:
    """Lift the hold of a run, or of an area or a step of it."""
    form = await read_form(request)
    what = _part(form)
    detail = {**what, "reason": form.reason()}
    names = await _do(call, "runs.resume", operating.resume, run_id, detail=detail, **what)
    left = f" {_steps(names)} still on hold." if names else ""
    return templating.done(f"{_told(run_id, what)} goes on.{left}")


@router.post(f"{_RUN}/cancel")
async def cancel(run_id: str, request: Request, call: Operator) -> Response:
    """Cancel a run, or a step of it."""
    form = await read_form(request)
    name, reason = form.text("step"), _required(form)
    if name:
        halted = await _do(
            call, "runs.cancel_step", deciding.cancel_step, run_id, name,
            reason=reason, detail={"step": name},
        )  # fmt: skip
    else:
        halted = await _do(call, "runs.cancel", deciding.cancel_run, run_id, reason=reason)
    told = f"Cancelled: {_steps(halted.cancelled)}"
    stopping = f"; stopping: {_steps(halted.stopping)}" if halted.stopping else ""
    return templating.done(f"{told}{stopping}.")


@router.post(f"{_RUN}/skip")
async def skip(run_id: str, request: Request, call: Operator) -> Response:
    """Leave a step out."""
    form = await read_form(request)
    name = form.text("step")
    names = await _do(
        call, "runs.skip", deciding.skip, run_id, name,
        reason=_required(form), detail={"step": name},
    )  # fmt: skip
    return templating.done(f"Skipped: {_steps(names)}.")


@router.post(f"{_RUN}/force-ok")
async def force_ok(run_id: str, request: Request, call: Operator) -> Response:
    """Take a step for finished."""
    form = await read_form(request)
    name = form.text("step")
    names = await _do(
        call, "runs.force_ok", deciding.force_ok, run_id, name,
        reason=_required(form), detail={"step": name},
    )  # fmt: skip
    return templating.done(f"Taken for finished: {_steps(names)}.")


@router.post(f"{_RUN}/rerun")
async def rerun(run_id: str, request: Request, call: Operator) -> Response:
    """Run failed steps, one step, or everything from a step on again; or the whole as a new run."""
    form = await read_form(request)
    mode, name = form.text("mode"), form.text("step") or None
    detail = {"mode": mode, "step": name, "reason": form.reason()}
    if mode == "whole":
        new_id = await _do(call, "runs.rerun", rerunning.rerun_whole, run_id, detail=detail)
        to = f"/ui/workflow-runs/{new_id}"
        return templating.done(f"Run {new_id} has begun with the same input.", to=to)
    if mode not in _MODES:
        raise InvalidRequest(f"{mode[:40]!r} is no way to run again; take one of the page's.")
    names = await _do(
        call, "runs.rerun", rerunning.rerun, run_id, cast("Mode", mode), step=name, detail=detail
    )
    return templating.done(f"Run again: {_steps(names)}.")


@router.post(f"{_RUN}/order")
async def order(run_id: str, request: Request, call: Operator) -> Response:
    """Order the ready steps of a run by any end, or by one step that is needed soon."""
    form = await read_form(request)
    step = form.text("step") or None
    wanted = Order(path="global" if step is None else "local", step=step)
    detail = {"path": wanted.path, "step": step, "reason": form.reason()}
    await _do(call, "runs.order", switching.switch, run_id, wanted, detail=detail)
    first = "the longest remaining path" if step is None else f"what leads to {step}"
    return templating.done(f"Run {run_id} now takes {first} first.")


async def _do(
    call: Call, action: str, service: Any, run_id: str, *given: Any, detail: Any = None, **more: Any
) -> Any:
    """Do to a run what a service does, audited with the reason as the API does it."""
    kept = {**(detail or {}), **({"reason": more["reason"]} if "reason" in more else {})}
    return await call.write(
        action,
        service,
        call.principal.organisation_id,
        run_id,
        *given,
        target=run_id,
        detail=kept,
        actor=call.principal.key_name,
        **more,
    )


def _required(form: Form) -> str:
    if not form.text("reason"):
        raise InvalidRequest("Say why: it is kept with the run and in the audit log.")
    return form.reason()


def _part(form: Form) -> dict[str, str]:
    """Return which part of a run is meant: a step, an area, or nothing for the whole."""
    return {what: form.text(what) for what in ("step", "area") if form.text(what)}


def _told(run_id: str, what: dict[str, str]) -> str:
    if not what:
        return f"Run {run_id}"
    ((kind, name),) = list(what.items())[:1]
    return f"{kind.capitalize()} {name} of run {run_id}"


def _steps(names: list[str]) -> str:
    if not names:
        return "no steps"
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest

"""Routes of planning: what-if, forecasts, and the order of a run's steps."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from longshore.surfaces.scripts import estimates, simulations, switching
from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.routes.bodies import body_of
from longshore.surfaces.scripts.routes.shared import PREFIX, Operator, Reader, answer
from longshore.surfaces.scripts.simulations import Request
from longshore.surfaces.scripts.switching import Switched

router = APIRouter(prefix=PREFIX, tags=["scripts"])


class NewOrder(Order, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order for a run, and why."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


def _documented(form: type[msgspec.Struct]) -> dict[str, Any]:
    """Return `openapi_extra` for a route whose body holds other structs: they are written out."""
    (outer,), components = msgspec.json.schema_components([form], ref_template="{name}")

    def written_out(value: Any) -> Any:
        if isinstance(value, list):
            return [written_out(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return written_out(components[value["$ref"]])
        return {key: written_out(each) for key, each in value.items()}

    content = {"application/json": {"schema": written_out(outer)}}
    return {"requestBody": {"required": True, "content": content}}


@router.post("/workflows/{name}/simulate", openapi_extra=_documented(Request))
async def simulate_workflow(name: str, request: HttpRequest, call: Reader) -> Response:
    """Play a workflow through from its beginning, with one throttle after the other."""
    wanted = await body_of(request, Request)
    prepared = await call.read(
        simulations.of_workflow, call.principal.organisation_id, name, wanted
    )
    return answer(await asyncio.to_thread(simulations.play, prepared, wanted))


@router.post("/runs/{run_id}/simulate", openapi_extra=_documented(Request))
async def simulate_run(run_id: str, request: HttpRequest, call: Reader) -> Response:
    """Play the rest of a run through, with one throttle after the other."""
    wanted = await body_of(request, Request)
    prepared = await call.read(simulations.of_run, call.principal.organisation_id, run_id, wanted)
    return answer(await asyncio.to_thread(simulations.play, prepared, wanted))


@router.get("/runs/{run_id}/forecast")
async def forecast_run(run_id: str, call: Reader) -> Response:
    """Say when a run will be over, step by step, and which steps are on its critical path."""
    return answer(await call.read(estimates.of_run, call.principal.organisation_id, run_id))


@router.post("/runs/{run_id}/order", openapi_extra=_documented(NewOrder))
async def order_run(run_id: str, request: HttpRequest, call: Operator) -> Response:
    """Order the ready steps of a run in another way: by any end, or by one step."""
    wanted = await body_of(request, NewOrder)
    return await call.change(
        "runs.order",
        switching.switch,
        call.principal.organisation_id,
        run_id,
        Order(path=wanted.path, step=wanted.step),
        actor=call.principal.key_name,
        target=_target,
        detail={"path": wanted.path, "step": wanted.step, "reason": wanted.reason},
        render=_shown,
    )


def _target(switched: Switched) -> str:
    return str(switched.run_id)


def _shown(switched: Switched) -> dict[str, Any]:
    return {
        "run_id": switched.run_id,
        "order": msgspec.to_builtins(switched.order),
        "before": msgspec.to_builtins(switched.before),
    }

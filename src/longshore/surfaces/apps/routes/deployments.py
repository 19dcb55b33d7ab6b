"""Routes of the catalogue of apps, and of deployments with their own runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.callers import Developer, Operator, Reader
from longshore.edge.responses import json_response
from longshore.surfaces.apps import catalogue, deployments
from longshore.surfaces.apps.routes.shared import LongPage
from longshore.wire import apps as wire
from longshore.wire import deployments as deployments_wire

router = APIRouter(prefix="/v2/apps", tags=["apps"])


@router.get("")
async def list_apps(call: Reader) -> Response:
    """List the apps that workers have offered, with their versions."""
    return json_response(await call.read(catalogue.listing, call.principal))


@router.post(
    "/deployments",
    status_code=201,
    openapi_extra=body.described(deployments_wire.DeploymentRequest),
)
async def create_deployment(request: Request, call: Developer) -> Response:
    """Create a deployment of an app."""
    wanted = body.parse(deployments_wire.DeploymentRequest, await body.json_body(request))
    return await call.change(
        "deployments.create",
        deployments.create,
        call.principal,
        wanted,
        networks=call.context.outbound.allowed,
        target=lambda made: made.id,
        render=lambda made: made,
        status=201,
    )


@router.get("/deployments")
async def list_deployments(call: Reader, page: LongPage) -> Response:
    """List deployments, newest first."""
    return json_response(await call.read(deployments.listing, call.principal, page))


@router.get("/deployments/{deployment_id}")
async def get_deployment(deployment_id: str, call: Reader) -> Response:
    """Show a deployment."""
    return json_response(await call.read(deployments.info, call.principal, deployment_id))


@router.patch(
    "/deployments/{deployment_id}", openapi_extra=body.described(deployments_wire.DeploymentChange)
)
async def change_deployment(deployment_id: str, request: Request, call: Developer) -> Response:
    """Change what the body names; null takes a setting away."""
    wanted = body.parse(deployments_wire.DeploymentChange, await body.json_body(request))
    changed = await call.write(
        "deployments.change",
        deployments.change,
        call.principal,
        deployment_id,
        wanted,
        networks=call.context.outbound.allowed,
        target=deployment_id,
        detail={"changed": sorted(wanted.model_fields_set)},
    )
    return json_response(changed)


@router.delete("/deployments/{deployment_id}", status_code=204)
async def delete_deployment(deployment_id: str, call: Developer) -> Response:
    """Delete a deployment; its runs stay, and its retention goes on until they are gone."""
    await call.write(
        "deployments.delete",
        deployments.delete,
        call.principal,
        deployment_id,
        target=deployment_id,
    )
    return Response(status_code=204)


@router.post(
    "/deployments/{deployment_id}/runs",
    status_code=202,
    openapi_extra=body.described(wire.DeploymentRunRequest),
)
async def create_deployment_run(deployment_id: str, request: Request, call: Operator) -> Response:
    """Start a run of a deployment."""
    wanted = body.parse(wire.DeploymentRunRequest, await body.json_body(request))
    return await call.change(
        "deployments.run",
        deployments.start_run,
        call.principal,
        deployment_id,
        wanted,
        networks=call.context.outbound.allowed,
        target=lambda made: made.id,
        render=lambda made: made,
        status=202,
    )

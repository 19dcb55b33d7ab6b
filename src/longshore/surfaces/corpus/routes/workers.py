"""Routes of workers, their versions and configurations."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.callers import Developer, Operator
from longshore.surfaces.corpus import configurations, worker_offers, workers
from longshore.surfaces.corpus.configurations import NewConfiguration
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Numbered, Reader, answer, operation
from longshore.surfaces.corpus.routes.storing import Id
from longshore.wire.tasks import WorkerOffer

router = APIRouter(prefix=f"{PREFIX}/workers", tags=["corpus"])


@router.get("/", **operation("ListWorkers"))
async def list_workers(
    call: Reader,
    page: Numbered,
    name: Annotated[str | None, Query(description="Part of the name or slug.")] = None,
) -> Response:
    """List the workers that are known."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(workers.listing, organisation_id, name, page))


@router.post("/", **operation("CreateWorkerVersion", body=True))
async def create_version(request: Request, call: Developer) -> Response:
    """Enter a version of a worker, and the worker where it is new; the same again changes nothing."""
    offered = await body_of(request, WorkerOffer)

    def enter(connection: Connection) -> dict[str, Any]:
        made = worker_offers.enter(connection, call.principal.organisation_id, offered)
        return workers.show(connection, made)

    return await call.change(
        "workers.enter",
        enter,
        target=lambda made: str(made["id"]),
        detail={"worker": offered.slug[:100], "version": offered.version[:100]},
        render=lambda made: made,
        status=201,
    )


@router.get("/versions/{id}/", **operation("RetrieveWorkerVersion"))
async def retrieve_version(version_id: Id, call: Reader) -> Response:
    """Show a version of a worker."""

    def show(connection: Connection) -> dict[str, Any]:
        found = workers.get(connection, call.principal.organisation_id, version_id)
        return workers.show(connection, found)

    return answer(await call.read(show))


@router.get("/{id}/", **operation("RetrieveWorker"))
async def retrieve(worker_id: Id, call: Reader) -> Response:
    """Show a worker."""

    def show(connection: Connection) -> dict[str, Any]:
        found = workers.worker(connection, call.principal.organisation_id, worker_id)
        return workers.show_worker(found)

    return answer(await call.read(show))


@router.get("/{id}/versions/", **operation("ListWorkerVersions"))
async def list_versions(worker_id: Id, call: Reader, page: Numbered) -> Response:
    """List the versions of a worker, the newest first."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(workers.versions, organisation_id, worker_id, page))


@router.get("/{id}/configurations/", **operation("ListWorkerConfigurations"))
async def list_configurations(worker_id: Id, call: Reader, page: Numbered) -> Response:
    """List the configurations that were chosen for a worker."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(configurations.listing, organisation_id, worker_id, page))


@router.post("/{id}/configurations/", **operation("CreateWorkerConfiguration", body=True))
async def create_configuration(worker_id: Id, request: Request, call: Operator) -> Response:
    """Store a configuration of a worker under a name; the same values are stored once."""
    new = await body_of(request, NewConfiguration)
    return await call.change(
        "workers.configure",
        configurations.create,
        call.principal.organisation_id,
        worker_id,
        new,
        target=lambda made: str(made["id"]),
        detail={"name": new.name[:100]},
        render=lambda made: made,
        status=201,
    )

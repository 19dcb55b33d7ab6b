"""Routes of processes and their worker runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.call import Call
from longshore.edge.callers import Operator
from longshore.surfaces.corpus import (
    process_contents,
    process_creating,
    process_deleting,
    progress,
    scheduling,
    worker_runs,
)
from longshore.surfaces.corpus.process_creating import NewProcess
from longshore.surfaces.corpus.processes import Process
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.links import root_of
from longshore.surfaces.corpus.routes.shared import (
    PREFIX,
    ByCursor,
    Numbered,
    Reader,
    answer,
    operation,
)
from longshore.surfaces.corpus.routes.storing import Id
from longshore.surfaces.corpus.states import Activity

router = APIRouter(prefix=PREFIX, tags=["corpus"])


@router.get("/process/", **operation("ListProcesses"))
async def list_processes(
    call: Reader,
    page: Numbered,
    corpus: Annotated[str | None, Query(description="Id of a corpus.")] = None,
) -> Response:
    """List processes, the newest first."""
    return answer(await call.read(progress.listing, call.principal.organisation_id, corpus, page))


@router.post("/process/", **operation("CreateProcess", body=True))
async def create(request: Request, call: Operator) -> Response:
    """Make a process; it does nothing before it is started."""
    new = await body_of(request, NewProcess)
    return await _change(
        call,
        "processes.create",
        lambda connection: process_creating.create(connection, call.principal, new),
        status=201,
    )


@router.get("/process/workers/{id}/", **operation("RetrieveWorkerRun"))
async def retrieve_run(run_id: Id, call: Reader) -> Response:
    """Show a worker run, as its program reads it when it starts."""
    return answer(await call.read(worker_runs.show, call.principal.organisation_id, run_id))


@router.get("/workers/runs/{id}/configuration/", **operation("RetrieveWorkerRunConfiguration"))
async def retrieve_configuration(run_id: Id, call: Reader) -> Response:
    """Show what a worker run is configured with: of the version, the model and the user."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(worker_runs.configuration, organisation_id, run_id))


@router.get("/process/{id}/", **operation("RetrieveProcess"))
async def retrieve(process_id: Id, call: Reader) -> Response:
    """Show a process: its worker runs, its tasks, and how far it is."""
    return answer(await call.read(progress.show, call.principal.organisation_id, process_id))


@router.delete("/process/{id}/", **operation("DestroyProcess"))
async def destroy(process_id: Id, call: Operator) -> Response:
    """Delete a process that is over; what its workers found stays on the elements."""
    return await call.change(
        "processes.delete",
        process_deleting.destroy,
        call.principal,
        process_id,
        target=process_id,
        render=lambda _: None,
        status=204,
    )


@router.post("/process/{id}/start/", **operation("StartProcess"))
async def start(process_id: Id, call: Operator) -> Response:
    """Start a process: from now on its tasks wait for workers, and its elements for tasks."""
    return await _change(
        call,
        "processes.start",
        lambda connection: scheduling.start(connection, call.principal, process_id, root_of(call)),
    )


@router.post("/process/{id}/stop/", **operation("StopProcess"))
async def stop(process_id: Id, call: Operator) -> Response:
    """Stop a process: what waits is cancelled, what runs is told to stop."""
    why = f"the process was stopped by {call.principal.key_name}"
    return await _change(
        call,
        "processes.stop",
        lambda connection: scheduling.stop(connection, call.principal, process_id, why),
    )


@router.post("/process/{id}/retry/", **operation("RetryProcess"))
async def retry(process_id: Id, call: Operator) -> Response:
    """Let what of a process did not succeed run again."""
    return await _change(
        call,
        "processes.retry",
        lambda connection: scheduling.retry(connection, call.principal, process_id, root_of(call)),
    )


@router.get("/process/{id}/elements/", **operation("ListProcessElements"))
async def list_elements(
    process_id: Id,
    call: Reader,
    cursor: ByCursor,
    with_image: Annotated[bool, Query(description="Tell of images and polygons, too.")] = False,
) -> Response:
    """List the elements that a process was started with."""
    found = await call.read(
        process_contents.elements_page,
        call.principal.organisation_id,
        process_id,
        cursor,
        with_image=with_image,
        site=root_of(call),
    )
    return answer(found)


@router.get("/process/{id}/sets/", **operation("ListProcessSets"))
async def list_sets(process_id: Id, call: Reader, page: Numbered) -> Response:
    """List the sets of datasets that a process is over."""
    organisation_id = call.principal.organisation_id
    return answer(await call.read(process_contents.sets_page, organisation_id, process_id, page))


@router.get("/process/{id}/activities/", **operation("ListProcessActivities"))
async def list_activities(
    process_id: Id,
    call: Reader,
    cursor: ByCursor,
    worker_run: Annotated[str | None, Query(description="Id of a worker run.")] = None,
    state: Annotated[Activity | None, Query(description="Only those in this state.")] = None,
) -> Response:
    """List where each element of a process is, run by run, with the errors of those that failed."""
    found = await call.read(
        process_contents.activities_page,
        call.principal.organisation_id,
        process_id,
        cursor,
        run_id=worker_run,
        state=state,
    )
    return answer(found)


async def _change(
    call: Call, action: str, service: Callable[[Connection], Process], status: int = 200
) -> Response:
    def change(connection: Connection) -> dict[str, Any]:
        made = service(connection)
        return progress.show(connection, call.principal.organisation_id, made.id)

    return await call.change(
        action,
        change,
        target=lambda made: str(made["id"]),
        render=lambda made: made,
        status=status,
    )

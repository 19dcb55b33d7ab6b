"""Processes: where each of their elements is, what failed and why, and what their tasks print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.access.masking import Masker
from longshore.dashboard import templating
from longshore.dashboard.access import Operator, Viewer
from longshore.dashboard.addresses import addressed
from longshore.dashboard.forms import read_form
from longshore.edge import files
from longshore.engine import works
from longshore.errors import InvalidRequest
from longshore.surfaces.corpus import (
    artifacts,
    process_contents,
    process_deleting,
    process_views,
    processes,
    scheduling,
)
from longshore.surfaces.corpus.routes.images import site_of
from longshore.surfaces.corpus.states import Activity

router = APIRouter(include_in_schema=False)

PROCESSES: Final = 25
CELLS: Final = 1_000
"""Elements of one page of the grid."""
SIGNS: Final = {
    Activity.QUEUED: "·",
    Activity.STARTED: "▸",
    Activity.PROCESSED: "✓",
    Activity.ERROR: "!",
    Activity.CANCELLED: "x",
}
"""What stands in a square, since colour alone says nothing to many."""


@router.get("/ui/processes")
async def list_processes(call: Viewer, corpus: str = "", before: str | None = None) -> Response:
    """List the processes, the newest first."""
    found = await call.read(
        process_views.listing,
        call.principal.organisation_id,
        corpus_id=corpus or None,
        before=before,
        limit=PROCESSES + 1,
    )
    older = None
    if len(found) > PROCESSES:
        last = found[PROCESSES - 1].process.id
        older = addressed("/ui/processes", corpus=corpus, before=last)
    return templating.render(
        call,
        "processes/list.html",
        processes=found[:PROCESSES],
        activities=list(Activity),
        newest=addressed("/ui/processes", corpus=corpus) if before is not None else None,
        older=older,
    )


@router.get("/ui/processes/{process_id}")
async def show_process(
    process_id: str, call: Viewer, run: str = "", state: str = "", after: str | None = None
) -> Response:
    """Show one process as it is now."""
    organisation_id = call.principal.organisation_id
    look = await call.read(process_views.look, organisation_id, process_id)
    grid = await call.read(
        process_views.grid,
        look.process,
        run_id=run or None,
        state=_activity(state),
        after=after,
        limit=CELLS,
    )
    masker = await call.masker()
    address = _address(look.process.id)
    older = None
    if grid.after is not None:
        older = addressed(address, run=run, state=state, after=grid.after) + "#elements"
    newest = None
    if after is not None:
        newest = addressed(address, run=run, state=state) + "#elements"
    failed = look.counts[Activity.ERROR] > 0
    return templating.render(
        call,
        "processes/one.html",
        look=look,
        process=look.process,
        address=address,
        grid=grid,
        run=run,
        state=state,
        activities=list(Activity),
        signs=SIGNS,
        configurations=[_shown(masker, each.configuration) for each in look.runs],
        lines=[*zip(look.lines, masker.texts([line.text for line in look.lines]), strict=True)],
        failures=await call.read(process_views.failures, look.process) if failed else [],
        failures_counted=process_views.FAILURES,
        tasks_listed=process_views.TASKS,
        newest=newest,
        older=older,
    )


@router.get("/ui/processes/{process_id}/elements/{element_id}")
async def show_activity(process_id: str, element_id: str, call: Viewer, run: str) -> Response:
    """Show where one element is, and with what its last attempt failed."""
    organisation_id = call.principal.organisation_id
    process = await call.read(processes.get, organisation_id, process_id)
    found = await call.read(process_contents.activity, organisation_id, run, element_id)
    told = await call.read(works.outputs, [found["work_id"]])
    output = told.get(found["work_id"])
    error = None if output is None or output.error is None else json.loads(output.error)
    masker = await call.masker()
    return templating.render(
        call,
        "processes/activity.html",
        process=process,
        address=_address(process.id),
        found=found,
        error=_masked(masker, error) if found["state"] != Activity.PROCESSED else None,
    )


@router.get("/ui/processes/{process_id}/files/{task_id}")
async def download(
    process_id: str, task_id: str, request: Request, call: Viewer, path: str
) -> Response:
    """Send a file that a task left."""
    organisation_id = call.principal.organisation_id
    await call.read(processes.get, organisation_id, process_id)
    blob = await call.read(artifacts.get, organisation_id, task_id, path)
    return await files.send(
        call.context,
        blob,
        headers={"Content-Disposition": files.disposition(path.rpartition("/")[2])},
        wanted_range=request.headers.get("range"),
    )


@router.post("/ui/processes/{process_id}/start")
async def start(process_id: str, request: Request, call: Operator) -> Response:
    """Start a process."""
    form = await read_form(request)
    await call.write(
        "processes.start",
        scheduling.start,
        call.principal,
        process_id,
        site_of(request),
        target=process_id,
        detail={"reason": form.reason()},
    )
    return templating.done("The process is started.")


@router.post("/ui/processes/{process_id}/stop")
async def stop(process_id: str, request: Request, call: Operator) -> Response:
    """Stop a process: what waits is cancelled, what runs is told to stop."""
    form = await read_form(request)
    reason = form.reason()
    await call.write(
        "processes.stop",
        scheduling.stop,
        call.principal,
        process_id,
        f"the process was stopped by {call.principal.key_name}: {reason}",
        target=process_id,
        detail={"reason": reason},
    )
    return templating.done("The process is told to stop.")


@router.post("/ui/processes/{process_id}/retry")
async def retry(process_id: str, request: Request, call: Operator) -> Response:
    """Let what of a process did not succeed run again."""
    form = await read_form(request)
    await call.write(
        "processes.retry",
        scheduling.retry,
        call.principal,
        process_id,
        site_of(request),
        target=process_id,
        detail={"reason": form.reason()},
    )
    return templating.done("What did not succeed runs again.")


@router.post("/ui/processes/{process_id}/delete")
async def delete(process_id: str, request: Request, call: Operator) -> Response:
    """Delete a process that is over; what its workers found stays on the elements."""
    form = await read_form(request)
    await call.write(
        "processes.delete",
        process_deleting.destroy,
        call.principal,
        process_id,
        target=process_id,
        detail={"reason": form.reason()},
    )
    return templating.done("The process is deleted; what it found stays.", to="/ui/processes")


def _address(process_id: str) -> str:
    return f"/ui/processes/{quote(process_id, safe='')}"


def _activity(text: str) -> Activity | None:
    if not text:
        return None
    try:
        return Activity(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{text[:80]!a} is no state of an element. Known: {', '.join(Activity)}."
        ) from error


def _shown(
    masker: Masker, configuration: Sequence[tuple[str, str | None]]
) -> list[tuple[str, str]]:
    """Return a configuration for people: what is secret hidden, also where it stands in the open."""
    return [
        (key, "(secret)" if value is None else masker.json(value.encode()).decode())
        for key, value in configuration
    ]


def _masked(masker: Masker, error: Any) -> dict[str, str]:
    """Return type, message and traceback of an error without secrets."""
    if not isinstance(error, dict):
        return {"type": "Error", "message": masker.text(str(error or "")), "traceback": ""}
    return {
        name: masker.text(str(error.get(name) or "")) for name in ("type", "message", "traceback")
    }

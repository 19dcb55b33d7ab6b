"""What is done to a run: cancel it, delete it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Operator
from longshore.dashboard.forms import read_form
from longshore.dashboard.pages.runs.shared import RUNS, run_address
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import run_deletion, runs
from longshore.surfaces.apps.run_deletion import Parts

router = APIRouter(include_in_schema=False)


@router.post(f"{RUNS}/{{run_id}}/cancel")
async def cancel(run_id: str, request: Request, call: Operator) -> Response:
    """Stop a run; files that are done keep their results."""
    form = await read_form(request)
    run = await call.write(
        "runs.cancel",
        runs.cancel,
        call.principal,
        run_id,
        target=run_id,
        detail={"reason": form.reason()},
    )
    left = run.files.pending if run.files else 0
    return templating.done(f"The run is cancelled; {left:,} files are being stopped.")


@router.post(f"{RUNS}/{{run_id}}/delete")
async def delete(run_id: str, request: Request, call: Operator) -> Response:
    """Delete the parts of a run that are ticked."""
    form = await read_form(request)
    ticked = set(form.texts("part"))
    if not ticked:
        raise InvalidRequest("Tick at least one part of the run to delete.")
    parts = Parts(
        record="record" in ticked,
        input="input" in ticked,
        output="output" in ticked,
        logs="logs" in ticked,
    )
    detail = {
        "delete_db_data": parts.record,
        "delete_input": parts.input,
        "delete_output": parts.output,
        "delete_logs": parts.logs,
        "reason": form.reason(),
    }
    await call.write(
        "runs.delete",
        run_deletion.delete_run,
        call.principal,
        run_id,
        parts,
        target=run_id,
        detail=detail,
    )
    message = "The run is deleted; the rest of it is being removed."
    if not parts.record:
        message = "What was ticked is being deleted."
    return templating.done(message, to=run_address(run_id))

"""What people do to a workflow: start, hold, resume, retire. The same services as the API's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.dashboard import templating
from longshore.dashboard.access import Developer, Operator
from longshore.dashboard.forms import Form, read_form
from longshore.edge.body import json_value
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import operating, payloads, starting, workflows

router = APIRouter(include_in_schema=False)


@router.post("/ui/workflows/{name}/start")
async def start(name: str, request: Request, call: Operator) -> Response:
    """Start a run of the newest version."""
    form = await read_form(request)
    value = payload_of(form)
    payload = None if value is None else payloads.text_of(value).encode()
    priority = whole_number(form, "priority", starting.PRIORITY)
    if not 0 <= priority <= 999:
        raise InvalidRequest(f"The priority is {priority}; give 0 to 999, lower comes first.")
    date = form.text("date")

    def begin(connection: Connection) -> int:
        organisation_id = call.principal.organisation_id
        return starting.start(
            connection,
            organisation_id,
            workflows.get(connection, organisation_id, name).id,
            trigger="manual",
            started_by=call.principal.key_name,
            payload=payload,
            business_date=date or starting.today(connection),
            priority=priority,
            actor=call.principal.key_name,
        )

    detail = {"workflow": name, "business_date": date or None, "reason": form.reason()}
    run_id = await call.write("runs.start", begin, target=str, detail=detail)
    return templating.done(f"Run {run_id} has begun.", to=f"/ui/workflow-runs/{run_id}")


@router.post("/ui/workflows/{name}/hold")
async def hold(name: str, request: Request, call: Operator) -> Response:
    """Put all runs of a workflow on hold, those to come as well."""
    reason = (await read_form(request)).reason()
    runs = await call.write(
        "workflows.hold",
        operating.hold_workflow,
        call.principal.organisation_id,
        name,
        target=name,
        detail={"reason": reason},
        actor=call.principal.key_name,
        reason=reason,
    )
    return templating.done(f"{name} is on hold, with {len(runs)} runs that are under way.")


@router.post("/ui/workflows/{name}/resume")
async def resume(name: str, request: Request, call: Operator) -> Response:
    """Lift the hold of a workflow."""
    form = await read_form(request)
    runs = await call.write(
        "workflows.resume",
        operating.resume_workflow,
        call.principal.organisation_id,
        name,
        target=name,
        detail={"reason": form.reason()},
        actor=call.principal.key_name,
    )
    return templating.done(f"{name} goes on, with {len(runs)} runs that are under way.")


@router.post("/ui/workflows/{name}/retire")
async def retire(name: str, request: Request, call: Developer) -> Response:
    """Let nothing start a workflow any more."""
    form = await read_form(request)
    await call.write(
        "workflows.retire",
        workflows.retire,
        call.principal.organisation_id,
        name,
        target=lambda workflow: workflow.id,
        detail={"reason": form.reason()},
    )
    return templating.done(f"{name} is retired; its runs go on.", to="/ui/workflows")


def payload_of(form: Form) -> Any:
    """Return the JSON value of the field `payload`; None where it is empty.

    Raises:
        TooLarge, InvalidRequest: it is not JSON as the API takes it.
    """
    text = form.text("payload")
    return json_value(text.encode()) if text else None


def whole_number(form: Form, name: str, default: int) -> int:
    """Return a field that is a whole number.

    Raises:
        InvalidRequest: it is something else.
    """
    text = form.text(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidRequest(f"{text[:40]!r} is no whole number. Give digits only.")
    return int(text)

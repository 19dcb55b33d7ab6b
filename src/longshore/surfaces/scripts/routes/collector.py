"""Events over HTTP: programs send them, and steps read what started their run."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore.clock import iso
from longshore.edge.call import REPLAYED_HEADER, Call
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.scripts import callers, event_status, events, payloads
from longshore.surfaces.scripts.events import Posted
from longshore.surfaces.scripts.routes.action_ids import ActionId, action_id, readable
from longshore.surfaces.scripts.routes.bodies import PAYLOAD_BODY_BYTES, body_of, documented
from longshore.surfaces.scripts.routes.collector_steps import payload_answer
from longshore.surfaces.scripts.routes.shared import (
    PREFIX,
    ProgramReader,
    Sender,
    Watcher,
    answer,
)

router = APIRouter(prefix=f"{PREFIX}/rtevent", tags=["scripts"])


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    eventName: str  # noqa: N815 - the contract's name
    payload: Any = None
    eventSource: str | None = None  # noqa: N815
    idempotencyKey: str | None = None  # noqa: N815


@router.post("", status_code=201, openapi_extra=documented(_Event))
async def post(request: Request, call: Sender) -> Response:
    """Send an event: it starts a run of the workflow that is defined for its name.

    The payload is any JSON value of up to 1 MiB. With `idempotencyKey` (or the header
    `Idempotency-Key`) the same event sent again gets the same answer, marked by
    `Idempotency-Replayed: true`, and starts nothing; with another payload or source it is 409.
    Keys belong to the event's name and last as long as its runs.
    """
    wanted = await body_of(request, _Event, limit_bytes=PAYLOAD_BODY_BYTES)
    key = _key(wanted, call)

    def accept(connection: Connection) -> Posted:
        principal = call.principal
        actor = principal.key_name
        if principal.work is not None:
            caller = callers.calling(
                connection, principal.organisation_id, principal.work, lock=True
            )
            actor = f"step {caller.step} of run {caller.run_id}"
        return events.post(
            connection,
            principal.organisation_id,
            wanted.eventName,
            wanted.payload,
            source=wanted.eventSource,
            key=key,
            actor=actor,
        )

    posted = await call.write(
        "events.post",
        accept,
        target=lambda made: str(made.run_id),
        detail={"event": wanted.eventName[:64], "key": None if key is None else key[:255]},
    )
    told = {
        "eventId": posted.id,
        "actionId": posted.run_id,
        "createdAt": iso(posted.created_us),
    }
    return json_response(told, 201, {REPLAYED_HEADER: "true"} if posted.repeated else None)


@router.get("/list")
async def list_events(call: Watcher) -> Response:
    """List the events that start something, with their limits and the numbers of their runs.

    `parallel` is how many runs go on at once (0 holds them), a lower `priority` comes first, and
    `errormode` 1 keeps later runs back after a failed one.
    """
    return answer({"events": await call.read(events.listing, call.principal.organisation_id)})


@router.get("/status/{actionId}")
async def status(wanted: ActionId, call: Watcher) -> Response:
    """Tell how far a run is, and each of its steps.

    `status` of the run is pending, running, finished, failed or cancelled. A step sees its own run.
    """

    def read(connection: Connection) -> dict[str, Any]:
        run_id = readable(connection, call, wanted)
        return event_status.of_run(connection, call.principal.organisation_id, run_id)

    return answer(await call.read(read))


@router.get("/{actionId}")
async def get_payload(wanted: ActionId, call: ProgramReader) -> Response:
    """Give the payload of the event that started a run; null where it was started without one.

    A step reads that of its own run only.
    """

    def read(connection: Connection) -> str:
        run_id = readable(connection, call, wanted)
        return payloads.of_run(connection, call.principal.organisation_id, run_id)

    return payload_answer(action_id(wanted), await call.read(read))


def _key(wanted: _Event, call: Call) -> str | None:
    header = call.idempotency_key()
    if header is not None and wanted.idempotencyKey not in (None, header):
        raise InvalidRequest(
            "idempotencyKey in the body and the header Idempotency-Key differ. Send one of them."
        )
    return header if wanted.idempotencyKey is None else wanted.idempotencyKey

"""What steps store for later steps, what is found by it, and what they do once."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import APIRouter, Path
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.edge.call import Call
from longshore.errors import InvalidRequest, PermissionDenied
from longshore.surfaces.scripts import callers, guards, payloads
from longshore.surfaces.scripts.callers import Caller
from longshore.surfaces.scripts.routes.action_ids import ActionId, action_id, readable
from longshore.surfaces.scripts.routes.bodies import PAYLOAD_BODY_BYTES, body_of, documented
from longshore.surfaces.scripts.routes.shared import PREFIX, Program, ProgramReader, answer

router = APIRouter(prefix=f"{PREFIX}/rtstep", tags=["scripts"])
_GUARD_BODY_BYTES: Final = 8 * limits.GUARD_RESULT_BYTES
_SEARCH: Final = b"/rtstep/payload/actionid/"


class _StepPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actionId: int | str  # noqa: N815 - the contract's name
    stepname: str
    payload: Any


class _Once(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str


class _Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    result: Any = None


@router.post("/payload", openapi_extra=documented(_StepPayload))
async def put_payload(request: Request, call: Program) -> Response:
    """Store what the calling step hands to later ones: any JSON value of up to 1 MiB.

    Needs the token of the step's attempt, and `actionId` and `stepname` must be its own, the name
    in any case. Stored again in the same attempt, it replaces what was there; each attempt has a
    place of its own, and what a failed one has stored is kept.
    """
    _require_step(call)
    wanted = await body_of(request, _StepPayload, limit_bytes=PAYLOAD_BODY_BYTES)
    run_id = action_id(wanted.actionId)

    def put(connection: Connection) -> Caller:
        caller = _caller(connection, call)
        payloads.put(connection, caller, run_id, wanted.stepname, wanted.payload)
        return caller

    await call.write(
        "steps.payload",
        put,
        target=lambda caller: caller.step_id,
        detail={"run": run_id, "step": wanted.stepname[: limits.NAME_CHARACTERS]},
    )
    return answer({"status": "stored"})


@router.get("/payload/actionid/{path}/{value:path}")
async def search(
    path: Annotated[str, Path(description="Names of the properties, with commas in between.")],
    value: Annotated[str, Path(description="The text, number, true, false or null at that path.")],
    request: Request,
    call: ProgramReader,
) -> Response:
    """Find actions by a value in what their steps have stored; the newest is `actionId`.

    `match` lists up to 100 with their states, never payloads. Lists on the way add no name to the
    path. Steps find actions of their own workflow only. Where nothing is found, `actionId` is null.
    """
    path, value = _searched(request, path, value)

    def find(connection: Connection) -> list[dict[str, Any]]:
        organisation_id = call.principal.organisation_id
        if call.principal.work is None:
            return payloads.search(connection, organisation_id, path, value)
        like = _caller(connection, call, lock=False).run_id
        return payloads.search(connection, organisation_id, path, value, of_runs_like=like)

    found = await call.read(find)
    return answer({"actionId": found[0]["actionId"] if found else None, "match": found})


@router.get("/payload/{actionId}/{stepname:path}")
async def get_payload(
    wanted: ActionId,
    stepname: Annotated[str, Path(description="Name of the step, in any case.")],
    call: ProgramReader,
) -> Response:
    """Give what a step of a run has stored: by its latest attempt that succeeded, else its latest.

    A step reads steps of its own run only. A step with a matrix, by its name in the definition,
    gives the list of its instances' payloads in their order, null for those without one.
    """

    def read(connection: Connection) -> str:
        run_id = readable(connection, call, wanted)
        return payloads.of_step(connection, call.principal.organisation_id, run_id, stepname)

    return payload_answer(action_id(wanted), await call.read(read))


@router.post("/once", openapi_extra=documented(_Once))
async def once(request: Request, call: Program) -> Response:
    """Ask to do what a key stands for, which the workflow does once, over all of its runs.

    `state` is `new` (do it now, then tell `once/done`), `busy` (another attempt that runs is at
    it) or `done` with the `result` that was kept. What an attempt had begun when it ended is `new`
    for the next one.
    """
    _require_step(call)
    key = (await body_of(request, _Once)).key

    def take(connection: Connection) -> tuple[guards.Guard, str | None]:
        return guards.take(connection, _caller(connection, call), key)

    state, result = await call.write("steps.once", take, target=key[: limits.NAME_CHARACTERS])
    told = None if result is None else json.loads(result)
    return answer({"state": state.value, "result": told})


@router.post("/once/done", openapi_extra=documented(_Done))
async def once_done(request: Request, call: Program) -> Response:
    """Keep that what a key stands for is done, with a result of up to 64 KiB of JSON."""
    _require_step(call)
    wanted = await body_of(request, _Done, limit_bytes=_GUARD_BODY_BYTES)

    def done(connection: Connection) -> None:
        guards.done(connection, _caller(connection, call), wanted.key, wanted.result)

    await call.write("steps.once_done", done, target=wanted.key[: limits.NAME_CHARACTERS])
    return answer({"state": guards.Guard.DONE.value})


def payload_answer(run_id: int, payload: str) -> Response:
    """Answer with a payload, which is JSON text and is sent as it was kept."""
    content = b'{"actionId":%d,"payload":%s}' % (run_id, payload.encode())
    return Response(content, media_type="application/json")


def _require_step(call: Call) -> None:
    if call.principal.work is None:
        raise PermissionDenied(
            f"The key {call.principal.key_name!r} is not the token of a step, and only a step "
            "stores payloads and guards, for itself. Swap CA_ACCESS_CODE by Init first."
        )


def _caller(connection: Connection, call: Call, *, lock: bool = True) -> Caller:
    """Return the step that calls; what is written for it is written while it runs."""
    assert call.principal.work is not None
    return callers.calling(
        connection, call.principal.organisation_id, call.principal.work, lock=lock
    )


def _searched(request: Request, path: str, value: str) -> tuple[str, str]:
    """Return path and value as they were encoded: `%2F` is part of a name, `/` is not."""
    raw = (request.scope.get("raw_path") or b"").partition(b"?")[0]
    parts = raw.partition(_SEARCH)[2].partition(b"/")
    if not parts[1]:
        return path, value
    try:
        return unquote_to_bytes(parts[0]).decode(), unquote_to_bytes(parts[2]).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "The address holds bytes that are no UTF-8. Percent-encode UTF-8 text."
        ) from error

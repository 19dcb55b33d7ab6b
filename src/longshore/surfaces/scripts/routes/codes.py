"""Access codes over HTTP: steps swap theirs for a token, workers ask for fresh ones."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import msgspec
from fastapi import APIRouter, Depends
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission
from longshore.access.keys import PREFIX as KEY_PREFIX
from longshore.edge.body import struct_body
from longshore.edge.call import Call, allow
from longshore.edge.context import Context
from longshore.edge.responses import json_response
from longshore.engine import workers
from longshore.engine.states import State
from longshore.engine.tables import works
from longshore.errors import LeaseLost
from longshore.surfaces.scripts import codes
from longshore.surfaces.scripts.routes import environment
from longshore.surfaces.scripts.routes.bodies import body_of, documented
from longshore.surfaces.scripts.routes.shared import PREFIX, answer
from longshore.surfaces.scripts.tables import scripts_step_works
from longshore.wire.scripts import CodeAnswer, CodeRequest

APICODE: Final = f"{PREFIX}/auth/apicode"

router = APIRouter(tags=["scripts"])
native = APIRouter(prefix="/longshore/v1/scripts", tags=["worker protocol"])
Worker = Annotated[Call, Depends(allow(Permission.WORK))]


class _ApiCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    apiCode: str  # noqa: N815 - the contract's name


@router.post(APICODE, openapi_extra=documented(_ApiCode), response_model=None)
async def swap(request: Request) -> Response:
    """Swap a one-time access code for the token of the attempt; an API key is its own token.

    A code is good once, for a short time (`LONGSHORE_ACCESS_CODE_S`), and only while its attempt
    runs; the token ends with the attempt. Every refusal is 401 in the same words.
    """
    code = (await body_of(request, _ApiCode)).apiCode
    context = cast("Context", request.app.state.context)
    name = environment.wanted(request.headers)
    database = context.database
    if code.startswith(f"{KEY_PREFIX}_"):
        await database.read(codes.check_key, code, environment=name)
        return answer({"token": code})
    await database.read(codes.check, code, environment=name)
    return answer({"token": await database.write(codes.swap, code, environment=name)})


@native.post("/code")
async def renew(request: Request, call: Worker) -> Response:
    """Make a fresh access code for a step that the worker holds; the earlier one is void."""
    wanted = await struct_body(request, CodeRequest)
    organisation_id = call.principal.organisation_id
    valid_s = call.context.settings.access_code_s

    def create(connection: Connection) -> str:
        workers.stale(connection, organisation_id, wanted.worker_id)
        _check_held(connection, organisation_id, wanted)
        return codes.create(connection, organisation_id, wanted.work_id, wanted.attempt, valid_s)

    code = await call.context.database.write(create)
    made: Any = msgspec.to_builtins(CodeAnswer(code=code, expires_s=valid_s))
    return json_response(made)


def _check_held(connection: Connection, organisation_id: str, wanted: CodeRequest) -> None:
    """Raise LeaseLost unless the worker holds that attempt of a step."""
    held = connection.scalar(
        select(works.c.id)
        .join(scripts_step_works, scripts_step_works.c.work_id == works.c.id)
        .where(
            works.c.id == wanted.work_id,
            scripts_step_works.c.organisation_id == organisation_id,
            works.c.attempt == wanted.attempt,
            works.c.worker_id == wanted.worker_id,
            works.c.state == State.RUNNING.value,
        )
        .with_for_update(read=True, of=works)
    )
    if held is None:
        raise LeaseLost(
            f"Attempt {wanted.attempt} of {wanted.work_id[:80]!r} is no step that this worker "
            "holds, so it gets no access code. Stop the step's process if there is one."
        )

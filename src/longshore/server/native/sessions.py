"""Ways into the dashboard."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from longshore.access import Permission, sessions
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest

router = APIRouter(tags=["keys"])
Caller = Annotated[Call, Depends(allow(Permission.READ))]


@router.post("/sign-in-codes", status_code=201)
async def create_code(call: Caller) -> Response:
    """Make a code that signs in to the dashboard once, within ten minutes, as the request's key.

    `path` is the address on this server that takes it.
    """
    if call.idempotency_key() is not None:
        # The answer would be kept, and with it the secret.
        raise InvalidRequest(
            "Making a code takes no Idempotency-Key, because its answer holds a secret that is "
            "kept nowhere. Send the request without it; a code that nobody uses ends by itself."
        )
    who = call.principal
    code = await call.write(
        "sessions.offer", sessions.make_code, who.key_id, who.organisation_id, target=who.key_id
    )
    content = {"code": code, "path": f"/?code={code}", "lifetime_s": sessions.CODE_S}
    return json_response(content, 201)

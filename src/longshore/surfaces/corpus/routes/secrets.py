"""Routes of secrets: workers read them by name, developers set and remove them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call, allow
from longshore.edge.callers import Developer
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.corpus import secrets
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, answer, operation

router = APIRouter(prefix=f"{PREFIX}/secret", tags=["corpus"])
native = APIRouter(prefix="/secrets", tags=["corpus"])

Opener = Annotated[Call, Depends(allow(Permission.WORK, Permission.DEVELOP, programs="corpus"))]
"""Who may read a value: programs of workers, and people who decide what those run."""
_UNSTORED: Final = {"Cache-Control": "no-store"}


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: str


@router.get("/{name:path}", **operation("RetrieveSecret"))
async def retrieve(name: str, call: Opener) -> Response:
    """Give the value of a secret, as `content`."""
    value = await call.context.database.write(secrets.value, call.reader(), name)
    if not value:
        raise secrets.missing(name)
    return json_response({"name": name, "content": value}, headers=_UNSTORED)


@native.get("")
async def list_secrets(call: Developer) -> Response:
    """List the secrets; their values are not shown."""
    found = await call.read(secrets.listing, call.principal.organisation_id)
    return answer({"secrets": [secrets.shown(secret) for secret in found]})


@native.put("/{name:path}")
async def store(name: str, request: Request, call: Developer) -> Response:
    """Set a secret, new or in the place of what it was."""
    if "idempotency-key" in request.headers:
        raise InvalidRequest(
            "Setting a secret takes no Idempotency-Key. Send the request without it; to send it "
            "twice does no harm."
        )
    content = (await body_of(request, _Value)).content
    stored = await call.write(
        "keystore.set",
        secrets.store,
        call.principal.organisation_id,
        name,
        content,
        actor=call.principal.key_name,
        target=name,
        detail={"scope": "corpus"},
    )
    return answer(secrets.shown(stored))


@native.delete("/{name:path}")
async def remove(name: str, call: Developer) -> Response:
    """Remove a secret."""
    await call.write(
        "keystore.remove",
        secrets.remove,
        call.principal.organisation_id,
        name,
        target=name,
        detail={"scope": "corpus"},
    )
    return Response(status_code=204)

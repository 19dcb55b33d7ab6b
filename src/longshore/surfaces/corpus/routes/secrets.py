"""Routes of secrets: workers read them by name, developers set and remove them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission
from longshore.access.vault import Vault, open_vault
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.corpus import secrets
from longshore.surfaces.corpus.routes.bodies import body_of
from longshore.surfaces.corpus.routes.shared import PREFIX, Developer, answer, operation

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
    organisation_id = call.principal.organisation_id
    sealed = await call.write(
        "secrets.read",
        secrets.sealed_value,
        organisation_id,
        name,
        target=name,
    )
    value = (await _vault(call)).open(sealed, *secrets.place(organisation_id, name))
    return json_response({"name": name, "content": value.decode()}, headers=_UNSTORED)


@native.get("")
async def list_secrets(call: Developer) -> Response:
    """List the secrets; their values are not shown."""
    found = await call.read(secrets.listing, call.principal.organisation_id)
    return answer({"secrets": [secret.shown() for secret in found]})


@native.put("/{name:path}")
async def store(name: str, request: Request, call: Developer) -> Response:
    """Set a secret, new or in the place of what it was."""
    if "idempotency-key" in request.headers:
        raise InvalidRequest(
            "Setting a secret takes no Idempotency-Key. Send the request without it; to send it "
            "twice does no harm."
        )
    secrets.checked_name(name)
    value = secrets.checked_value((await body_of(request, _Value)).content)
    organisation_id = call.principal.organisation_id
    sealed = (await _vault(call)).seal(value, *secrets.place(organisation_id, name))
    stored = await call.write(
        "secrets.set", secrets.store, organisation_id, name, sealed, target=name
    )
    return answer(stored.shown())


@native.delete("/{name:path}")
async def remove(name: str, call: Developer) -> Response:
    """Remove a secret."""
    await call.write(
        "secrets.remove", secrets.remove, call.principal.organisation_id, name, target=name
    )
    return Response(status_code=204)


async def _vault(call: Call) -> Vault:
    # Read each time: the file is small, and so a new key counts at once.
    return await asyncio.to_thread(open_vault, call.context.settings)

"""Routes of secrets of apps; no answer ever has a value."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge import body
from longshore.edge.callers import Admin, Reader
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.apps import secrets
from longshore.surfaces.apps.secrets import NewSecret, SecretAlias, SecretChange

router = APIRouter(prefix="/v2/aihub/secrets", tags=["apps"])


@router.post("", openapi_extra=body.described(NewSecret))
async def create_secret(request: Request, call: Admin) -> Response:
    """Make a secret, which runs of the allowed workspaces may name."""
    _refuse_kept_answer(request)
    wanted = body.parse(NewSecret, await body.json_body(request))
    made = await call.write(
        "keystore.set",
        secrets.create,
        call.principal,
        wanted,
        target=wanted.alias,
        detail={"scope": "apps"},
    )
    return json_response(secrets.shown(made, call.principal))


@router.get("")
async def list_secrets(
    call: Reader, alias: str | None = None, workspace: str | None = None
) -> Response:
    """List secrets; those who are no admins name a workspace."""
    found = await call.read(secrets.listing, call.principal, alias=alias, workspace=workspace)
    return json_response(found)


@router.patch("", openapi_extra=body.described(SecretChange))
async def change_secret(request: Request, call: Admin) -> Response:
    """Change what the body names of a secret; a new value counts for the next file."""
    _refuse_kept_answer(request)
    wanted = body.parse(SecretChange, await body.json_body(request))
    changed = await call.write(
        "keystore.set" if wanted.value is not None else "keystore.amend",
        secrets.change,
        call.principal,
        wanted,
        target=wanted.alias,
        detail={"scope": "apps"},
    )
    return json_response(secrets.shown(changed, call.principal))


@router.delete("", openapi_extra=body.described(SecretAlias))
async def delete_secret(request: Request, call: Admin) -> Response:
    """Remove the secret that the body names."""
    wanted = body.parse(SecretAlias, await body.json_body(request))
    await call.write(
        "keystore.remove",
        secrets.remove,
        call.principal,
        wanted.alias,
        target=wanted.alias,
        detail={"scope": "apps"},
    )
    return json_response({})


def _refuse_kept_answer(request: Request) -> None:
    if "idempotency-key" in request.headers:
        raise InvalidRequest(
            "Secrets take no Idempotency-Key. Send the request without it; look at the list to see "
            "whether one that got lost has arrived."
        )

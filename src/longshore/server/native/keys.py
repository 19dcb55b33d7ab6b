"""API keys and the audit log."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.access import Role, audit, keys
from longshore.edge.body import described, json_body, parse
from longshore.edge.callers import Admin
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.server.native import views

router = APIRouter(tags=["keys"])


class NewKey(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=limits.NAME_CHARACTERS)
    role: Role
    workspace: str | None = Field(
        default=None,
        max_length=limits.NAME_CHARACTERS,
        description="Keeps the key inside this workspace, made if there is none.",
    )
    lifetime_s: float | None = Field(
        default=None, allow_inf_nan=False, description="Seconds until it expires; null for never."
    )


@router.get("/keys")
async def list_keys(call: Admin) -> Response:
    """List the organisation's keys, revoked ones too; secrets are kept nowhere."""
    found = await call.read(keys.listing, call.principal.organisation_id)
    return json_response({"keys": [views.key(key) for key in found]})


@router.post("/keys", openapi_extra=described(NewKey), status_code=201)
async def create_key(request: Request, call: Admin) -> Response:
    """Make a key. `key` in the answer is the token, which is not shown again."""
    wish = parse(NewKey, await json_body(request))
    if "idempotency-key" in request.headers:
        # The answer would be kept, and with it the secret.
        raise InvalidRequest(
            "Making a key takes no Idempotency-Key, because its answer holds a secret that is "
            "kept nowhere. Send the request without it, and revoke a key that was made twice."
        )

    def render(made: tuple[keys.Key, str]) -> dict[str, Any]:
        return {**views.key(made[0]), "key": made[1]}

    return await call.change(
        "keys.create",
        keys.create,
        call.principal.organisation_id,
        name=wish.name,
        role=wish.role,
        workspace=wish.workspace,
        lifetime_s=wish.lifetime_s,
        target=lambda made: made[0].id,
        detail={"name": wish.name, "role": wish.role},
        render=render,
        status=201,
    )


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: str, call: Admin) -> Response:
    """End a key at once, on every server; a second time changes nothing."""
    answer = await call.change(
        "keys.revoke",
        keys.revoke,
        call.principal.organisation_id,
        key_id,
        target=key_id,
        render=views.key,
    )
    # Other servers hear of it by the notification; this one is not to wait for that.
    call.context.authenticator.forget(key_id)
    return answer


@router.get("/audit")
async def list_audit(
    call: Admin,
    before: int | None = None,
    limit: int = 100,
    action: str | None = None,
    target: str | None = None,
) -> Response:
    """List what was changed through the API, newest first; `before` is the last id of a page."""
    if limit < 1 or (before is not None and not 0 <= before < 2**63):
        raise InvalidRequest("limit must be 1 or more, and before the id of an entry.")
    found = await call.read(
        audit.listing,
        call.principal.organisation_id,
        before=before,
        limit=limit,
        action=action,
        target=target,
    )
    return json_response({"entries": [views.entry(entry) for entry in found]})

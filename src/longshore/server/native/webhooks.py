"""The secret that an organisation's webhooks are signed with, where they have none of their own."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from longshore.clock import iso
from longshore.edge import secrets
from longshore.edge.body import described, optional_object, parse
from longshore.edge.callers import Admin
from longshore.edge.responses import json_response
from longshore.edge.secrets import Secrets
from longshore.errors import InvalidRequest

router = APIRouter(tags=["webhooks"])
_UNSTORED: Final = {"Cache-Control": "no-store"}


class Rotation(BaseModel):
    """How a secret is changed."""

    model_config = ConfigDict(extra="forbid")

    keep_s: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Seconds for which messages are signed with the old secret, too; null until "
        "the next change, 0 to end it at once.",
    )


@router.get("/webhooks/secret")
async def show_secret(call: Admin) -> Response:
    """Show what the ends of app runs are signed with; made when it is first asked for."""
    organisation_id = call.principal.organisation_id
    found = await call.read(secrets.find_of_organisation, organisation_id)
    if found is None:
        found = await call.context.database.write(secrets.of_organisation, organisation_id)
    return json_response(_shown(found, call.context.clock.now_us()), headers=_UNSTORED)


@router.post("/webhooks/secret/rotate", openapi_extra=described(Rotation))
async def rotate_secret(request: Request, call: Admin) -> Response:
    """Make a new secret. Messages are signed with the old one, too, for a while."""
    wish = parse(Rotation, await optional_object(request))
    if "idempotency-key" in request.headers:
        # The answer would be kept, and with it the secret.
        raise InvalidRequest(
            "Changing a secret takes no Idempotency-Key, because its answer holds the secret. Send "
            "the request without it, and once more if its answer got lost."
        )
    return await call.change(
        "webhooks.rotate_secret",
        secrets.rotate_of_organisation,
        call.principal.organisation_id,
        keep_s=wish.keep_s,
        target=call.principal.organisation_id,
        detail={"keep_s": wish.keep_s},
        render=lambda changed: _shown(changed, call.context.clock.now_us()),
        headers=_UNSTORED,
    )


def _shown(found: Secrets, at_us: int) -> dict[str, Any]:
    """Return the newest secret, and until when the one before it is valid beside it."""
    before = [one for one in found.entries[1:] if one.until_us is None or one.until_us > at_us]
    return {
        "secret": found.newest,
        "old_valid": bool(before),
        "old_until": iso(before[0].until_us) if before else None,
    }

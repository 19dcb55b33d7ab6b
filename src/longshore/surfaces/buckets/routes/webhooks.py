"""Routes of the webhooks of buckets."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from longshore import limits
from longshore.clock import iso
from longshore.edge.body import described, json_object, optional_object, parse
from longshore.edge.call import Call
from longshore.edge.callers import Admin
from longshore.edge.responses import json_response
from longshore.errors import InvalidRequest
from longshore.surfaces.buckets import webhooks
from longshore.surfaces.buckets.webhooks import KINDS, Webhook

router = APIRouter(prefix="/buckets/webhooks", tags=["buckets"])
# Who has one learns of everybody's works, and its URL may hold a password.
_UNSTORED: Final = {"Cache-Control": "no-store"}


class NewWebhook(BaseModel):
    """Somebody to tell of the ends of works."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1)
    pipeline: str | None = Field(
        default=None,
        max_length=limits.NAME_CHARACTERS,
        description="A bucket; null for all, those to come as well.",
    )
    kinds: list[str] = Field(
        default=list(KINDS),
        max_length=len(KINDS),
        description=f"What it is told of: some of {', '.join(KINDS)}.",
    )


class Rotation(BaseModel):
    """How a secret is changed."""

    model_config = ConfigDict(extra="forbid")

    keep_s: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Seconds for which messages are signed with the old secret, too; null until "
        "the next change, 0 to end it at once.",
    )


@router.get("")
async def list_webhooks(call: Admin) -> Response:
    """List the webhooks, oldest first, without their secrets."""
    found = await call.read(webhooks.listing, call.principal.organisation_id)
    return json_response([_shown(webhook, call) for webhook in found])


@router.post("", status_code=201, openapi_extra=described(NewWebhook))
async def create_webhook(request: Request, call: Admin) -> Response:
    """Make a webhook. `secret` in the answer is not shown again."""
    wish = parse(NewWebhook, await json_object(request))
    _refuse_key(request)
    return await call.change(
        "buckets.create_webhook",
        webhooks.create,
        call.principal,
        url=wish.url,
        pipeline=wish.pipeline,
        kinds=wish.kinds,
        networks=call.context.outbound.allowed,
        target=lambda made: made.id,
        detail={"pipeline": wish.pipeline, "kinds": wish.kinds},
        render=lambda made: {**_shown(made, call), "secret": made.secrets.newest},
        status=201,
        headers=_UNSTORED,
    )


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: str, call: Admin) -> Response:
    """Remove a webhook; what is still to be delivered to it is given up."""
    await call.write(
        "buckets.delete_webhook",
        webhooks.remove,
        call.principal.organisation_id,
        webhook_id,
        target=webhook_id,
    )
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate", openapi_extra=described(Rotation))
async def rotate_webhook(webhook_id: str, request: Request, call: Admin) -> Response:
    """Give a webhook a new secret. Messages are signed with the old one, too, for a while."""
    wish = parse(Rotation, await optional_object(request))
    _refuse_key(request)
    return await call.change(
        "buckets.rotate_webhook",
        webhooks.rotate,
        call.principal.organisation_id,
        webhook_id,
        keep_s=wish.keep_s,
        target=webhook_id,
        detail={"keep_s": wish.keep_s},
        render=lambda changed: {**_shown(changed, call), "secret": changed.secrets.newest},
        headers=_UNSTORED,
    )


def _refuse_key(request: Request) -> None:
    if "idempotency-key" in request.headers:
        # The answer would be kept, and with it the secret.
        raise InvalidRequest(
            "This takes no Idempotency-Key, because its answer holds a secret that is shown once. "
            "Send the request without it, and remove a webhook that was made twice."
        )


def _shown(webhook: Webhook, call: Call) -> dict[str, Any]:
    at_us = call.context.clock.now_us()
    before = [
        one for one in webhook.secrets.entries[1:] if one.until_us is None or one.until_us > at_us
    ]
    return {
        "id": webhook.id,
        "url": webhook.url,
        "pipeline": webhook.pipeline,
        "kinds": list(webhook.kinds),
        "created": iso(webhook.created_us),
        "old_valid": bool(before),
        "old_until": iso(before[0].until_us) if before else None,
    }

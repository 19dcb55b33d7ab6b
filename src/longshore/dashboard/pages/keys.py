"""Keys and roles: who may do what, new keys, and their end."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.access import Permission, Role, keys
from longshore.access.roles import PERMISSIONS
from longshore.dashboard import templating
from longshore.dashboard.access import Admin
from longshore.dashboard.forms import Form, read_form
from longshore.errors import InvalidRequest

router = APIRouter(include_in_schema=False)
_DAY_S: Final = 86_400.0


@router.get("/ui/keys")
async def list_keys(call: Admin) -> Response:
    """Show the organisation's keys and what each role may do."""
    found = await call.read(keys.listing, call.principal.organisation_id)
    return templating.render(
        call,
        "access/keys.html",
        keys=sorted(found, key=lambda key: (key.revoked_us is not None, key.id)),
        roles=list(Role),
        permissions=list(Permission),
        allowed=PERMISSIONS,
    )


@router.post("/ui/keys")
async def create_key(request: Request, call: Admin) -> Response:
    """Make a key and show its token, this once."""
    form = await read_form(request)
    key, token = await call.write(
        "keys.create",
        keys.create,
        call.principal.organisation_id,
        name=form.text("name"),
        role=_role(form.text("role")),
        workspace=form.text("workspace") or None,
        lifetime_s=_lifetime_s(form),
        target=lambda made: made[0].id,
        detail={"name": form.text("name"), "role": form.text("role")},
    )
    return templating.render(call, "access/key_made.html", key=key, token=token)


@router.post("/ui/keys/{key_id}/revoke")
async def revoke_key(key_id: str, request: Request, call: Admin) -> Response:
    """End a key at once."""
    form = await read_form(request)
    key = await call.write(
        "keys.revoke",
        keys.revoke,
        call.principal.organisation_id,
        key_id,
        target=key_id,
        detail={"why": form.reason()},
    )
    call.context.authenticator.forget(key_id)
    return templating.done(f"The key {key.name} is revoked.")


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{text[:40]!r} is no role. Choose one of {', '.join(Role)}."
        ) from error


def _lifetime_s(form: Form) -> float | None:
    days = form.text("days")
    if not days:
        return None
    try:
        return float(days) * _DAY_S
    except ValueError as error:
        raise InvalidRequest(
            f"{days[:40]!r} is no number of days. Give one, or nothing for a key without an end."
        ) from error

"""What the published client asks without a key: is the server up, and a token for credentials."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.body import raw_body
from longshore.edge.context import Context
from longshore.edge.responses import json_response
from longshore.errors import Unauthenticated
from longshore.surfaces.pipelines.routes.tenants import is_tenant

router = APIRouter(tags=["services"])

OPEN_PATHS: Final = frozenset({"/health", "/auth/realms/{tenant}/protocol/openid-connect/token"})
"""The paths of these routes, which answer without a key."""
TOKEN_BYTES: Final = 16 * 1024
TOKEN_S: Final = 3_600
"""How long a client may keep the token before it asks again; the key behind it decides."""
_FIELDS: Final = 10


@router.get("/health")
async def health(request: Request) -> Response:
    """Say whether the server is up, in the form of the protocol."""
    found = await request.app.state.health.readiness()
    up = all(value == "ok" for value in found.values())
    return json_response({"status": "UP" if up else "DOWN"}, 200 if up else 503)


@router.post("/auth/realms/{tenant}/protocol/openid-connect/token")
async def token(tenant: str, request: Request) -> Response:
    """Give a token for client credentials: `client_secret` is an API key, and so is the token.

    Refusals are 400 and never 401, at which the published client would ask again without end.
    """
    context: Context = request.app.state.context
    try:
        body = (await raw_body(request, limit_bytes=TOKEN_BYTES)).decode()
        fields = {
            name: values[0] for name, values in parse_qs(body, max_num_fields=_FIELDS).items()
        }
    except ValueError:
        return _refused("invalid_request", "The body is no form.")
    if fields.get("grant_type") != "client_credentials":
        return _refused(
            "unsupported_grant_type", "Send grant_type=client_credentials; nothing else is known."
        )
    if not fields.get("client_id", "").strip():
        return _refused("invalid_request", "Send a client_id, such as the id of the key.")
    key = fields.get("client_secret", "").strip()
    try:
        principal = await context.authenticator.principal(key)
    except Unauthenticated as error:
        return _refused("invalid_client", f"client_secret must be an API key. {error.message}")
    if not is_tenant(principal, tenant):
        return _refused("invalid_client", "The key belongs to another tenant than the address.")
    return json_response(
        {
            "access_token": key,
            "expires_in": TOKEN_S,
            "refresh_expires_in": 0,
            "token_type": "Bearer",
            "not-before-policy": 0,
            "scope": "",
        }
    )


def _refused(error: str, description: str) -> Response:
    content: dict[str, Any] = {"error": error, "error_description": description}
    return json_response(content, 400)

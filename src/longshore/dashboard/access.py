"""Who looks at a page, what they may do there, and that they themselves asked for it.

The session's token is in a cookie that scripts cannot read and other sites do not get to send
with what changes something (SameSite=Lax). Each request that changes something must also carry
the token of forms, which is made from the session's and stands in our own pages only.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, cast

from fastapi import Depends
from starlette.requests import Request

from longshore import ids
from longshore.access import Permission, sessions
from longshore.dashboard.forms import read_form
from longshore.edge.call import ORGANISATION, REQUEST_ID, Call
from longshore.edge.context import Context
from longshore.errors import PermissionDenied, Unauthenticated

COOKIE: Final = "longshore_session"
FORM_FIELD: Final = "form_token"
FORM_HEADER: Final = "x-form-token"
_SAFE: Final = frozenset({"GET", "HEAD"})
_OWN: Final = frozenset({"same-origin", "none"})
_FORGED: Final = (
    "The request did not come from a page of this dashboard, or from one that is older than your "
    "session. Load the page again and repeat it."
)


def page(*permissions: Permission) -> Callable[[Request], Awaitable[Call]]:
    """Return the dependency of a page: a person who is signed in and has one of `permissions`.

    Raises (at request time):
        Unauthenticated: nobody is signed in; it is answered with the form to do so.
        PermissionDenied: the role does not reach that far, or the request was forged.
    """

    async def entered(request: Request) -> Call:
        context = cast("Context", request.app.state.context)
        token = request.cookies.get(COOKIE, "")
        if not token:
            raise Unauthenticated("Sign in to see this page.")
        principal = await context.database.read(sessions.identify, token)
        request.scope["longshore.key_id"] = principal.key_id
        request.scope[ORGANISATION] = principal.organisation_id
        if request.method not in _SAFE:
            await _refuse_forged(request, token)
        principal.require(*(permissions or (Permission.READ,)))
        request_id = request.scope.get(REQUEST_ID) or ids.new(ids.REQUEST)
        return Call(principal, context, request, request_id)

    return entered


Viewer = Annotated[Call, Depends(page())]
"""A person of any role."""
Operator = Annotated[Call, Depends(page(Permission.OPERATE))]
Developer = Annotated[Call, Depends(page(Permission.DEVELOP))]
Admin = Annotated[Call, Depends(page(Permission.ADMIN))]


def form_token(request: Request) -> str:
    """Return what forms on a page for this session carry."""
    return _form_token(request.cookies.get(COOKIE, ""))


def refuse_other_sites(request: Request) -> None:
    """Refuse a request that a page of another site makes the browser send.

    Raises:
        PermissionDenied: the browser says so, or names another origin.
    """
    if request.headers.get("sec-fetch-site", "none") not in _OWN:
        raise PermissionDenied(_FORGED)
    origin = request.headers.get("origin")
    host = request.headers.get("host", "")
    if origin is not None and origin.partition("://")[2] != host:
        raise PermissionDenied(_FORGED)


async def _refuse_forged(request: Request, token: str) -> None:
    refuse_other_sites(request)
    given = request.headers.get(FORM_HEADER)
    if given is None:
        given = (await read_form(request)).text(FORM_FIELD)
    if not hmac.compare_digest(given.encode(), _form_token(token).encode()):
        raise PermissionDenied(_FORGED)


def _form_token(token: str) -> str:
    return hmac.new(token.encode(), b"longshore form", hashlib.sha256).hexdigest()

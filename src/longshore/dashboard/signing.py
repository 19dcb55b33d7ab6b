"""Signing in, with a one-time code or an API key, and signing out."""

from __future__ import annotations

import re
from typing import Annotated, Final, cast

from fastapi import APIRouter, Depends
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from longshore.access import Permission, audit, sessions
from longshore.dashboard import templating
from longshore.dashboard.access import COOKIE, page, refuse_other_sites
from longshore.dashboard.forms import read_form
from longshore.dashboard.throttle import Throttle
from longshore.edge.call import REQUEST_ID, Call
from longshore.edge.context import Context
from longshore.errors import LongshoreError, Unauthenticated
from longshore.storage import Database

SIGN_IN: Final = "/ui/sign-in"
_KEY: Final = re.compile(r"\s*ls_")
_HERE: Final = re.compile(r"/(?:ui/[^\s\\]*)?(?:\?[^\s\\]*)?")
"""Addresses that a sign-in may lead on to: our own pages, and nothing that a browser takes for
another site."""
router = APIRouter(include_in_schema=False)
Signed = Annotated[Call, Depends(page(*Permission))]


@router.get(SIGN_IN)
async def form(request: Request) -> Response:
    """Show the form to sign in."""
    return templating.sign_in(request, None, _next(request.query_params.get("next", "")))


@router.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Begin a session with what the form holds: a code or a key."""
    refuse_other_sites(request)
    sent = await read_form(request)
    following = _next(sent.text("next"))
    try:
        return await enter(request, sent.text("secret"), following)
    except Unauthenticated as error:
        return templating.sign_in(request, error.message, following, status=401)


@router.post("/ui/sign-out")
async def sign_out(request: Request, call: Signed) -> Response:
    """End the session."""
    await call.write(
        "sessions.end", sessions.end, request.cookies[COOKIE], target=call.principal.key_id
    )
    response = RedirectResponse(SIGN_IN, 303)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return response


async def enter(request: Request, secret: str, following: str) -> Response:
    """Begin a session and lead on.

    Raises:
        Unauthenticated: code or key are wrong.
        BufferFull: too many wrong ones came from this address.
    """
    context = cast("Context", request.app.state.context)
    throttle = context.shared(_throttle)
    address = request.client.host if request.client else "unknown"
    throttle.check(address)
    try:
        session = await context.database.write(_begin, secret, request.scope.get(REQUEST_ID))
    except Unauthenticated:
        throttle.wrong(address)
        raise
    throttle.right(address)
    response = RedirectResponse(following, 303)
    response.set_cookie(
        COOKIE,
        session.token,
        max_age=sessions.SESSION_S,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


async def enter_by_link(request: Request, code: str) -> Response:
    """Begin a session with the code of a link; show the form where that fails.

    Pages of other sites can make a browser fetch the link: that neither signs in nor counts as a
    try. Whoever comes by a link on another site is shown the form with the code in it.
    """
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin") or request.headers.get("sec-purpose"):
        return templating.sign_in(request, None, "/", secret=code)
    try:
        return await enter(request, code, "/")
    except LongshoreError as error:
        status = 401 if isinstance(error, Unauthenticated) else 429
        return templating.sign_in(request, error.message, "/", status=status)


def _begin(connection: Connection, secret: str, request_id: str | None) -> sessions.Session:
    begin = sessions.begin if _KEY.match(secret) else sessions.redeem
    session = begin(connection, secret)
    audit.record(
        connection,
        session.principal,
        action="sessions.begin",
        target=session.principal.key_id,
        request_id=request_id,
    )
    return session


def _next(text: str) -> str:
    return text if _HERE.fullmatch(text) else "/"


def _throttle(database: Database) -> Throttle:
    return Throttle(database.clock)

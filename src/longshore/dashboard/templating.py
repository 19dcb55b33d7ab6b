"""From a template and values to an answer."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from longshore import __version__
from longshore.access import Permission
from longshore.dashboard import assets, formats
from longshore.dashboard.access import FORM_FIELD, form_token
from longshore.dashboard.navigation import sections
from longshore.edge.call import Call
from longshore.edge.responses import encode

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline runs or styles, nothing comes from elsewhere, nobody frames it."""
SECRET_CHARACTERS: Final = 100
"""So much of a code that a link brings is put into the form."""
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    # Without it browsers would not say which origin a form comes from.
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie, HX-Request",
}


def render(call: Call, template: str, *, status: int = 200, **values: Any) -> Response:
    """Answer with a page; see `templates/base.html` for what it may fill."""
    return _answer(_environment().get_template(template).render(_shared(call) | values), status)


def fragment(call: Call, template: str, block: str, **values: Any) -> Response:
    """Answer with one block of a template, for a part of a page that is fetched by itself."""
    found = _environment().get_template(template)
    context = found.new_context(_shared(call) | values)
    return _answer("".join(found.blocks[block](context)), 200)


def done(message: str, *, to: str | None = None) -> Response:
    """Answer to a form that it is done: the page says so and shows the new state.

    Args:
        message: one sentence, shown for some seconds.
        to: the page to go to; the same one unless given.
    """
    told: dict[str, Any] = {"done": {"message": message, "to": to}}
    return Response(b"", 200, {**_HEADERS, "HX-Trigger": _ascii(told), "HX-Reswap": "none"})


def problem(request: Request, status: int, title: str, message: str) -> Response:
    """Answer with an error: a page, or what the page that asked shows in its place."""
    if request.headers.get("hx-request") == "true":
        content = encode({"title": title, "status": status, "detail": message})
        return Response(content, status, _HEADERS, "application/problem+json")
    page = _environment().get_template("error.html")
    values = {"status": status, "title": title, "message": message}
    return _answer(page.render(_anonymous() | values), status)


def sign_in(
    request: Request, error: str | None, following: str, *, status: int = 200, secret: str = ""
) -> Response:
    """Answer with the form to sign in."""
    if request.headers.get("hx-request") == "true":
        # A part of a page cannot be a form to sign in: the whole page becomes it.
        return Response(b"", 401, {**_HEADERS, "HX-Refresh": "true"})
    page = _environment().get_template("sign_in.html")
    return _answer(
        page.render(
            _anonymous()
            | {"error": error, "following": following, "secret": secret[:SECRET_CHARACTERS]}
        ),
        status,
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("longshore.dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(formats.FILTERS)
    environment.globals["asset"] = assets.address
    return environment


def _anonymous() -> dict[str, Any]:
    return {"version": __version__, "principal": None}


def _shared(call: Call) -> dict[str, Any]:
    request = call.request
    raw = request.scope.get("raw_path") or request.url.path.encode()
    # As it was asked for: decoded and written again, some addresses would be other ones.
    here = raw.decode("ascii", "replace")
    if request.url.query:
        here += f"?{request.url.query}"
    return {
        "version": __version__,
        "principal": call.principal,
        "can": {str(permission): call.principal.allows(permission) for permission in Permission},
        "sections": sections(call.principal),
        "path": request.url.path,
        "here": here,
        "now_us": call.context.clock.now_us(),
        "form_token": form_token(request),
        "form_token_name": FORM_FIELD,
    }


def _answer(content: str, status: int) -> Response:
    return HTMLResponse(content, status, _HEADERS)


def _ascii(value: Any) -> str:
    # Headers are ASCII, and JSON can say everything in it.
    return json.dumps(value)

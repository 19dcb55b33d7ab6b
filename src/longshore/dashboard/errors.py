"""Errors of the dashboard's addresses, as pages."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from longshore.dashboard import templating

_PREFIX: Final = "/ui"


def is_ours(scope: Scope) -> bool:
    """Return whether a request is for the dashboard."""
    path = scope["path"]
    # A tenant of pipelines may be called "ui", too.
    ours = path == _PREFIX or path.startswith(f"{_PREFIX}/")
    return path == "/" or (ours and not path.startswith(f"{_PREFIX}/api/"))


def respond(scope: Scope, status: int, title: str, message: str) -> Response:
    """Answer with an error; 401 with the form to sign in, which leads back."""
    request = Request(scope)
    if status == 401:
        following = request.url.path
        if request.url.query and request.method == "GET":
            following += f"?{request.url.query}"
        return templating.sign_in(request, None, following, status=401)
    return templating.problem(request, status, title, message)

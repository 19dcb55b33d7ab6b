"""How errors look over HTTP: one table of statuses, and a form for each protocol.

Under /v2 (with or without /api) an error is `{"message": ...}` as the protocol has it, with
`code`, `request_id` and `details` added. Under /api/v1 it has the form of the corpus protocol.
Everywhere else it is RFC 9457 `problem+json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from longshore import errors
from longshore.access import masking
from longshore.dashboard import errors as pages
from longshore.edge.body import explain
from longshore.edge.call import ORGANISATION, REQUEST_ID
from longshore.edge.responses import encode
from longshore.errors import LongshoreError

# Client-side errors and those of background jobs have rows too: one of them in an answer would be a
# fault of the server, and the table must be total.
TABLE: Final[dict[type[LongshoreError], tuple[int, str]]] = {
    errors.LongshoreError: (500, "The server failed"),
    errors.InvalidRequest: (400, "The request cannot be used"),
    errors.TooLarge: (413, "A limit is exceeded"),
    errors.Unauthenticated: (401, "No valid key"),
    errors.PermissionDenied: (403, "Not allowed with this key"),
    errors.NotFound: (404, "Not found"),
    errors.Conflict: (409, "Not possible in the present state"),
    errors.LeaseLost: (409, "The lease is lost"),
    errors.IdempotencyConflict: (409, "The idempotency key was used before"),
    errors.BufferFull: (429, "No room at present"),
    errors.PreconditionFailed: (412, "A condition does not hold"),
    errors.RangeNotSatisfiable: (416, "The range lies outside the file"),
    errors.Unsupported: (501, "Not done by this server"),
    errors.ServerFault: (500, "The server failed"),
    errors.DiskFull: (507, "The disk is full"),
    errors.Unavailable: (503, "Not available now"),
    errors.CorruptData: (500, "Stored data is damaged"),
    errors.DeliveryFailed: (502, "Another server did not take it"),
    errors.ServerUnreachable: (502, "Another server cannot be reached"),
    errors.WaitTimeout: (504, "Not finished in time"),
    errors.WebhookRefused: (400, "The webhook message cannot be trusted"),
    errors.WebhookReplayed: (409, "The webhook message was accepted before"),
    errors.ConfigurationError: (500, "The server is configured wrongly"),
    errors.WorkControl: (500, "The server failed"),
    errors.RetryLater: (500, "The server failed"),
    errors.Reject: (500, "The server failed"),
}

UNEXPECTED: Final = (
    "The server failed unexpectedly, and nothing was changed. Try again; if it fails again, look "
    "for the request id in the server's log."
)
_APPS_PATH: Final = re.compile(r"/+(?:api/+)?v[12](?:/|\Z)")
_CORPUS_PATH: Final = re.compile(r"/+api/+v1/+(?!product/|config/)")
_PIPELINES_PATH: Final = re.compile(r"/[^/]+/api/v[34](?:/|\Z)")
_HTTP_CODES: Final = {404: "not_found", 405: "method_not_allowed", 400: "invalid_request"}


def status_of(error: LongshoreError) -> int:
    """Return the HTTP status of an error."""
    return TABLE[type(error)][0]


def respond(scope: Scope, error: LongshoreError) -> Response:
    """Answer with an error in the form of the protocol that the request's path belongs to."""
    status, title = TABLE[type(error)]
    if status == 413 and _PIPELINES_PATH.match(scope["path"]):
        # The published client of pipelines tells its users the number of few statuses, not of this.
        status = 422
    return _form(
        scope, status, title, error.message, error.code, error.details, _headers(error, status)
    )


def respond_unexpected(scope: Scope) -> Response:
    """Answer for an exception that nobody foresaw; it tells nothing of its cause."""
    return respond(scope, errors.ServerFault(UNEXPECTED))


def install(app: FastAPI) -> None:
    """Let `app` answer all errors in our forms, those of the framework too."""
    app.add_exception_handler(LongshoreError, _longshore_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _disconnected)


async def _longshore_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LongshoreError)
    return await _masked(request, respond(request.scope, error))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = error.errors()
    if all(problem["loc"][:1] == ("path",) for problem in problems):
        # An id that cannot be one, such as a word for a number, names nothing.
        refusal: LongshoreError = errors.NotFound(
            f"There is nothing at {request.url.path[:200]!r}. Check the id in it."
        )
    else:
        refusal = errors.InvalidRequest(explain(problems))
    return await _masked(request, respond(request.scope, refusal))


async def _masked(request: Request, response: Response) -> Response:
    """Return an error without secrets of the caller's organisation: it may quote what was sent."""
    organisation_id = request.scope.get(ORGANISATION)
    if organisation_id is None:
        return response
    database = request.app.state.context.database
    masker = masking.known(database, organisation_id)
    try:
        if masker is None:
            masker = await database.read(masking.of, organisation_id)
    except errors.ServerFault:
        # This may be the very reason of the answer, which then has nothing of a secret.
        return response
    body = masker.json(bytes(response.body))
    if body == response.body:
        return response
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    return Response(body, response.status_code, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    message = {
        404: f"There is nothing at {path!r}. The API is described at /docs.",
        405: f"{request.method} is not possible at {path!r}. The API is described at /docs.",
    }.get(error.status_code, str(error.detail))
    code = _HTTP_CODES.get(error.status_code, "error")
    return _form(
        request.scope, error.status_code, str(error.detail), message, code, {}, error.headers or {}
    )


async def _disconnected(request: Request, _error: Exception) -> Response:
    # Nobody reads it; the status only shows in log and metrics.
    return Response(status_code=499)


def _headers(error: LongshoreError, status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if status in (429, 503):
        return {"Retry-After": str(error.details.get("retry_after_s", 1))}
    if status == 416:
        return {"Content-Range": f"bytes */{error.details.get('size_bytes', 0)}"}
    return {}


def _form(
    scope: Scope,
    status: int,
    title: str,
    message: str,
    code: str,
    details: Mapping[str, Any],
    headers: Mapping[str, str],
) -> Response:
    if pages.is_ours(scope):
        page = pages.respond(scope, status, title, message)
        page.headers.update(headers)
        return page
    request_id = scope.get(REQUEST_ID)
    content: dict[str, Any]
    if _CORPUS_PATH.match(scope["path"]):
        media_type = "application/json"
        content, details = _corpus_content(status, message, code, details)
    elif _APPS_PATH.match(scope["path"]):
        media_type = "application/json"
        content = {"message": message}
    else:
        media_type = "application/problem+json"
        content = {"type": "about:blank", "title": title, "status": status, "detail": message}
    content |= {"code": code, "request_id": request_id}
    if details:
        content["details"] = dict(details)
    body = b"" if scope["method"] == "HEAD" else encode(content)
    return Response(body, status, dict(headers), media_type)


def _corpus_content(
    status: int, message: str, code: str, details: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return an error as the published clients of the corpus read it, and the details left over.

    What a service puts under these names into the details of an error stands at the top: `attr`,
    the path of the field as a list; `error_code`, the protocol's own code; `also`, other keys.
    """
    kind = "server_error" if status >= 500 else "client_error"
    if status == 400:
        kind = "validation_error"
    rest = dict(details)
    attr, also = rest.pop("attr", None), rest.pop("also", {})
    error = {"attr": attr, "code": rest.pop("error_code", code), "detail": message}
    return {"detail": message, "type": kind, "errors": [error], **also}, rest

"""From an answer or a broken connection to an error of longshore.errors: the only such place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

from longshore import errors

_NOT_FROM_A_SERVER: Final = (
    errors.WorkControl,
    errors.ServerUnreachable,
    errors.WaitTimeout,
    errors.WebhookRefused,
)
"""Raised in the client or in user code only; a server's answer never becomes one of these."""

_BY_STATUS: Final[dict[int, type[errors.LongshoreError]]] = {
    401: errors.Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.Conflict,
    412: errors.PreconditionFailed,
    413: errors.TooLarge,
    416: errors.RangeNotSatisfiable,
    408: errors.Unavailable,
    429: errors.Unavailable,
    502: errors.Unavailable,
    503: errors.Unavailable,
    504: errors.Unavailable,
    507: errors.DiskFull,
}

_TEXT_CHARACTERS: Final = 500
_ENVELOPE: Final = frozenset({"message", "code", "request_id", "type", "title", "status", "detail"})


def _tree(root: type[errors.LongshoreError]) -> Iterator[type[errors.LongshoreError]]:
    yield root
    for branch in root.__subclasses__():
        yield from _tree(branch)


def _by_code() -> dict[str, type[errors.LongshoreError]]:
    return {
        kind.code: kind
        for kind in _tree(errors.LongshoreError)
        if kind is not errors.LongshoreError
        and kind.__module__ == errors.__name__
        and not issubclass(kind, _NOT_FROM_A_SERVER)
    }


BY_CODE: Final = _by_code()
"""The error class of each code that a server may send; the root's says less than the status."""


def from_response(response: httpx.Response) -> errors.LongshoreError:
    """Return the error that an answer of status 300 or above stands for.

    Both error forms of the server are read: {"message", "code", ...} and RFC 9457 problems.
    The code decides where it is known, else the status.
    """
    body = _json_object(response)
    status = response.status_code
    kind = BY_CODE.get(str(body.get("code"))) or _kind_of_status(status)
    message = body.get("message") or body.get("detail") or body.get("title")
    if not isinstance(message, str):
        message = _describe(response)
    return kind(
        message,
        details={**_details(body), "status": status},
        request_id=response.headers.get("X-Request-Id") or _text(body.get("request_id")),
    )


def from_transport(error: httpx.RequestError, url: str, timeout_s: float) -> errors.LongshoreError:
    """Return the error for a request that got no answer."""
    if isinstance(error, httpx.TimeoutException):
        cause = f"nothing within {timeout_s:g} s"
        step = "Look at the server's load, or give Client a larger timeout_s."
    else:
        cause = str(error) or type(error).__name__
        step = "Start it with `longshore up`, or correct url= or LONGSHORE_URL."
    return errors.ServerUnreachable(f"No answer from the server at {url}: {cause}. {step}")


def unexpected_answer(response: httpx.Response, reason: str) -> errors.ServerFault:
    """Return the error for an answer of a good status whose content makes no sense."""
    return errors.ServerFault(
        f"{response.request.method} {response.request.url} answered {response.status_code} with "
        f"something that this client cannot read: {reason}. Check that the address is a Longshore "
        "server and that client and server are of the same version.",
        request_id=response.headers.get("X-Request-Id"),
    )


def _kind_of_status(status: int) -> type[errors.LongshoreError]:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    return errors.InvalidRequest if 400 <= status < 500 else errors.ServerFault


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _details(body: dict[str, Any]) -> dict[str, Any]:
    nested = body.get("details")
    if isinstance(nested, dict):
        return nested
    return {name: value for name, value in body.items() if name not in _ENVELOPE}


def _describe(response: httpx.Response) -> str:
    text = response.text.strip()[:_TEXT_CHARACTERS]
    answer = f"{response.status_code} {response.reason_phrase}".strip()
    where = f"{response.request.method} {response.request.url}"
    return f"{where} was answered with {answer}{f': {text}' if text else ''}. Check the address."


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

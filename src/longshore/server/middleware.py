"""What happens to every request, as plain ASGI: ids, logs, metrics, paths, headers, long bodies."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longshore import ids
from longshore.edge.call import REQUEST_ID
from longshore.errors import InvalidRequest
from longshore.server import problems
from longshore.server.logging import get_logger
from longshore.server.native import NATIVE

QUIET_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/longshore/v1/worker/")
"""Asked for all the time; their lines are written at level debug."""
BUSY_PATHS: Final = ("/buckets/work",)
"""Asked for thousands of times a second; the lines of those that succeed are at level debug."""
DISCARD_BYTES: Final = 160 * 1024 * 1024
DISCARD_S: Final = 10.0
_SMALL_REST: Final = 64 * 1024
_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_-]{8,64}")
_SLASHES: Final = re.compile(rb"/{2,}")
_SECRET: Final = re.compile(
    r"(/iiif/[^/]+/[^/.]+\.|/api/v1/(?:uploads(?:/parts)?|downloads)/)[^/]+"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_RAW_HEADERS: Final = tuple(
    (name.lower().encode(), value.encode()) for name, value in _HEADERS.items()
)
_log = get_logger("longshore.access")
_standard_log = logging.getLogger("longshore.access")

Count = Callable[[str, str, int, float], None]


class RequestLog:
    """Gives each request an id, counts it, writes a line, and answers for unforeseen exceptions."""

    def __init__(self, app: ASGIApp, count: Count) -> None:
        """Wrap `app`; `count(method, route, status, seconds)` is called for each answer."""
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        request_id = scope[REQUEST_ID] = _request_id(scope)
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                present = {name for name, _ in headers}
                message["headers"] = [
                    *headers,
                    *[header for header in _RAW_HEADERS if header[0] not in present],
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Exception:
            _log.exception("request failed", request_id=request_id, path=_told(scope["path"]))
            if status:
                # The answer has begun: only cutting the connection tells the client.
                raise
            await problems.respond_unexpected(scope)(scope, receive, send_marked)
        finally:
            self._finish(scope, status, time.perf_counter() - begun)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"]
        self._count(method, route_of(scope), status, seconds)
        quiet = scope["path"].startswith(QUIET_PATHS) or (
            status < 400 and scope["path"].startswith(BUSY_PATHS)
        )
        # Asked first: a line that is thrown away takes nearly as long to make as one that is kept.
        if quiet and not _standard_log.isEnabledFor(logging.DEBUG):
            return
        write = _log.debug if quiet else _log.info
        write(
            "request",
            method=method,
            path=_told(scope["path"]),
            status=status,
            ms=round(seconds * 1000, 1),
            key_id=scope.get("longshore.key_id"),
            request_id=scope[REQUEST_ID],
        )


def _told(path: str) -> str:
    """Return a path as the log has it: without what opens an image or a file to who reads it."""
    return _SECRET.sub(r"\1...", path)


class PathGuard:
    """Puts paths in order: `//` becomes `/` (an API root may end in one), and NUL is refused."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            raw = scope.get("raw_path") or b""
            if b"//" in raw:
                # Only real slashes count: %2F%2F may be part of a file's name.
                scope["raw_path"] = raw = _SLASHES.sub(b"/", raw)
                scope["path"] = unquote(raw.decode("ascii"))
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                error = InvalidRequest("The address holds the character NUL. Remove it.")
                await problems.respond(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class UnreadBody:
    """Closes the connection properly when an answer is given before a large body has arrived.

    The answer goes out at once. Then what still arrives is thrown away for a while, so that a
    client which sends everything before it reads gets to read; then the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not _has_large_body(scope):
            await self._app(scope, receive, send)
            return
        unread = True
        closing = False

        async def receive_watched() -> Message:
            nonlocal unread
            message = await receive()
            unread = (
                unread and message["type"] == "http.request" and message.get("more_body", False)
            )
            return message

        async def send_watched(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and unread:
                closing = True
                MutableHeaders(scope=message)["Connection"] = "close"
            if not closing or message.get("more_body", message["type"] != "http.response.body"):
                await send(message)
                return
            await send({**message, "more_body": True})
            if "expect" not in Headers(scope=scope):
                await _discard(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, receive_watched, send_watched)


async def _discard(receive: Receive) -> None:
    left = DISCARD_BYTES
    try:
        async with asyncio.timeout(DISCARD_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _has_large_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    if length.isdecimal():
        # The server reads and drops a small rest by itself and keeps the connection.
        return int(length) > _SMALL_REST
    return "transfer-encoding" in headers


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else ids.new(ids.REQUEST)


def route_of(scope: Scope) -> str:
    """Return the route's template, so that ids in paths do not become labels.

    A router's own prefix is not part of its routes' templates; that of the apps protocol is left
    out on purpose, so that /api/v2 and /v2 are counted together.
    """
    template = str(getattr(scope.get("route"), "path", "(none)"))
    return NATIVE + template if scope["path"].startswith(f"{NATIVE}/") else template

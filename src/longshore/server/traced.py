"""A span for each request: the part of a trace that happens in the server.

The application has this around it only while tracing is on.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longshore.server.middleware import QUIET_PATHS, route_of
from longshore.tracing.making import TRACEPARENT, Spans, failed


class Traced:
    """Continues the trace that a request brings along, or begins one.

    What is asked for all the time by itself (health, metrics, a worker's claims) gets a span only
    where the caller brings a trace.
    """

    def __init__(self, app: ASGIApp, spans: Spans) -> None:
        """Wrap `app`."""
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on inside its span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        parent = Headers(scope=scope).get(TRACEPARENT)
        if parent is None and scope["path"].startswith(QUIET_PATHS):
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        status = 0

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        attributes = {"http.request.method": method}
        with self._spans.span(method, "server", parent=parent, attributes=attributes) as span:
            await self._app(scope, receive, send_noted)
            # The route is known only now. The address itself may hold keys, and stays out.
            route = route_of(scope)
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                failed(span, str(status))

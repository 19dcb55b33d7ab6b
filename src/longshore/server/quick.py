"""A short way to the routes that are asked for thousands of times a second.

For each request the framework walks all its routes, opens exit stacks and solves dependencies,
which takes longer than what these routes do. Here they are found by method and path in a table
that is made of the same route objects, and get what they declare: the request, the caller, and
numbers from the query. Whatever is out of the ordinary goes the framework's way.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from longshore.edge.call import Call
from longshore.errors import LongshoreError
from longshore.server import problems

_KINDS: Final[dict[Any, tuple[Callable[[str], Any], re.Pattern[str]]]] = {
    int: (int, re.compile(r"[0-9]{1,9}")),
    float: (float, re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")),
}
"""How numbers in a query are read, and how they look when nothing is odd about them."""


@dataclass(frozen=True, slots=True)
class _Quick:
    route: APIRoute
    authenticate: Callable[[Request], Awaitable[Call]]
    numbers: Mapping[str, Any]

    def read_numbers(self, query_string: bytes) -> dict[str, Any] | None:
        """Return the numbers in a query, or None where the framework should look at it."""
        found = {}
        for name, text in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
            kind = self.numbers.get(name)
            if kind is None:
                continue
            read, ordinary = _KINDS[kind]
            if ordinary.fullmatch(text) is None:
                return None
            found[name] = read(text)
        return found


class QuickRoutes:
    """Answers the requests for some routes of a router itself, and passes on all others."""

    def __init__(self, app: ASGIApp, router: APIRouter, paths: Iterable[str]) -> None:
        """Wrap `app`, which serves `router` as well."""
        self._app = app
        wanted = set(paths)
        self._quick = {
            (method, route.path): _quick(route)
            for route in router.routes
            if isinstance(route, APIRoute) and route.path in wanted
            for method in route.methods or ()
        }
        missing = wanted - {path for _, path in self._quick}
        assert not missing, f"the router has no route at {sorted(missing)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        quick = self._quick.get((scope.get("method", ""), scope.get("path", "")))
        if quick is None:
            await self._app(scope, receive, send)
            return
        query_string = scope["query_string"]
        numbers = quick.read_numbers(query_string) if query_string else {}
        if numbers is None:
            await self._app(scope, receive, send)
            return
        # The log and the metrics know a request by its route.
        scope["route"] = quick.route
        request = Request(scope, receive, send)
        response = await _answer(quick, request, numbers)
        await response(scope, receive, send)


async def _answer(quick: _Quick, request: Request, numbers: Mapping[str, Any]) -> Response:
    try:
        call = await quick.authenticate(request)
        response: Response = await quick.route.endpoint(request=request, call=call, **numbers)
    except LongshoreError as error:
        return problems.respond(request.scope, error)
    except ClientDisconnect:
        # Nobody reads it; the status only shows in log and metrics.
        return Response(status_code=499)
    return response


def _quick(route: APIRoute) -> _Quick:
    """Make of a route's signature what it needs; a route that needs more is a mistake here."""
    hints = get_type_hints(route.endpoint, include_extras=True)
    authenticate: Any = None
    numbers: dict[str, Any] = {}
    for name, hint in hints.items():
        if name == "return" or hint is Request:
            continue
        if get_origin(hint) is Annotated:
            _, depends = get_args(hint)
            assert name == "call", f"{route.path}: a dependency other than the caller"
            assert isinstance(depends, Depends), f"{route.path}: {hint} is no dependency"
            authenticate = depends.dependency
            continue
        kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
        assert len(kinds) == 1, f"{route.path}: {name} is of several kinds"
        assert kinds[0] in _KINDS, f"{route.path}: {name} is no number"
        numbers[name] = kinds[0]
    assert authenticate is not None, f"{route.path} is open to everybody"
    return _Quick(route, authenticate, numbers)

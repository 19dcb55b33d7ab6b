"""The header Environment: an environment of the published contract is an organisation here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request

from longshore.access import Permission, Principal
from longshore.edge.call import Call, allow
from longshore.errors import NotFound
from longshore.surfaces.scripts.hosts import fold


def wanted(headers: Mapping[str, str]) -> str | None:
    """Return the environment that a request names, or None where it leaves that open."""
    name = headers.get("environment", "").strip()
    try:
        # What is not ASCII comes as UTF-8, and is read as Latin-1 by whoever reads headers.
        name = name.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return name
    return name or None


def check(principal: Principal, headers: Mapping[str, str]) -> None:
    """Raise NotFound if a request names an environment other than the key's organisation.

    The words are the same whether or not another organisation has that name.
    """
    name = wanted(headers)
    if name is not None and fold(name) != fold(principal.organisation_name):
        raise NotFound(
            f"There is no environment {name[:80]!a} for this key. Send the organisation's name "
            f"{principal.organisation_name!a} as the header Environment (ENV), or leave it out."
        )


def permitted(
    *permissions: Permission, programs: str | None = None
) -> Callable[[Request], Awaitable[Call]]:
    """Return the dependency that `edge.call.allow` returns, with the check of the environment."""
    authenticated = allow(*permissions, programs=programs)

    async def in_environment(request: Request) -> Call:
        call = await authenticated(request)
        check(call.principal, request.headers)
        return call

    return in_environment

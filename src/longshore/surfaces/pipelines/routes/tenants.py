"""Whose services a path is about: its first part names the organisation of the key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from longshore.access import Permission, Principal
from longshore.edge.call import Call, allow
from longshore.errors import NotFound

_SHOWN_CHARACTERS: Final = 80


def allow_tenant(*permissions: Permission) -> Callable[[Request], Awaitable[Call]]:
    """Return the dependency that lets a request pass to the tenant that its key belongs to.

    Raises (at request time):
        Unauthenticated, PermissionDenied: as `allow`.
        NotFound: the tenant is not the organisation of the key.
    """
    allowed = allow(*permissions)

    async def of_tenant(request: Request) -> Call:
        call = await allowed(request)
        tenant = str(request.path_params["tenant"])
        if not is_tenant(call.principal, tenant):
            raise NotFound(
                f"There is no tenant {tenant[:_SHOWN_CHARACTERS]!r} for this key. Put the name "
                f"of its organisation, {call.principal.organisation_name!r}, into the address."
            )
        return call

    return of_tenant


def is_tenant(principal: Principal, tenant: str) -> bool:
    """Whether a text names the organisation of a principal: its name or its id, in any case."""
    known = (principal.organisation_name.casefold(), principal.organisation_id.casefold())
    return tenant.strip().casefold() in known


TenantReader = Annotated[Call, Depends(allow_tenant(Permission.READ))]
TenantOperator = Annotated[Call, Depends(allow_tenant(Permission.OPERATE))]

"""How routes store results: in one transaction with the audit entry, at most once for a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from longshore.edge.call import Call
from longshore.surfaces.corpus.routes.bodies import body_of

S = TypeVar("S")
Id = Annotated[str, Path(alias="id")]
"""The `id` in a path, by which name the published clients give it."""


async def store(
    call: Call,
    request: Request,
    form: type[S],
    service: Callable[..., Any],
    *place: str,
    action: str,
) -> Response:
    """Answer 201 with what `service(connection, principal, *place, body)` makes of a body.

    Args:
        call: who calls.
        request: whose body is read.
        form: the struct that it must be.
        service: what stores it; nothing is changed where it raises.
        place: ids in the path.
        action: what the audit says was done, to the last of `place` or to what the body names.
    """
    given = await body_of(request, form)
    return await call.change(
        action,
        service,
        call.principal,
        *place,
        given,
        target=place[-1] if place else _target,
        render=lambda made: made,
        status=201,
    )


def _target(made: dict[str, Any]) -> str:
    return str(made.get("id") or made.get("parent") or made.get("worker_run_id") or "")

"""Whether the client of a request is still there."""

from __future__ import annotations

from starlette.requests import Request


async def has_left(request: Request) -> bool:
    """Return whether the connection of a request is gone.

    The server's protocol knows; elsewhere the question goes through the whole stack, which takes
    longer than many a request.
    """
    lost = request.scope.get("state", {}).get("lost")
    return bool(lost()) if lost is not None else await request.is_disconnected()

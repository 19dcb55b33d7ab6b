"""What the routes of the scripts surface share: who may call, and the form of answers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call
from longshore.edge.responses import json_response
from longshore.surfaces.scripts import SURFACE
from longshore.surfaces.scripts.routes.environment import permitted

PREFIX: Final = "/coreauto/v1"

Reader = Annotated[Call, Depends(permitted(Permission.READ))]
Operator = Annotated[Call, Depends(permitted(Permission.OPERATE))]
"""Who runs, holds, reruns, skips and cancels, and sets throttles."""
Developer = Annotated[Call, Depends(permitted(Permission.DEVELOP))]
"""Who changes definitions."""
Program = Annotated[Call, Depends(permitted(Permission.WORK, programs=SURFACE))]
"""Steps, with the token of their attempt; workers pass as well, so look at `principal.work`."""
ProgramReader = Annotated[Call, Depends(permitted(Permission.READ, programs=SURFACE))]
"""Who reads payloads: people, and steps those of their own run."""
Watcher = Annotated[Call, Depends(permitted(Permission.READ, Permission.SIGNAL, programs=SURFACE))]
"""Who looks at the state of events: people, steps, and programs outside with an ingress key."""
Sender = Annotated[
    Call,
    Depends(permitted(Permission.SIGNAL, Permission.OPERATE, Permission.WORK, programs=SURFACE)),
]
"""Who sends events and sets flags: people, steps, and programs outside with an ingress key."""


def answer(content: Any, status: int = 200) -> Response:
    """Answer with JSON; with nothing and status 204 for None."""
    if content is None:
        return Response(status_code=204)
    return json_response(content, status)

"""What the routes of the scripts surface share: who may call, and the form of answers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call, allow
from longshore.edge.responses import json_response
from longshore.surfaces.scripts import SURFACE

PREFIX: Final = "/coreauto/v1"

Reader = Annotated[Call, Depends(allow(Permission.READ))]
Operator = Annotated[Call, Depends(allow(Permission.OPERATE))]
"""Who runs, holds, reruns, skips and cancels, and sets throttles."""
Developer = Annotated[Call, Depends(allow(Permission.DEVELOP))]
"""Who changes definitions."""
Program = Annotated[Call, Depends(allow(Permission.WORK, programs=SURFACE))]
"""Steps, with the token of their attempt; workers pass as well, so look at `principal.work`."""
Sender = Annotated[
    Call, Depends(allow(Permission.SIGNAL, Permission.OPERATE, Permission.WORK, programs=SURFACE))
]
"""Who sends events and sets flags: people, steps, and programs outside with an ingress key."""


def answer(content: Any, status: int = 200) -> Response:
    """Answer with JSON; with nothing and status 204 for None."""
    if content is None:
        return Response(status_code=204)
    return json_response(content, status)

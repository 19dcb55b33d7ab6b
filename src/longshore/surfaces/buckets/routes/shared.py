"""Who may do what with works."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends
from starlette.responses import Response

from longshore.access import Permission
from longshore.edge.call import Call, allow

# A published client has one key for depositing, running and tidying up.
Reporter = Annotated[Call, Depends(allow(Permission.OPERATE, Permission.WORK))]


def answer(content: Any) -> Response:
    """Answer with JSON; documents come out as they went in, long integers as well."""
    return Response(msgspec.json.encode(content), media_type="application/json")

"""Bodies of the scripts surface: JSON by the rules of `edge.body`, in the form of a struct."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from longshore import limits
from longshore.edge.body import json_object
from longshore.errors import InvalidRequest

S = TypeVar("S", bound=msgspec.Struct)

PAYLOAD_BODY_BYTES: Final = 4 * limits.STEP_PAYLOAD_BYTES
"""Clients write what is not ASCII as escapes, which have up to three times as many bytes."""


async def body_of(
    request: Request, form: type[S], *, limit_bytes: int = limits.JSON_BODY_BYTES
) -> S:
    """Return the body of a request as a struct.

    Raises:
        TooLarge, InvalidRequest: as `edge.body.json_body` (keys that are given twice, NaN, too deep
            nesting and so on), or it has not the form of the struct.
    """
    value = await json_object(request, limit_bytes=limit_bytes)
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The body cannot be used: {str(error)[:500]}.") from error


def documented(form: type[msgspec.Struct]) -> dict[str, Any]:
    """Return `openapi_extra` for a route that reads its body by `body_of`.

    The struct may hold no others: references do not reach into a path's own schema.
    """
    (schema,) = msgspec.json.schema(form)["$defs"].values()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}

"""Bodies of the corpus protocol: read into structs, and refused with the path of the field."""

from __future__ import annotations

import asyncio
import re
from typing import Final, TypeVar

from starlette.requests import Request

from longshore import limits
from longshore.edge import body
from longshore.errors import InvalidRequest, TooLarge
from longshore.surfaces.corpus.scope import refusal

S = TypeVar("S")

_PLACE: Final = re.compile(r" - at `(?:key in )?\$([^`]*)`")
_MISSING: Final = re.compile(r"missing required field `([^`]*)`")
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
# An escape whose backslash is not itself escaped.
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


async def body_of(request: Request, form: type[S]) -> S:
    """Return the body of a request as a msgspec struct.

    Raises:
        TooLarge: it has more than `limits.CORPUS_BODY_BYTES`, or is nested too deep.
        InvalidRequest: it is not JSON, or has not the form of the struct; its details have the
            path of the field. Or a text in it holds NUL, which no database keeps.
    """
    data = await body.raw_body(request, limit_bytes=limits.CORPUS_BODY_BYTES)
    if len(data) > body.ASIDE_BYTES:
        return await asyncio.to_thread(_struct, data, form)
    return _struct(data, form)


def _struct(data: bytes, form: type[S]) -> S:
    if not data.strip():
        raise refusal("The request has no body. Send a JSON object.", code="required")
    body.check_depth(data)
    if _NUL.search(data):
        raise refusal("A text in the body holds the character NUL. Remove it.")
    try:
        return body.decoded(data, form)
    except TooLarge:
        raise
    except InvalidRequest as error:
        place, missing = _PLACE.search(error.message), _MISSING.search(error.message)
        attr: list[str | int] = []
        for name, index in _STEP.findall(place[1] if place else ""):
            attr.append(name or int(index))
        if missing:
            attr.append(missing[1])
        raise refusal(error.message, *attr, code="required" if missing else "invalid") from error
